//! docs/schemas: they are schemas, agree with the code, and refuse what is no event of the contract.

use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use provisioner::names::is_label_value;
use provisioner::pod::each;
use serde_json::{Value, json};
use tests::provisioner::repository;
use tests::schema;

use crate::contract::{schema_of, structured_examples};

/// The files of the schemas.
pub fn files() -> Vec<String> {
    let files = std::fs::read_dir(repository().join(schema::FOLDER)).unwrap();
    let mut files: Vec<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    files
}

fn example(kind: &str) -> Value {
    let file = format!("{kind}.event.json");
    structured_examples().into_iter().find(|event| schema_of(event) == file).unwrap()
}

fn without(event: &Value, path: &str) -> Value {
    let (parent, member) = path.rsplit_once('/').unwrap();
    let mut event = event.clone();
    event.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(member).unwrap();
    event
}

fn with(event: &Value, path: &str, value: Value) -> Value {
    let (parent, member) = path.rsplit_once('/').unwrap();
    let mut event = event.clone();
    event.pointer_mut(parent).unwrap()[member] = value;
    event
}

#[test]
fn every_file_is_a_schema_of_2020_12_whose_references_resolve() {
    for file in files() {
        let schema = schema::read(&file);
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{file}");
        jsonschema::meta::validate(&schema).unwrap_or_else(|error| panic!("{file}: {error}"));
        schema::validator(&file);
    }
}

#[test]
fn each_member_is_missed_but_the_content_type_of_who_asks() {
    for event in structured_examples() {
        let (file, ty) = (schema_of(&event), event["type"].as_str().unwrap());
        for parent in ["", "/data", "/data/pending_event"] {
            for member in event.pointer(parent).and_then(Value::as_object).into_iter().flat_map(|object| object.keys())
            {
                let path = format!("{parent}/{member}");
                let may_lack = ty.ends_with(".pending") && path == "/datacontenttype";
                assert_eq!(schema::validator(&file).is_valid(&without(&event, &path)), may_lack, "{ty} without {path}");
            }
        }
    }
}

/// Of each kind of event, what a member may be: by its path, the values that are accepted. What the provisioner tells
/// is held against the schemas wherever a test reads it.
fn accepted() -> Value {
    json!({
        "pending": {
            "/data/more": [{"a": 1}], "/data/message": ["hello"], "/expirytime": ["2030-01-31T12:00:00+01:00"],
            "/datacontenttype": ["Application/vnd.x+JSON; charset=utf-8"], "/extension": [true],
            "/id": ["x".repeat(1 << 20)],
        },
        "done": {"/extension": ["x"], "/traceparent": ["00-x"], "/number": [1]},
        "running": {"/data/pod_ip": [null], "/data/node_name": [null]},
        "ended": {"/data/exit_code": [null, 143]},
        "termination.pending": {"/data/more": [1]},
        "termination.failed": {"/data/pod_name": [null], "/data/pending_event": [null]},
    })
}

/// The same of the values that are refused.
fn refused() -> Value {
    json!({
        "pending": {
            "/data": [[]], "/data_base64": ["e30="], "/data/gateway_name": [1], "/expirytime": ["soon"],
            "/datacontenttype": ["text/plain"], "/id": [""], "/specversion": ["2.0"],
        },
        "done": {
            "/type": ["io.podgateway.client.scheduling.failed"], "/source": ["somebody/else"], "/id": ["1"],
            "/time": ["yesterday"], "/subject": ["no-pod"], "/datacontenttype": ["text/plain"], "/Upper": ["x"],
            "/extension": [{}], "/data/more": [1], "/data/reason": ["Forbidden"], "/data/pod_uid": [""],
            "/data/gateway_name": [null], "/data/namespace": ["A_b"], "/data/pod_name": ["client-1"],
            "/data/pending_event/more": [1], "/data/pending_event/id": [""],
        },
        "failed": {
            "/type": ["io.podgateway.client.scheduling.done"], "/data/reason": ["Unknown", "forbidden"],
            "/data/message": [""], "/data/gateway_name": [1], "/data/pod_name": ["x"], "/data/pending_event": ["1"],
        },
        "running": {
            "/type": ["io.podgateway.client.ended"], "/data/started_at": ["yesterday"], "/data/pod_ip": [10],
            "/data/reason": ["Completed"], "/data/gateway_name": [null],
        },
        "ended": {
            "/data/reason": ["Forbidden", "completed"], "/data/exit_code": ["0"], "/data/ended_at": [null],
            "/data/node_name": ["n"],
        },
        "termination.pending": {"/data/pending_event": ["1"], "/data/pending_event/id": [1], "/data": [[]]},
        "termination.done": {"/data/reason": ["Forbidden"], "/data/pod_name": [null], "/data/more": [1]},
        "termination.failed": {"/data/reason": ["Terminated"], "/data/pending_event": [{"source": "/me"}]},
    })
}

#[test]
fn an_event_may_say_what_is_accepted_and_not_what_is_refused() {
    for (table, is_accepted) in [(accepted(), true), (refused(), false)] {
        for (kind, members) in table.as_object().unwrap() {
            let (event, validator) = (example(kind), schema::validator(&format!("{kind}.event.json")));
            for (path, values) in members.as_object().unwrap() {
                for value in each(values) {
                    let changed = with(&event, path, value.clone());
                    assert_eq!(validator.is_valid(&changed), is_accepted, "{kind}: {path} = {value}");
                }
            }
        }
    }
    let bytes = with(&without(&example("pending"), "/data"), "/data_base64", json!("e30="));
    assert!(schema::validator("pending.event.json").is_valid(&bytes));
}

#[test]
fn a_gateways_name_is_what_the_code_takes() {
    let validator = schema::validator("pending.data.json");
    let (longest, too_long) = ("a".repeat(63), "a".repeat(64));
    for name in ["foo", "F.o_o-1", "0", &longest, "", &too_long, "-a", "a-", ".", "a/b", "a b", "ä", "foo\n"] {
        assert_eq!(validator.is_valid(&json!({"gateway_name": name})), is_label_value(name), "{name:?}");
    }
}

#[test]
fn an_answer_that_a_test_reads_is_held_against_its_schema() {
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/cloudevents+json"))]);
    for (reason, is_known) in [("Forbidden", true), ("Whim", false)] {
        let event = with(&example("failed"), "/data/reason", json!(reason));
        assert_eq!(schema::check(&headers, event.to_string().as_bytes()).is_ok(), is_known);
    }
}
