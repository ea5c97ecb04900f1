//! docs/contract.md: its tables are complete, and its examples are events with the names that it says.

use std::collections::BTreeMap;

use provisioner::context::name_based_uuid;
use provisioner::event::{PENDING, TERMINATION};
use provisioner::reason::Reason;
use provisioner::reply;
use provisioner::state::EndReason;
use serde_json::{Value, json};
use tests::markdown::{Page, event, first_column};
use tests::schema;

const PATH: &str = "docs/contract.md";

/// The events of the examples in structured mode.
pub fn structured_examples() -> Vec<Value> {
    Page::read(PATH).blocks_of("json").map(|block| serde_json::from_str(block).unwrap()).collect()
}

/// The file of an event's schema.
pub fn schema_of(event: &Value) -> String {
    schema::file_of(event["type"].as_str().unwrap(), "event")
}

#[test]
fn the_reasons_are_those_of_the_closed_lists() {
    let reasons = (json!(Reason::ALL), json!(EndReason::ALL));
    let documented = |path, heading| -> Value {
        first_column(path, heading).iter().map(|cell| Value::from(cell.trim_matches('`'))).collect()
    };
    assert_eq!((documented(PATH, "Reasons"), documented(PATH, "Why a client has ended")), reasons);
    assert_eq!(documented("docs/operations.md", "Reasons"), reasons.0);
    let of_schema = |file| schema::read(file)["properties"]["reason"]["enum"].clone();
    assert_eq!((of_schema("failed.data.json"), of_schema("ended.data.json")), reasons);
}

#[test]
fn the_examples_are_events_as_the_schemas_say() {
    let examples = structured_examples();
    let binary: Vec<_> = Page::read(PATH).blocks_of("http").map(event).collect();
    assert_eq!(binary.len(), 3, "two are asked with, and one is told");
    assert!(binary.iter().all(|event| examples.contains(event)), "another event than in structured mode: {binary:#?}");
    for event in &examples {
        let validator = schema::validator(&schema_of(event));
        validator.validate(event).unwrap_or_else(|error| panic!("{error}: {event:#}"));
    }
    let mut kinds: Vec<_> = examples.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let mut expected = [&[PENDING, TERMINATION][..], &reply::ALL].concat();
    kinds.sort_unstable();
    expected.sort_unstable();
    assert_eq!(kinds, expected, "each type has its example, and each mode");
}

/// The parts of a text in which each is preceded by its length and a colon.
fn parts(mut text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    while let Some((length, rest)) = text.split_once(':') {
        let (part, after) = rest.split_at(length.parse().unwrap());
        parts.push(part);
        text = after;
    }
    parts
}

#[test]
fn the_names_are_those_that_the_code_gives() {
    let tables = Page::read(PATH).tables.into_iter().filter(|(heading, _)| heading == "Names and ids");
    let rows: Vec<_> = tables.flat_map(|(_, rows)| rows).filter(|row| row.len() == 3).collect();
    let mut ids = BTreeMap::new();
    for row in &rows {
        let parts = parts(row[1].trim_matches('`'));
        let uuid = name_based_uuid(&parts).to_string();
        assert_eq!(row[2], format!("`{uuid}`"), "{row:?}");
        ids.insert(*parts.last().unwrap(), uuid);
    }
    let told = structured_examples().into_iter().filter(|event| event["source"] == reply::SOURCE);
    for event in told {
        assert_eq!(event["id"], ids[event["type"].as_str().unwrap()], "{event:#}");
        assert!(event["data"]["pod_name"].is_null() || event["data"]["pod_name"] == ids["1"], "{event:#}");
    }
}
