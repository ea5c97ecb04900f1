//! What the properties are about: texts, JSON, attributes, and what of the Pods more than one needs.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

/// Any text that isn't empty; what headers have to encode comes up often.
pub fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[ \"%\\\\\t\n\u{0}-\u{1f}a-zä€😀]{1,20}", any::<String>().prop_filter("set", |text| !text.is_empty())]
}

/// A text that stands for itself in a header: printable ASCII without `%` and `"`, and no space at its ends.
pub fn plain() -> impl Strategy<Value = String> {
    "[!#$&-~]([ !#$&-~]{0,20}[!#$&-~])?"
}

pub fn gateway() -> impl Strategy<Value = String> {
    "[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
}

/// JSON of a few levels.
pub fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(json!(null)), any::<bool>().prop_map(Value::from), any::<i64>().prop_map(Value::from)];
    let leaf = prop_oneof![leaf, any::<String>().prop_map(Value::from)];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let list = vec(inner.clone(), 0..4).prop_map(Value::from);
        prop_oneof![list, btree_map(".{0,5}", inner, 0..4).prop_map(|map| json!(map))]
    })
}

/// The attributes of an event, by name, each a plain text: those that are read and any others.
pub fn attributes() -> impl Strategy<Value = Map<String, Value>> {
    let time = (0..4_000_000_000i64).prop_map(|seconds| chrono::DateTime::from_timestamp(seconds, 0));
    let time = option::of(time.prop_filter_map("a time", |time| Some(time?.to_rfc3339())));
    let schema = option::of("https://[a-z]{1,9}/[a-z/]{0,9}");
    let used = "correlationid|traceparent|tracestate|expirytime|knativeerrorcode|knativeerrordata|knativearrivaltime";
    let extensions = btree_map(prop_oneof!["ext[a-z0-9]{1,9}", used], plain(), 0..4);
    let version = prop_oneof![Just("1.0"), Just("0.3")];
    (version, [plain(), plain(), plain()], option::of(plain()), time, schema, extensions).prop_map(
        |(version, [id, source, ty], subject, time, schema, extensions)| {
            let schema_name = if version == "1.0" { "dataschema" } else { "schemaurl" };
            let optional = [("subject", subject), ("time", time), (schema_name, schema)];
            let required = [("specversion", version.to_owned()), ("id", id), ("source", source), ("type", ty)];
            let set = optional.into_iter().filter_map(|(name, value)| Some((name, value?)));
            let named = required.into_iter().chain(set).map(|(name, value)| (name.to_owned(), value));
            named.chain(extensions).map(|(name, value)| (name, value.into())).collect()
        },
    )
}

/// Lays a patch over JSON: objects member by member (RFC 7396), and anything else in the place of what was there.
pub fn lay(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            patch.iter().for_each(|(name, value)| lay(target.entry(name).or_insert(Value::Null), value));
        }
        (target, patch) => target.clone_from(patch),
    }
}

/// How many of 500 generated values, always the same, show each of the kinds that `kind_of` finds in them.
pub fn kinds<S: Strategy>(strategy: S, kind_of: impl Fn(S::Value) -> String) -> BTreeMap<String, usize> {
    let mut runner = TestRunner::deterministic();
    let values = (0..500).map(|_| strategy.new_tree(&mut runner).unwrap().current());
    values.map(kind_of).fold(BTreeMap::new(), |mut kinds, kind| {
        *kinds.entry(kind).or_default() += 1;
        kinds
    })
}
