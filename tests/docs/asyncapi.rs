//! docs/asyncapi.yaml: it can be read, its references resolve, and it says what the schemas say.

use std::collections::BTreeSet;

use provisioner::event::{ADDED, DELETED, PENDING, PING, TERMINATION, UPDATED};
use provisioner::pod::each;
use provisioner::reply;
use serde_json::Value;
use tests::schema;

use crate::document;
use crate::schemas::files;

fn asyncapi() -> Value {
    serde_saphyr::from_str(&document("docs/asyncapi.yaml")).unwrap()
}

/// Every `$ref` in a value.
fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(members) => {
            let own = members.get("$ref").and_then(Value::as_str).map(str::to_owned);
            own.into_iter().chain(members.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn every_reference_resolves_and_every_schema_is_used() {
    let document = asyncapi();
    assert_eq!(document["asyncapi"], "3.0.0");
    let mut used = BTreeSet::new();
    for reference in references(&document) {
        match reference.strip_prefix('#') {
            Some(pointer) => assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere"),
            None => _ = used.insert(reference.strip_prefix("schemas/").expect("a file of the schemas").to_owned()),
        }
    }
    for file in used.clone() {
        used.extend(references(&schema::read(&file)));
    }
    // What is told in structured mode has no message of its own.
    used.extend(reply::ALL.map(|ty| schema::file_of(ty, "event")));
    assert_eq!(used.into_iter().collect::<Vec<_>>(), files());
}

#[test]
fn the_messages_are_the_events_with_the_headers_of_their_attributes() {
    let document = asyncapi();
    let messages: Vec<&Value> = document["components"]["messages"].as_object().unwrap().values().collect();
    let named: BTreeSet<_> = messages.iter().map(|message| message["name"].as_str().unwrap()).collect();
    let spoken = [PENDING, TERMINATION, ADDED, UPDATED, DELETED, PING].into_iter().chain(reply::ALL);
    assert_eq!(named, spoken.collect());
    for ty in reply::ALL {
        let message = messages.iter().find(|message| message["name"] == ty).unwrap();
        let (headers, event) = (&message["headers"], schema::read(&schema::file_of(ty, "event")));
        // The data is the payload, and its type the content type.
        let mut attributes = members(&event, "ce-");
        attributes.retain(|(name, _)| !matches!(name.as_str(), "ce-data" | "ce-datacontenttype"));
        assert_eq!(members(headers, ""), attributes, "{ty}");
        assert_eq!(headers["properties"]["ce-type"]["const"], ty);
        assert_eq!(message["payload"]["$ref"], format!("schemas/{}", schema::file_of(ty, "data")));
    }
}

/// The members that a schema knows, by their names behind a prefix, and whether it requires them.
fn members(schema: &Value, prefix: &str) -> BTreeSet<(String, bool)> {
    let is_required = |name: &String| each(&schema["required"]).any(|required| required == name);
    let names = schema["properties"].as_object().unwrap().keys();
    names.map(|name| (format!("{prefix}{name}"), is_required(name))).collect()
}
