//! docs/asyncapi.yaml: it can be read, its references resolve, and it says what the schemas say.

use std::collections::BTreeSet;

use provisioner::event::PENDING;
use provisioner::reply::{DONE, FAILED};
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
    assert_eq!(
        (&document["asyncapi"], &document["info"]["version"]),
        (&"3.0.0".into(), &env!("CARGO_PKG_VERSION").into())
    );
    let mut used = BTreeSet::new();
    for reference in references(&document) {
        match reference.strip_prefix('#') {
            Some(pointer) => assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere"),
            None => _ = used.insert(reference.strip_prefix("schemas/").expect("a file of the schemas").to_owned()),
        }
    }
    for file in used.clone() {
        used.extend(references(&schema::read(&file).unwrap()));
    }
    // Broker and consumers may see an answer in structured mode; it is sent in binary mode.
    used.extend(["done.event.json", "failed.event.json"].map(str::to_owned));
    assert_eq!(used.into_iter().collect::<Vec<_>>(), files());
}

#[test]
fn the_messages_are_the_events_with_the_headers_of_their_attributes() {
    let document = asyncapi();
    let messages = &document["components"]["messages"];
    for (name, ty) in [("pending", PENDING), ("pendingStructured", PENDING), ("done", DONE), ("failed", FAILED)] {
        assert_eq!(messages[name]["name"], ty);
    }
    for (kind, ty) in [("done", DONE), ("failed", FAILED)] {
        let (headers, event) = (&messages[kind]["headers"], schema::read(&format!("{kind}.event.json")).unwrap());
        let of_body = |name: &str| matches!(name, "data" | "datacontenttype");
        let expected = |names: Vec<&str>| {
            names.into_iter().filter(|name| !of_body(name)).map(|name| format!("ce-{name}")).collect::<BTreeSet<_>>()
        };
        let required = event["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        let found = headers["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
        assert_eq!(found.collect::<BTreeSet<_>>(), expected(required), "{kind}");
        let properties = event["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        let found = headers["properties"].as_object().unwrap().keys().cloned();
        assert_eq!(found.collect::<BTreeSet<_>>(), expected(properties), "{kind}");
        assert_eq!(headers["properties"]["ce-type"]["const"], ty);
    }
}
