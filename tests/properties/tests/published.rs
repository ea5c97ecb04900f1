//! The published test vectors, through the component's own reader and its own names.

use base64::prelude::{BASE64_STANDARD, Engine};
use properties::vectors::{Expected, attributes, files, requests};
use properties::wire::check_repeated;
use provisioner::cloudevents::{BYTE_ORDER_MARK, Data, Mode, Received, read};
use provisioner::pod::{each, text};
use provisioner::reply::{DONE, FAILED};
use provisioner::testing::context;
use serde_json::Value;

#[test]
fn every_request_is_read_as_its_vector_says() {
    for vector in requests() {
        let (name, (parts, body)) = (vector.name, vector.request.into_parts());
        match (read(&parts.headers, &body), vector.expected) {
            (Ok(event), Expected::Event(expected)) => {
                let media = parts.headers.get("content-type").map_or(&b""[..], |value| value.as_bytes());
                let is_structured = media.to_ascii_lowercase().starts_with(b"application/cloudevents");
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
        Data::Other(media) => {
            assert!(bytes.is_some() || json.is_some_and(Value::is_string), "{name}");
            assert_eq!(media, expected["datacontenttype"].as_str().unwrap_or("application/octet-stream"), "{name}");
        }
        Data::Compressed => (),
    }
    let is_gzip = bytes.is_some_and(|bytes| bytes.starts_with("H4sI"));
    assert_eq!(event.data == Data::Compressed, is_gzip, "{name}");
}

#[test]
fn every_name_is_what_its_vector_says() {
    for vector in files().iter().flat_map(|file| each(&file["names"])) {
        let context = context(text(&vector["source"]), text(&vector["id"]));
        let read = [context.pod_name(), context.answer_id(DONE), context.answer_id(FAILED)];
        assert_eq!(read, ["pod_name", "done_id", "failed_id"].map(|name| text(&vector[name])), "{vector}");
    }
}
