//! docs/contract.md: its tables are complete, and its examples are events with the names that it says.

use provisioner::config::Verification;
use provisioner::context::name_based_uuid;
use provisioner::event::{PENDING, Pending, TERMINATION};
use provisioner::reason::Reason;
use provisioner::reply::{self, DONE, ENDED, NOT_TERMINATED, RUNNING, TERMINATED};
use provisioner::state::{EndReason, Observed};
use provisioner::testing::{client_running, config, context, now, released, routed, wanted};
use serde_json::{Value, json};
use tests::markdown::{Page, event, first_column};
use tests::schema;

use crate::document;

const PATH: &str = "docs/contract.md";

/// The events of the examples in structured mode.
pub fn structured_examples() -> Vec<Value> {
    let page = Page::read(PATH);
    page.blocks_of("json").map(|block| serde_json::from_str(block).unwrap()).collect()
}

/// The events of the examples in binary mode.
fn binary_examples() -> Vec<Value> {
    Page::read(PATH).blocks_of("http").map(event).collect()
}

/// The file of an event's schema.
pub fn schema_of(event: &Value) -> String {
    schema::file_of(event["type"].as_str().unwrap(), "event")
}

/// The types of the events that are asked with, and of those that are told.
pub fn types() -> impl Iterator<Item = &'static str> {
    [PENDING, TERMINATION].into_iter().chain(reply::ALL)
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
    let examples = [structured_examples(), binary_examples()].concat();
    for event in &examples {
        let validator = schema::validator(&schema_of(event));
        validator.validate(event).unwrap_or_else(|error| panic!("{error}: {event:#}"));
    }
    let mut kinds: Vec<_> = examples.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let mut expected: Vec<_> = types().chain([PENDING, TERMINATION, DONE]).collect();
    kinds.sort_unstable();
    expected.sort_unstable();
    assert_eq!(kinds, expected, "each type has its example, and each mode");
}

#[test]
fn an_example_in_binary_mode_is_the_same_event_in_structured_mode() {
    let structured = structured_examples();
    for event in binary_examples() {
        assert!(structured.contains(&event), "{event:#}");
    }
}

#[test]
fn the_names_are_those_that_the_code_gives() {
    let (source, id) = ("/me", "1");
    let part = |text: &str| format!("{}:{text}", text.len());
    let row = |parts: &[&str]| {
        let text: String = parts.iter().map(|text| part(text)).collect();
        format!("| `{text}` | `{}` |", name_based_uuid(parts))
    };
    let (text, examples) = (document(PATH), structured_examples());
    assert!(text.contains(&row(&[source, id])), "no row with {}", row(&[source, id]));
    for event in examples.iter().filter(|event| event["source"] == reply::SOURCE) {
        let (ty, uid) = (event["type"].as_str().unwrap(), event["data"]["pod_uid"].as_str().unwrap_or_default());
        let parts = match ty {
            RUNNING | ENDED => vec![uid, ty],
            TERMINATED | NOT_TERMINATED => vec![source, "2", ty],
            _ => vec![source, id, ty],
        };
        assert_eq!(event["id"], name_based_uuid(&parts).to_string(), "{ty}");
        assert!(text.contains(&row(&parts)), "no row with {}", row(&parts));
    }
    let name = name_based_uuid(&[source, id]).to_string();
    let done = examples.into_iter().find(|event| event["type"] == DONE).unwrap();
    assert_eq!(
        (&done["data"]["pod_name"], &done["subject"]),
        (&name.clone().into(), &format!("default/{name}").into())
    );
}

/// The message of the example of a termination that fails is written elsewhere, and not compared.
#[test]
fn the_messages_are_those_that_the_code_writes() {
    let (context, required) = (context("/me", "1"), Verification::Required);
    let refused = Pending::new(&context, "nope", &config(&[("gateways", "foo,bar")])).unwrap_err();
    let pod: Observed = serde_json::from_value(client_running(released(routed(wanted(&[]))))).unwrap();
    for event in [
        reply::scheduling(&context, Some("foo"), &Ok(pod.metadata.clone()), required, now()),
        reply::scheduling(&context, Some("nope"), &Err(refused), required, now()),
        reply::running(&pod, &context, "foo", required, now()),
        reply::ended(&pod, &context, "foo", &pod.end(), now()),
        reply::termination(&context, Some(&context), &Ok(true), now()),
    ] {
        let written = serde_json::to_value(event).unwrap();
        let mut examples = structured_examples().into_iter();
        let example = examples.find(|example| example["type"] == written["type"]).unwrap();
        assert_eq!(example["data"]["message"], written["data"]["message"], "{}", written["type"]);
    }
}

#[test]
fn every_attribute_and_member_of_the_schemas_is_described() {
    let text = document(PATH);
    for ty in types() {
        for file in ["data", "event"].map(|part| schema::file_of(ty, part)) {
            for member in schema::read(&file)["properties"].as_object().unwrap().keys() {
                let is_there = text.contains(&format!("`{member}`")) || text.contains(&format!("\"{member}\""));
                assert!(is_there, "{PATH} says nothing of {member}, which is in {file}");
            }
        }
    }
}
