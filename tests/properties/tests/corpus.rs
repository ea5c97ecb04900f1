//! The checked-in corpus of every fuzz target: what was once interesting stays so.

use std::collections::BTreeMap;
use std::path::Path;

use properties::repository;
use properties::targets::{ALL, Target, conversation, delivery};
use provisioner::endpoint::Answered;
use provisioner::template::base;

fn replay((name, target): Target, corpus: &Path) -> usize {
    let files = std::fs::read_dir(corpus.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    for file in &files {
        println!("{}", file.display());
        let input = std::fs::read(file).unwrap();
        target(&input);
        shortened(&input).for_each(target);
    }
    files.len()
}

/// An input cut off at each of up to 64 places.
fn shortened(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    (0..input.len()).step_by(input.len() / 64 + 1).map(|end| &input[..end])
}

#[test]
fn every_input_of_the_corpus_keeps_its_promise() {
    let corpus = repository().join("tests/fuzz/corpus");
    for target in ALL {
        assert!(replay(target, &corpus) > 0, "{} has no corpus", target.0);
    }
    let folders = std::fs::read_dir(corpus).unwrap().count();
    assert_eq!(folders, ALL.len(), "a folder of the corpus has no target");
}

/// What comes of each input of a target's corpus, by its name.
fn shown(target: &str, outcome: fn(&[u8]) -> String) -> BTreeMap<String, String> {
    let files = std::fs::read_dir(repository().join("tests/fuzz/corpus").join(target)).unwrap();
    let files = files.map(|file| file.unwrap());
    files.map(|file| (file.file_name().into_string().unwrap(), outcome(&std::fs::read(file.path()).unwrap()))).collect()
}

#[track_caller]
fn check(shown: BTreeMap<String, String>, expected: &[(&str, &str)]) {
    let expected: BTreeMap<_, _> = expected
        .iter()
        .flat_map(|(outcome, names)| names.split(' ').map(|name| (name.to_owned(), (*outcome).to_owned())))
        .collect();
    assert_eq!(shown, expected, "an input shows something else than its name says, or is not in this list");
}

/// How a delivery ended: its reason, or else its outcome.
fn end(answered: Answered) -> String {
    let entry = answered.log.unwrap();
    entry.reason.map_or_else(|| format!("{:?}", entry.outcome), |reason| format!("{reason:?}"))
}

#[test]
fn every_request_of_the_corpus_shows_what_its_name_says() {
    // What can be read is acted upon where it is pending, and then there is no API server.
    let taken =
        "a-byte-order-mark-before-JSON deep delivered-by-Knative not-encoded pending what-nobody-uses-is-not-judged";
    let ignored = "a-quoted-string-is-unquoted-before-it-is-decoded a-stray-percent-sign-beside-an-escape \
                   an-object-becomes-text base64-that-is-declared-JSON binary-mode-with-JSON bytes distributed-tracing \
                   encoded-bytes-that-are-not-UTF-8 every-context-attribute integers-and-booleans-are-extension-values \
                   null-members-are-not-set raw-UTF-8-is-taken schema-that-is-no-url structured-mode-with-a-charset \
                   version-0.3-in-binary-mode version-0.3-with-base64-that-is-JSON";
    let expected = [
        ("Retry", taken),
        ("Ignored", ignored),
        ("Rejected", "a-batch a-body-with-more-after-it a-content-encoding an-id-that-is-there-twice"),
        ("InvalidEventData", "encoded-twice gzip-without-its-header"),
    ];
    check(shown("http_to_event", |input| end(delivery(input))), &expected);
}

#[test]
fn every_conversation_of_the_corpus_shows_what_its_name_says() {
    let retried = "being-deleted dead-letter-without-sink ending from-a-proxy no-answer not-ready not-yet sink-down \
                   too-many webhook-without-its-registry";
    let expected = [
        ("Done", "dead-letter done off redelivered redelivered-gated sink template"),
        ("Retry", retried),
        ("EventExpired", "expired"),
        ("Forbidden", "forbidden"),
        ("GatewayNotInjected", "not-routed"),
        ("PodNameConflict", "of-another-event"),
        ("PodRejected", "denied longest release-refused"),
        ("PodTemplateInvalid", "template-missing template-unusable"),
        ("QuotaExceeded", "quota"),
        ("UnsafePod", "gate-taken not-hardened second-network starts-before-its-routes token"),
    ];
    check(shown("api_answer_to_outcome", |input| end(conversation(input))), &expected);
}

#[test]
fn every_template_of_the_corpus_shows_what_its_name_says() {
    let outcome =
        |input: &[u8]| match serde_json::from_slice(input.splitn(2, |&byte| byte == b'\n').nth(1).unwrap_or(b"")) {
            Ok(template) => base("t", template).map_or("refused", |_| "taken").to_owned(),
            Err(_) => "none".to_owned(),
        };
    let refused = "capability host-network host-of-a-probe host-path init-containers second-network \
                   token-of-a-service-account unconfined-for-all";
    check(
        shown("event_to_pod", outcome),
        &[("none", "expiry other-type plain"), ("taken", "template volumes"), ("refused", refused)],
    );
}
