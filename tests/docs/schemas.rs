//! docs/schemas: they are schemas, agree with the code, and refuse what is no event of the contract.

use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use provisioner::names::is_label_value;
use provisioner::reason::Reason;
use provisioner::state::EndReason;
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

#[track_caller]
fn check(kind: &str, accepted: &[(&str, Value)], refused: &[(&str, Value)]) {
    let (event, validator) = (example(kind), schema::validator(&format!("{kind}.event.json")));
    for (path, value) in accepted {
        assert!(validator.is_valid(&with(&event, path, value.clone())), "{kind}: {path} = {value}");
    }
    for (path, value) in refused {
        assert!(!validator.is_valid(&with(&event, path, value.clone())), "{kind}: {path} = {value}");
    }
}

#[test]
fn every_file_is_a_schema_of_2020_12_whose_references_resolve() {
    for file in files() {
        let schema = schema::read(&file).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{file}");
        jsonschema::meta::validate(&schema).unwrap_or_else(|error| panic!("{file}: {error}"));
        schema::validator(&file);
    }
}

#[test]
fn the_reasons_are_those_of_the_closed_list() {
    let schema = schema::read("failed.data.json").unwrap();
    assert_eq!(schema["properties"]["reason"]["enum"], json!(Reason::ALL));
    let schema = schema::read("ended.data.json").unwrap();
    assert_eq!(schema["properties"]["reason"]["enum"], json!(EndReason::ALL));
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

#[test]
fn a_done_that_says_something_else_is_refused() {
    let refused = [
        ("/type", json!("io.podgateway.client.scheduling.failed")),
        ("/source", json!("somebody/else")),
        ("/id", json!("1")),
        ("/time", json!("yesterday")),
        ("/subject", json!("no-pod")),
        ("/datacontenttype", json!("text/plain")),
        ("/Upper", json!("x")),
        ("/extension", json!({})),
        ("/data/more", json!(1)),
        ("/data/reason", json!("Forbidden")),
        ("/data/pod_uid", json!("")),
        ("/data/gateway_name", json!(null)),
        ("/data/namespace", json!("A_b")),
        ("/data/pod_name", json!("client-1")),
        ("/data/pending_event/more", json!(1)),
        ("/data/pending_event/id", json!("")),
    ];
    check("done", &[("/extension", json!("x")), ("/traceparent", json!("00-x")), ("/number", json!(1))], &refused);
}

#[test]
fn a_failed_that_says_something_else_is_refused() {
    let refused = [
        ("/type", json!("io.podgateway.client.scheduling.done")),
        ("/data/reason", json!("Unknown")),
        ("/data/reason", json!("forbidden")),
        ("/data/message", json!("")),
        ("/data/gateway_name", json!(1)),
        ("/data/pod_name", json!("x")),
        ("/data/pending_event", json!("1")),
    ];
    let accepted: Vec<_> = Reason::ALL.iter().map(|reason| ("/data/reason", json!(reason))).collect();
    check("failed", &[accepted, vec![("/data/gateway_name", json!(null))]].concat(), &refused);
}

#[test]
fn a_report_that_says_something_else_is_refused() {
    let running = [
        ("/type", json!("io.podgateway.client.ended")),
        ("/data/started_at", json!("yesterday")),
        ("/data/pod_ip", json!(10)),
        ("/data/reason", json!("Completed")),
        ("/data/gateway_name", json!(null)),
    ];
    check("running", &[("/data/pod_ip", json!(null)), ("/data/node_name", json!(null))], &running);
    let ended = [
        ("/data/reason", json!("Forbidden")),
        ("/data/reason", json!("completed")),
        ("/data/exit_code", json!("0")),
        ("/data/ended_at", json!(null)),
        ("/data/node_name", json!("n")),
    ];
    let accepted: Vec<_> = EndReason::ALL.iter().map(|reason| ("/data/reason", json!(reason))).collect();
    let others = [("/data/exit_code", json!(null)), ("/data/exit_code", json!(143)), ("/data/gateway_name", json!(""))];
    check("ended", &[accepted, others.to_vec()].concat(), &ended);
}

#[test]
fn an_answer_to_a_termination_that_says_something_else_is_refused() {
    let refused = [("/data/reason", json!("Forbidden")), ("/data/pod_name", json!(null)), ("/data/more", json!(1))];
    check("termination.done", &[("/extension", json!("x"))], &refused);
    // Whatever can't be read or done about it; the other reasons are those of making a client.
    let reasons = ["InvalidEventData", "PodRejected", "QuotaExceeded", "Forbidden", "PodNameConflict"];
    let nobodys = [("/data/pod_name", json!(null)), ("/data/pending_event", json!(null))];
    let accepted = [reasons.map(|reason| ("/data/reason", json!(reason))).to_vec(), nobodys.to_vec()].concat();
    let refused = [("/data/reason", json!("Terminated")), ("/data/pending_event", json!({"source": "/me"}))];
    check("termination.failed", &accepted, &refused);
    let refused = [("/data/pending_event", json!("1")), ("/data/pending_event/id", json!(1)), ("/data", json!([]))];
    check("termination.pending", &[("/data/more", json!(1))], &refused);
}

#[test]
fn a_pending_event_may_say_more_but_names_a_gateway() {
    let accepted = [
        ("/data/more", json!({"a": 1})),
        ("/data/message", json!("hello")),
        ("/expirytime", json!("2030-01-31T12:00:00+01:00")),
        ("/datacontenttype", json!("Application/vnd.x+JSON; charset=utf-8")),
        ("/extension", json!(true)),
        ("/id", json!("x".repeat(1 << 20))),
    ];
    let refused = [
        ("/data", json!([])),
        ("/data_base64", json!("e30=")),
        ("/data/gateway_name", json!(1)),
        ("/expirytime", json!("soon")),
        ("/datacontenttype", json!("text/plain")),
        ("/id", json!("")),
        ("/specversion", json!("2.0")),
    ];
    check("pending", &accepted, &refused);
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
