//! The corpus of every fuzz target, checked in: what was once interesting stays so, and so does what is near it.

use std::collections::BTreeSet;

use properties::answers::TOKEN;
use properties::repository;
use properties::targets::{ALL, api_answer_to_outcome};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use provisioner::testing::{examples, merged, pod_template};
use serde_json::json;

use crate::mutations::mutated;

/// The files of a target; and of a PodTemplate whatever leads past a gateway.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let files = std::fs::read_dir(repository().join("tests/fuzz/corpus").join(target));
    let files = files.unwrap_or_else(|error| panic!("{target} has no corpus: {error}"));
    let paths: BTreeSet<_> = files.map(|file| file.unwrap().path()).collect();
    let files = paths.iter().map(|path| std::fs::read(path).unwrap());
    let template = |(_, change)| format!("\n{}", merged(pod_template(|_| ()), &json!({ "template": change })));
    let templates = examples().into_iter().filter(|_| target == "event_to_pod").map(template);
    files.chain(templates.map(String::into_bytes)).collect()
}

/// The same as text.
fn texts(target: &str) -> Vec<String> {
    corpus(target).iter().map(|input| String::from_utf8_lossy(input).into_owned()).collect()
}

/// An input cut off at each of up to 64 places.
fn shortened(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    (0..input.len()).step_by(input.len() / 64 + 1).map(|end| &input[..end])
}

#[test]
fn every_input_of_the_corpus_keeps_its_promise() {
    for (name, target) in ALL {
        let inputs = corpus(name);
        assert!(!inputs.is_empty(), "{name} has no corpus");
        for input in &inputs {
            println!("{}", String::from_utf8_lossy(input));
            target(input);
            shortened(input).for_each(target);
        }
    }
    let folders = std::fs::read_dir(repository().join("tests/fuzz/corpus")).unwrap().count();
    assert_eq!(folders, ALL.len(), "a folder of the corpus has no target");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn every_input_near_the_corpus_keeps_its_promise(inputs in ALL.map(|(name, _)| mutated(texts(name)))) {
        for ((name, target), input) in ALL.into_iter().zip(inputs) {
            println!("{name}");
            target(input.as_bytes());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8192))]

    #[test]
    fn the_token_leaves_by_no_way_whatever_the_api_server_answers(
        mut conversation in select(texts("api_answer_to_outcome")),
        place: Index,
        // It is often where a text that quotes it is cut off.
        before in prop_oneof![2 => Just(0), 2 => 190..260usize, 1 => 0..1_100usize, 2 => 1_940..2_060usize],
        written in select(vec![TOKEN.to_owned(), TOKEN.replace("eyJ", "\\u0065yJ")]),
    ) {
        let texts: Vec<_> = conversation.match_indices(": \"").map(|(at, found)| at + found.len()).collect();
        if !texts.is_empty() {
            conversation.insert_str(*place.get(&texts), &format!("{}{written} and more", "x".repeat(before)));
        }
        api_answer_to_outcome(conversation.as_bytes());
    }
}
