//! The checked-in corpus of every fuzz target: what was once interesting stays so.

use std::path::Path;

use properties::repository;
use properties::targets::{ALL, Target};

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
