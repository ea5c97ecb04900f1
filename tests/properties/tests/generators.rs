//! What the properties are about: texts, JSON, and answers of the API server.

use std::collections::BTreeSet;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use provisioner::outbound::Answer;
use serde_json::{Value, json};

/// Any text that isn't empty; what headers have to encode comes up often.
pub fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[ \"%\\\\\t\n\u{0}-\u{1f}a-zä€😀]{1,20}", any::<String>().prop_filter("set", |text| !text.is_empty())]
}

pub fn gateway() -> impl Strategy<Value = String> {
    "[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
}

/// JSON of a few levels.
pub fn json() -> impl Strategy<Value = Value> + Clone {
    let leaf = prop_oneof![Just(json!(null)), any::<bool>().prop_map(Value::from), any::<i64>().prop_map(Value::from)];
    let leaf = prop_oneof![leaf, any::<String>().prop_map(Value::from)];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let list = vec(inner.clone(), 0..4).prop_map(Value::from);
        prop_oneof![list, btree_map(".{0,5}", inner, 0..4).prop_map(|map| json!(map))]
    })
}

/// Answers that fit, one after the other, with anything at one place of them, or anything at all.
pub fn disturbed(
    usual: impl Strategy<Value = Vec<Answer>> + Clone,
    any: BoxedStrategy<Answer>,
) -> impl Strategy<Value = Vec<Answer>> {
    let one = (usual.clone(), proptest::arbitrary::any::<Index>(), any.clone()).prop_map(|(mut answers, at, other)| {
        let at = at.index(answers.len());
        answers[at] = other;
        answers
    });
    prop_oneof![2 => usual, 2 => one, 1 => vec(any, 0..7)]
}

/// Of 500 generated values, always the same, more than one in a hundred are of each of these kinds.
pub fn check_kinds<S: Strategy>(strategy: S, expected: &[&str]) {
    let mut runner = TestRunner::deterministic();
    let values: Vec<_> = (0..500).map(|_| format!("{:?}", strategy.new_tree(&mut runner).unwrap().current())).collect();
    for kind in expected {
        let count = values.iter().filter(|value| value == kind).count();
        assert!(count > 5, "{count} of {kind} in {:?}", values.iter().collect::<BTreeSet<_>>());
    }
}
