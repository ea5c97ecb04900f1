//! The published test vectors, through the component's own reader and its own names.

use std::collections::BTreeSet;

use base64::prelude::{BASE64_STANDARD, Engine};
use properties::sdk::check_repeated;
use properties::vectors::{Expected, attributes, files, folder, requests};
use provisioner::cloudevents::{BYTE_ORDER_MARK, Data, Mode, Received, read};
use provisioner::pod::{each, text};
use provisioner::reply::{DONE, FAILED};
use provisioner::testing::context;
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
        match (read(&parts.headers, &body), vector.expected) {
            (Ok(event), Expected::Event(expected)) => {
                let media_type = parts.headers.get("content-type").map_or(&b""[..], |value| value.as_bytes());
                let is_structured = media_type.to_ascii_lowercase().starts_with(b"application/cloudevents");
                assert_eq!(event.mode == Mode::Structured, is_structured, "{name}");
                check_read(&event, &expected, &name);
                check_repeated(&event);
            }
            (Err(error), Expected::Refused(code)) => {
                assert_eq!(code, if error.is_unsupported() { 415 } else { 400 }, "{name}: {error}");
            }
            (read, expected) => panic!("{name}: {read:?} instead of {expected:?}"),
        }
    }
}

/// What the reader gives is what the vector says. What it doesn't give isn't compared.
fn check_read(event: &Received, expected: &Value, name: &str) {
    for (attribute, read) in attributes(event) {
        let said = match &expected[attribute] {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        assert_eq!(read, said.as_ref(), "{name}: {attribute}");
    }
    let (json, bytes) = (expected.get("data"), expected["data_base64"].as_str());
    match &event.data {
        Data::Absent => assert_eq!((json, bytes), (None, None), "{name}"),
        Data::Json(read) => match serde_json::from_slice::<Value>(read.strip_prefix(BYTE_ORDER_MARK).unwrap_or(read)) {
            Ok(value) => assert_eq!(Some(&value), json, "{name}"),
            Err(_) => assert_eq!(Some(BASE64_STANDARD.encode(read).as_str()), bytes, "{name}"),
        },
        Data::Other(media_type) => {
            assert!(bytes.is_some() || json.is_some_and(Value::is_string), "{name}");
            assert_eq!(
                media_type,
                expected["datacontenttype"].as_str().unwrap_or("application/octet-stream"),
                "{name}"
            );
        }
        Data::Compressed => (),
    }
    let is_gzip = bytes.is_some_and(|bytes| bytes.starts_with("H4sI"));
    assert_eq!(event.data == Data::Compressed, is_gzip, "{name}");
}

#[test]
fn every_name_is_what_its_vector_says() {
    for vector in files().values().flat_map(|file| each(&file["names"])) {
        let context = context(text(&vector["source"]), text(&vector["id"]));
        let read = [context.pod_name(), context.answer_id(DONE), context.answer_id(FAILED)];
        assert_eq!(read, ["pod_name", "done_id", "failed_id"].map(|name| text(&vector[name])), "{vector}");
    }
}

#[test]
fn no_file_no_rule_and_no_vector_is_left_out() {
    let files = files();
    let is_used = |file: &Value| each(&file["requests"]).chain(each(&file["names"])).count() > 0;
    assert!(files.values().all(is_used), "each has requests or names");
    let rules = requests().into_iter().map(|vector| vector.rule);
    let found: BTreeSet<String> = files.into_keys().chain(rules).collect();
    assert_eq!(found, documented(), "the tables of the vectors' README are these files and these rules");
}

#[test]
fn a_name_is_a_function_of_the_identity_alone() {
    let mut one = context("/s", "1");
    let before = one.pod_name();
    (one.correlation_id, one.traceparent) = (Some("x".into()), Some("00-x".into()));
    assert_eq!(one.pod_name(), before);
}
