//! docs/operations.md, "The log": its tables have every field and every outcome of a line, and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use provisioner::log::{Entry, Kind};
use provisioner::reason::Reason;
use provisioner::testing::now;
use serde_json::{Value, json};
use tests::markdown::Page;

#[test]
fn the_tables_of_the_log_have_every_field_and_every_outcome() {
    let [event_source, event_id, event_type, gateway, pod, namespace, trace_id, message] =
        [(); 8].map(|()| Some("x".to_owned()));
    let entry = Entry { event_source, event_id, event_type, gateway, pod, namespace, ..Entry::default() };
    let entry = Entry { trace_id, message, reason: Some(Reason::Forbidden), dead_letter: true, ..entry };
    let line: BTreeMap<String, Value> = serde_json::from_str(&entry.line(now(), Duration::ZERO)).unwrap();
    let tables = Page::read("docs/operations.md").tables.into_iter().filter(|(heading, _)| heading == "The log");
    let [fields, outcomes] = &tables.map(|(_, rows)| words(&rows)).collect::<Vec<_>>()[..] else {
        panic!("two tables")
    };
    assert_eq!(fields.iter().collect::<BTreeSet<_>>(), line.keys().collect());
    assert_eq!(json!(outcomes), json!(Kind::ALL));
}

/// The words in the first column.
fn words(rows: &[Vec<String>]) -> Vec<String> {
    rows.iter().flat_map(|row| row[0].split(", ")).map(|word| word.trim_matches('`').to_owned()).collect()
}
