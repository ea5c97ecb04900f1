//! The test vectors of `tests/vectors/`, whose README describes their format for any language.

use std::path::PathBuf;

use base64::prelude::{BASE64_STANDARD, Engine};
use http::{HeaderName, HeaderValue, Request};
use provisioner::cloudevents::Received;
use serde_json::Value;

use crate::repository;

/// A request, and what has to come of it.
pub struct Exchange {
    /// What the vector shows, unique in its file.
    pub name: String,
    /// The rule that it belongs to, one of the README's.
    pub rule: String,
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

/// The names that belong to an event's identity.
pub struct Names {
    /// The event's `source`.
    pub source: String,
    /// The event's `id`.
    pub id: String,
    /// The name of its Pod.
    pub pod_name: String,
    /// The id of the reply `done`.
    pub done_id: String,
    /// The id of the reply `failed`.
    pub failed_id: String,
}

/// The content of one file.
pub enum Vectors {
    /// HTTP requests.
    Requests(Vec<Exchange>),
    /// Names by identity.
    Names(Vec<Names>),
}

/// Every file of the folder, by its name.
///
/// # Panics
/// When a file isn't a file of vectors.
pub fn files() -> Vec<(String, Vectors)> {
    let entries = std::fs::read_dir(folder()).expect("the folder of the vectors is there");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("the folder can be read").path()).collect();
    paths.retain(|path| path.file_name().is_some_and(|name| name != "README.md"));
    paths.sort();
    paths.into_iter().map(|path| (path.file_name().unwrap_or_default().to_string_lossy().into(), file(&path))).collect()
}

/// Every request of every file.
pub fn requests() -> Vec<Exchange> {
    let files = files().into_iter();
    files.flat_map(|(_, vectors)| if let Vectors::Requests(list) = vectors { list } else { Vec::new() }).collect()
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

/// Where the vectors are.
pub fn folder() -> PathBuf {
    repository().join("tests/vectors")
}

fn file(path: &PathBuf) -> Vectors {
    let text = std::fs::read_to_string(path).expect("a file of vectors is text");
    let file: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    match (file["requests"].as_array(), file["names"].as_array()) {
        (Some(requests), None) => Vectors::Requests(requests.iter().map(exchange).collect()),
        (None, Some(list)) => Vectors::Names(list.iter().map(names).collect()),
        _ => panic!("{} has neither requests nor names", path.display()),
    }
}

fn exchange(vector: &Value) -> Exchange {
    let request = &vector["request"];
    let expected = match vector["expect"]["status"].as_u64() {
        Some(code) => Expected::Refused(u16::try_from(code).expect("a status code")),
        None => Expected::Event(vector["expect"]["event"].clone()),
    };
    let mut http = Request::post("/").body(bytes(&request["body"])).expect("the path is one");
    for header in request["headers"].as_array().expect("headers are a list") {
        let name = HeaderName::try_from(text(&header[0])).expect("a header's name");
        http.headers_mut().append(name, HeaderValue::from_bytes(&bytes(&header[1])).expect("a header's value"));
    }
    Exchange { name: text(&vector["name"]), rule: text(&vector["rule"]), request: http, expected }
}

fn names(vector: &Value) -> Names {
    Names {
        source: text(&vector["source"]),
        id: text(&vector["id"]),
        pod_name: text(&vector["pod_name"]),
        done_id: text(&vector["done_id"]),
        failed_id: text(&vector["failed_id"]),
    }
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
