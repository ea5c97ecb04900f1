//! The test vectors of `tests/vectors/`, whose README describes their format for any language.

use std::path::PathBuf;

use base64::prelude::{BASE64_STANDARD, Engine};
use http::{HeaderName, HeaderValue, Request};
use provisioner::cloudevents::Received;
use provisioner::pod::each;
use serde_json::Value;

use crate::repository;

/// A request, and what has to come of it.
pub struct Exchange {
    /// What the vector shows, unique in its file.
    pub name: String,
    /// The request.
    pub request: Request<Vec<u8>>,
    /// What has to come of it.
    pub expected: Expected,
}

/// What has to come of a request.
#[derive(Debug)]
pub enum Expected {
    /// It is refused with this status.
    Refused(u16),
    /// It is this event, in the JSON Event Format.
    Event(Value),
}

/// Every file of the folder.
///
/// # Panics
/// When a file has no vectors in it.
pub fn files() -> Vec<Value> {
    let entries = std::fs::read_dir(repository().join("tests/vectors")).expect("the folder of the vectors is there");
    let paths = entries.map(|entry| entry.expect("the folder can be read").path());
    let file = |path: PathBuf| {
        let file: Value =
            serde_json::from_slice(&std::fs::read(&path).expect("a file can be read")).unwrap_or_default();
        assert!(file["requests"].is_array() || file["names"].is_array(), "{} has no vectors", path.display());
        file
    };
    paths.filter(|path| path.extension().is_some_and(|end| end == "json")).map(file).collect()
}

/// Every request of every file.
pub fn requests() -> Vec<Exchange> {
    files().iter().flat_map(|file| each(&file["requests"]).map(exchange).collect::<Vec<_>>()).collect()
}

/// What is read of an event's attributes, by their names; those that every event has come first.
pub fn attributes<'a>(event: &'a Received) -> [(&'static str, Option<&'a String>); 9] {
    let context = &event.context;
    [
        ("id", Some(&context.id)),
        ("source", Some(&context.source)),
        ("type", Some(&event.ty)),
        ("correlationid", context.correlation_id.as_ref()),
        ("traceparent", context.traceparent.as_ref()),
        ("tracestate", context.tracestate.as_ref()),
        ("expirytime", context.expirytime.as_ref()),
        ("knativeerrorcode", context.knativeerrorcode.as_ref()),
        ("knativeerrordata", context.knativeerrordata.as_ref()),
    ]
}

fn exchange(vector: &Value) -> Exchange {
    let request = &vector["request"];
    let expected = match vector["expect"]["status"].as_u64() {
        Some(code) => Expected::Refused(u16::try_from(code).expect("a status code")),
        None => Expected::Event(vector["expect"]["event"].clone()),
    };
    let mut http = Request::post("/").body(bytes(&request["body"])).expect("the path is one");
    for header in each(&request["headers"]) {
        let name = HeaderName::try_from(text(&header[0])).expect("a header's name");
        http.headers_mut().append(name, HeaderValue::from_bytes(&bytes(&header[1])).expect("a header's value"));
    }
    Exchange { name: text(&vector["name"]), request: http, expected }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no string")).to_owned()
}

/// A text stands for itself, and `{"base64": "…"}` for bytes that are no text.
fn bytes(value: &Value) -> Vec<u8> {
    match &value["base64"] {
        Value::String(encoded) => BASE64_STANDARD.decode(encoded).expect("base64"),
        _ => text(value).into_bytes(),
    }
}
