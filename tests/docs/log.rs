//! docs/operations.md, "The log": its tables have every field and every outcome of a line, and no other.

use std::time::Duration;

use provisioner::log::{Entry, Kind};
use provisioner::reason::Reason;
use provisioner::testing::now;
use serde_json::Value;
use tests::markdown::Page;

/// The words in the first columns of the tables below the heading, table by table.
fn documented() -> Vec<Vec<String>> {
    let page = Page::read("docs/operations.md");
    let tables = page.tables.into_iter().filter(|(heading, _)| heading == "The log");
    let words =
        |row: &Vec<String>| row[0].split(", ").map(|word| word.trim_matches('`').to_owned()).collect::<Vec<_>>();
    tables.map(|(_, rows)| rows.iter().flat_map(words).collect()).collect()
}

#[test]
fn the_table_of_the_log_has_every_field() {
    let text = || Some("x".to_owned());
    let entry = Entry {
        event_source: text(),
        event_id: text(),
        event_type: text(),
        gateway: text(),
        pod: text(),
        namespace: text(),
        reason: Some(Reason::Forbidden),
        trace_id: text(),
        message: text(),
        dead_letter: true,
        ..Entry::default()
    };
    let line: Value = serde_json::from_str(&entry.line(now(), Duration::ZERO)).unwrap();
    let mut fields = documented().swap_remove(0);
    fields.sort();
    assert_eq!(fields, line.as_object().unwrap().keys().cloned().collect::<Vec<_>>());
}

#[test]
fn the_table_of_the_log_has_every_outcome() {
    let outcomes = Kind::ALL.map(|kind| serde_json::to_value(kind).unwrap());
    assert_eq!(documented().swap_remove(1), outcomes.map(|word| word.as_str().unwrap().to_owned()));
}
