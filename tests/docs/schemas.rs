//! docs/schemas: they are schemas, agree with the code, and refuse what is no event of the contract.

use provisioner::names::is_label_value;
use provisioner::pod::{each, text};
use serde_json::{Value, json};
use tests::provisioner::repository;
use tests::schema;

use crate::contract::{schema_of, structured_examples};

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
    for file in repository().join(schema::FOLDER).read_dir().unwrap() {
        let file = file.unwrap().file_name().into_string().unwrap();
        let schema = schema::read(&file);
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{file}");
        jsonschema::meta::validate(&schema).unwrap_or_else(|error| panic!("{file}: {error}"));
        schema::validator(&file);
    }
}

/// Whether an event of this type is asked with, and not told.
fn asks(event: &Value) -> bool {
    text(&event["type"]).ends_with(".pending")
}

#[test]
fn each_member_is_missed_and_has_its_type_and_what_is_told_has_no_other() {
    for event in structured_examples() {
        let validator = schema::validator(&schema_of(&event));
        for parent in ["", "/data", "/data/pending_event"] {
            let Some(members) = event.pointer(parent).and_then(Value::as_object) else { continue };
            for path in members.keys().map(|member| format!("{parent}/{member}")) {
                let may_lack = asks(&event) && path == "/datacontenttype";
                assert_eq!(validator.is_valid(&without(&event, &path)), may_lack, "without {path}: {event:#}");
                assert!(!validator.is_valid(&with(&event, &path, json!([]))), "{path} = []: {event:#}");
            }
        }
        for path in ["/type", "/source"] {
            let changed = with(&event, path, json!("another"));
            assert_eq!(validator.is_valid(&changed), asks(&event) && path == "/source", "{path}: {event:#}");
        }
        assert_eq!(validator.is_valid(&with(&event, "/data/more", json!(1))), asks(&event), "{event:#}");
    }
}

/// What is told is held against the schemas wherever a test reads it. This is what else a member may be: of each kind of
/// event its path, what is accepted there, and what is refused.
fn values() -> Value {
    json!([
        ["pending", "/id", ["x".repeat(1 << 20)], [""]],
        ["pending", "/specversion", ["1.0"], ["2.0"]],
        ["pending", "/expirytime", ["2030-01-31T12:00:00+01:00"], ["soon"]],
        ["pending", "/datacontenttype", ["Application/vnd.x+JSON; charset=utf-8"], ["text/plain"]],
        ["pending", "/data_base64", [], ["e30="]],
        ["pending", "/extension", [true], []],
        ["done", "/extension", ["x", 1], [{}]],
        ["done", "/Upper", [], ["x"]],
        ["done", "/id", [], ["1"]],
        ["done", "/time", [], ["yesterday"]],
        ["done", "/subject", [], ["no-pod"]],
        ["done", "/data/pod_uid", [], [""]],
        ["done", "/data/namespace", [], ["A_b"]],
        ["done", "/data/pod_name", [], ["client-1"]],
        ["failed", "/data/reason", ["Forbidden"], ["Unknown", "forbidden"]],
        ["failed", "/data/gateway_name", [null], [1]],
        ["running", "/data/pod_ip", [null], [10]],
        ["running", "/data/node_name", [null], [1]],
        ["ended", "/data/exit_code", [null, 143], ["0"]],
        ["ended", "/data/reason", ["Evicted"], ["Forbidden"]],
        ["termination.failed", "/data/pod_name", [null], [1]],
        ["termination.failed", "/data/pending_event", [null], [{"source": "/me"}]],
    ])
}

#[test]
fn a_member_may_be_what_is_accepted_and_not_what_is_refused() {
    for row in each(&values()) {
        let (kind, path) = (text(&row[0]), text(&row[1]));
        let validator = schema::validator(&format!("{kind}.event.json"));
        for (values, is_accepted) in [(&row[2], true), (&row[3], false)] {
            for value in each(values) {
                let changed = with(&example(kind), path, value.clone());
                assert_eq!(validator.is_valid(&changed), is_accepted, "{kind}: {path} = {value}");
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
