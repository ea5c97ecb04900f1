//! docs/asyncapi.yaml: it can be read, its references resolve, and it has every event.

use std::collections::BTreeSet;

use provisioner::event::{ADDED, DELETED, PENDING, PING, TERMINATION, UPDATED};
use provisioner::pod::{each, text};
use provisioner::reply;
use serde_json::Value;
use tests::schema;

use crate::document;

fn asyncapi() -> Value {
    serde_saphyr::from_str(&document("docs/asyncapi.yaml")).unwrap()
}

/// Every `$ref` in a value.
fn references(value: &Value) -> Vec<&str> {
    let inner = value.as_object().into_iter().flat_map(|members| members.values()).chain(each(value));
    value["$ref"].as_str().into_iter().chain(inner.flat_map(references)).collect()
}

#[test]
fn every_reference_resolves_and_each_event_has_a_message_and_each_answer_its_schema() {
    let document = asyncapi();
    assert_eq!(document["asyncapi"], "3.0.0");
    for reference in references(&document) {
        match reference.strip_prefix('#') {
            Some(pointer) => assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere"),
            None => drop(schema::validator(reference.strip_prefix("schemas/").expect("a file of the schemas"))),
        }
    }
    let messages = document["components"]["messages"].as_object().unwrap().values();
    let messages = messages.map(|message| (text(&message["name"]), text(&message["payload"]["$ref"])));
    let messages: BTreeSet<_> = messages.collect();
    let spoken = [PENDING, TERMINATION, ADDED, UPDATED, DELETED, PING].into_iter().chain(reply::ALL);
    assert_eq!(messages.iter().map(|(ty, _)| *ty).collect::<BTreeSet<_>>(), spoken.collect());
    for ty in reply::ALL {
        assert!(messages.contains(&(ty, &*format!("schemas/{}", schema::file_of(ty, "data")))), "{ty}");
    }
}
