//! The published test vectors, through the component's own reader and its own names.

use std::collections::BTreeSet;

use cloudevents::AttributesReader;
use properties::vectors::{Expected, Names, Vectors, files, folder, requests};
use provisioner::binding::{self, BindingError};
use provisioner::pod::{name, name_based_uuid};
use provisioner::reply::{DONE, FAILED};
use serde_json::Value;

/// The cells of the first column of the tables in the vectors' README, without their code marks.
fn documented() -> BTreeSet<String> {
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
    let rows = readme.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.split('`').nth(1).unwrap().to_owned()).collect()
}

#[test]
fn every_request_is_read_as_its_vector_says() {
    for vector in requests() {
        let (name, (parts, body)) = (vector.name, vector.request.into_parts());
        match (binding::read(&parts.headers, &body), vector.expected) {
            (Ok(event), Expected::Event(expected)) => {
                assert_eq!(serde_json::to_value(&event).unwrap(), normal(expected), "{name}");
            }
            (Err(BindingError::NotAnEvent(_)), Expected::Refused(400)) => (),
            (Err(BindingError::UnsupportedFormat(_)), Expected::Refused(415)) => (),
            (read, expected) => panic!("{name}: {read:?} instead of {expected:?}"),
        }
    }
}

/// Times are instants: the SDK writes them without the fraction that is zero.
fn normal(mut event: Value) -> Value {
    if let Some(time) = event.get("time").and_then(Value::as_str) {
        let time: chrono::DateTime<chrono::Utc> = time.parse().unwrap();
        event["time"] = serde_json::to_value(time).unwrap();
    }
    event
}

#[test]
fn every_event_of_a_vector_is_written_so_that_it_can_be_read() {
    for vector in requests() {
        let (parts, body) = vector.request.into_parts();
        if let Ok(event) = binding::read(&parts.headers, &body) {
            properties::targets::check_written(&event);
        }
    }
}

#[test]
fn every_name_is_what_its_vector_says() {
    let files = files();
    let names =
        files.iter().filter_map(|(_, vectors)| if let Vectors::Names(list) = vectors { Some(list) } else { None });
    for Names { source, id, pod_name, done_id, failed_id } in names.flatten() {
        let mut client = properties::setup::client("/s", "1", "foo");
        (client.context.source, client.context.id) = (source.clone(), id.clone());
        assert_eq!(name(&client.context), *pod_name, "{source:?} {id:?}");
        assert_eq!(name_based_uuid(&[source, id, DONE]).to_string(), *done_id, "{source:?} {id:?}");
        assert_eq!(name_based_uuid(&[source, id, FAILED]).to_string(), *failed_id, "{source:?} {id:?}");
    }
}

#[test]
fn no_file_no_rule_and_no_vector_is_left_out() {
    let files = files();
    let mut found: BTreeSet<String> = files.iter().map(|(name, _)| name.clone()).collect();
    assert!(files.iter().all(|(_, vectors)| match vectors {
        Vectors::Requests(list) => !list.is_empty(),
        Vectors::Names(list) => !list.is_empty(),
    }));
    found.extend(requests().into_iter().map(|vector| vector.rule));
    assert_eq!(found, documented(), "the tables of the vectors' README are these files and these rules");
}

#[test]
fn a_name_is_a_function_of_the_identity_alone() {
    let mut client = properties::setup::client("/s", "1", "foo");
    let before = name(&client.context);
    client.context.correlation_id = Some("x".into());
    assert_eq!(name(&client.context), before);
    let event = binding::read(&requests().remove(0).request.into_parts().0.headers, b"").unwrap();
    assert_ne!(name(&provisioner::event::Context::of(&event)), before, "{}", event.id());
}
