//! The SDK's own HTTP binding, which the component doesn't use: what it reads is what most consumers do.

use cloudevents::binding::http::to_event;
use cloudevents::event::Data as SdkData;
use cloudevents::{AttributesReader, Event};
use http::{HeaderMap, HeaderValue};
use provisioner::cloudevents::{Data, Mode, Received, is_attribute_name, read, write};
use provisioner::config::Verification;
use provisioner::reason::{Failure, Reason};
use provisioner::reply;
use provisioner::testing::now;
use serde_json::Value;

use crate::vectors::attributes;

/// An event, written in both modes: the SDK reads the same event in either, and so does the component.
///
/// # Panics
/// When one of them reads another.
pub fn check_written(event: &Event) {
    for mode in [Mode::Binary, Mode::Structured] {
        let (headers, body) = write(event, mode);
        let ours = read(&headers, &body).expect("what is written can be read");
        assert!(ours.mode == mode || ours.mode == Mode::Structured, "{:?} in place of {mode:?}", ours.mode);
        if ours.mode == Mode::Binary {
            // Nobody has to decode anything.
            assert!(headers.values().all(is_plain), "{headers:?}");
        }
        let theirs = to_event(&headers, body.clone()).expect("the SDK reads it as well");
        assert_eq!(texts(&theirs), texts(event));
        assert_eq!(json_of(&theirs), json_of(event));
        check_alike(&ours, event);
    }
}

/// An answer to an event repeats what was read of it, in both modes.
pub fn check_repeated(event: &Received) {
    let failure = Failure::new(Reason::PodRejected, "no");
    check_written(&reply::scheduling(&event.context, None, &Err(failure), Verification::Required, now()));
}

/// Where the request lies in what the SDK's binding gets right, both read the same.
///
/// # Panics
/// When they don't.
pub fn check_read(event: &Received, headers: &HeaderMap, body: &[u8]) {
    if is_common_ground(headers, body) {
        check_alike(event, &to_event(headers, body.to_vec()).expect("the SDK reads it as well"));
    }
}

/// What the component reads is what the event holds.
fn check_alike(ours: &Received, theirs: &Event) {
    let theirs_text = |name: &str| match name {
        "id" => Some(theirs.id().to_owned()),
        "source" => Some(theirs.source().to_string()),
        "type" => Some(theirs.ty().to_owned()),
        _ => theirs.extension(name).map(ToString::to_string).filter(|text| !text.is_empty()),
    };
    for (name, text) in attributes(ours) {
        assert_eq!(text, theirs_text(name).as_ref(), "{name}");
    }
    let data = match &ours.data {
        Data::Json(bytes) => serde_json::from_slice(bytes).ok(),
        Data::Absent | Data::Other(_) | Data::Compressed => None,
    };
    assert_eq!(data, json_of(theirs));
}

/// The attributes as text, without those that say nothing and the one that binary mode leaves to HTTP.
fn texts(event: &Event) -> Vec<(String, String)> {
    let texts = event.iter().map(|(name, value)| (name.to_owned(), value.to_string()));
    let mut texts: Vec<_> = texts.filter(|(name, value)| name != "datacontenttype" && !value.is_empty()).collect();
    texts.sort();
    texts
}

/// The data, where they are JSON: the SDK keeps JSON data in binary mode as the bytes it came in.
fn json_of(event: &Event) -> Option<Value> {
    let is_json = event.datacontenttype().is_none_or(|content_type| content_type == "application/json");
    match event.data().filter(|_| is_json)? {
        SdkData::Json(value) => Some(value.clone()),
        SdkData::Binary(bytes) => serde_json::from_slice(bytes).ok(),
        SdkData::String(text) => serde_json::from_str(text).ok(),
    }
}

/// Whether a header stands for itself: printable ASCII without the space, `"` and `%`.
fn is_plain(value: &HeaderValue) -> bool {
    value.as_bytes().iter().all(|&c| c.is_ascii_graphic() && !matches!(c, b'"' | b'%'))
}

/// Whether both bindings have to agree: each header once, plain values, media types in their usual form, and
/// members that are attributes with values of the types that attributes have.
pub fn is_common_ground(headers: &HeaderMap, body: &[u8]) -> bool {
    let is_usual_value = |value: &HeaderValue| {
        value.to_str().is_ok_and(|text| !text.is_empty() && text == text.trim() && !text.contains(['%', '"', '\t']))
    };
    let are_attributes = headers.iter().filter_map(|(name, value)| Some((name.as_str().strip_prefix("ce-")?, value)));
    let are_attributes = are_attributes.into_iter().all(|(name, value)| {
        let is_data = ["data", "datacontentencoding", "datacontenttype"].contains(&name);
        is_attribute_name(name) && !is_data && value.to_str().is_ok_and(|text| is_typed(name, text))
    });
    let is_usual = match headers.get("content-type").and_then(|value| value.to_str().ok()) {
        Some("application/cloudevents+json") => is_usual_envelope(body),
        Some("application/json" | "application/octet-stream" | "text/plain") => true,
        _ => false,
    };
    let is_once = headers.len() == headers.keys_len() && !headers.contains_key("content-encoding");
    is_usual && are_attributes && is_once && headers.values().all(is_usual_value)
}

/// Whether the SDK takes the text: it judges the attributes that have a type, where ours doesn't read them.
fn is_typed(name: &str, text: &str) -> bool {
    match name {
        "time" => chrono::DateTime::parse_from_rfc3339(text).is_ok(),
        "dataschema" | "schemaurl" => text.strip_prefix("https://").is_some_and(is_plain_url),
        _ => !text.is_empty(),
    }
}

/// Whether a text is the rest of a URL that stays as it is: the SDK writes a URL in a form of its own.
fn is_plain_url(rest: &str) -> bool {
    rest.split_once('/').is_some_and(|(host, path)| {
        let is_host = !host.is_empty() && host.bytes().all(|c| c.is_ascii_lowercase());
        is_host && path.bytes().all(|c| c.is_ascii_lowercase() || c == b'/')
    })
}

fn is_usual_envelope(body: &[u8]) -> bool {
    let Ok(Value::Object(members)) = serde_json::from_slice(body) else { return false };
    let content_type = members.get("datacontenttype").and_then(Value::as_str);
    members.iter().all(|(name, value)| match name.as_str() {
        "data" => !value.is_null() && content_type.is_none_or(|t| t == "application/json"),
        "data_base64" => content_type.is_some_and(|t| matches!(t, "application/json" | "application/octet-stream")),
        "datacontentencoding" => false,
        _ => is_attribute_name(name) && value.as_str().is_some_and(|text| is_typed(name, text)),
    })
}
