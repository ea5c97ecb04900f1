//! An HTTP request becomes an event, or is refused.

use cloudevents::binding::http::to_event;
use cloudevents::event::Data;
use cloudevents::{AttributesReader, Event};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use provisioner::binding;
use serde_json::Value;

use super::first_line;
use crate::answers;

/// Lines of `name: value`, an empty line, and the body: as in HTTP, but for the request line.
pub fn http_to_event(data: &[u8]) {
    let (headers, body) = parse(data);
    if let Ok(event) = binding::read(&headers, body) {
        assert!(!event.id().is_empty() && !event.source().is_empty() && !event.ty().is_empty());
        check_written(&event);
        check_against_sdk(&event, &headers, body);
    }
    let mut request = Request::post("/").body(Ok(body.to_vec())).expect("the path is one");
    *request.headers_mut() = headers;
    answers::check(request, &[], "token", Vec::new());
}

fn parse(mut data: &[u8]) -> (HeaderMap, &[u8]) {
    let mut headers = HeaderMap::new();
    while !data.is_empty() {
        let (line, rest) = first_line(data);
        data = rest;
        if line.is_empty() {
            break;
        }
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii())) {
            headers.append(name, value);
        }
    }
    (headers, data)
}

/// What was read, written and read again is the same event, as far as binary mode can say it.
pub fn check_written(event: &Event) {
    let content_type = event.datacontenttype().unwrap_or_default();
    if content_type.trim().to_ascii_lowercase().starts_with("application/cloudevents") {
        return; // An event within an event looks like structured mode: only a body can hold it.
    }
    let (headers, body) = binding::write(event);
    let again = binding::read(&headers, &body).expect("what is written can be read");
    assert_eq!(attributes(&again), attributes(event));
}

/// The attributes as text, without those that binary mode leaves to HTTP.
fn attributes(event: &Event) -> Vec<(String, String)> {
    let texts = event.iter().map(|(name, value)| (name.to_owned(), value.to_string()));
    let mut attributes: Vec<_> = texts.filter(|(name, value)| name != "datacontenttype" && !value.is_empty()).collect();
    attributes.sort();
    attributes
}

/// Where the request lies in what the SDK's own binding gets right, both read the same.
fn check_against_sdk(event: &Event, headers: &HeaderMap, body: &[u8]) {
    if !is_common_ground(headers, body) {
        return;
    }
    let theirs = to_event(headers, body.to_vec()).expect("the SDK reads it as well");
    assert_eq!(attributes(event), attributes(&theirs));
    assert_eq!(event.datacontenttype(), theirs.datacontenttype());
    assert_eq!(json_as_json(event), json_as_json(&theirs));
}

/// Whether both bindings have to agree: each header once, plain values, media types in their usual form, and
/// members that are attributes with values of the types that attributes have.
pub fn is_common_ground(headers: &HeaderMap, body: &[u8]) -> bool {
    let is_plain = |value: &HeaderValue| {
        value.to_str().is_ok_and(|text| !text.is_empty() && text == text.trim() && !text.contains(['%', '"', '\t']))
    };
    let are_attributes = headers.keys().filter_map(|name| name.as_str().strip_prefix("ce-")).all(|name| {
        binding::is_attribute_name(name) && !["data", "datacontentencoding", "datacontenttype"].contains(&name)
    });
    let content_type = headers.get("content-type").and_then(|value| value.to_str().ok());
    let is_usual = match content_type {
        Some("application/cloudevents+json") => is_plain_envelope(body),
        Some("application/json" | "application/octet-stream" | "text/plain") => true,
        _ => false,
    };
    let has_plain_schema = ["ce-dataschema", "ce-schemaurl"]
        .iter()
        .all(|name| headers.get(*name).is_none_or(|value| value.to_str().is_ok_and(is_plain_url)));
    let is_once = headers.len() == headers.keys_len();
    is_usual && are_attributes && has_plain_schema && is_once && headers.values().all(is_plain)
}

/// Whether a text is a URL that stays as it is: the SDK reads a schema as a URL and writes it in its own form, and ours
/// leaves it the text that it came as.
fn is_plain_url(text: &str) -> bool {
    let parts = text.strip_prefix("https://").and_then(|rest| rest.split_once('/'));
    parts.is_some_and(|(host, path)| {
        let is_host = !host.is_empty() && host.bytes().all(|c| c.is_ascii_lowercase());
        is_host && path.bytes().all(|c| c.is_ascii_lowercase() || c == b'/')
    })
}

fn is_plain_envelope(body: &[u8]) -> bool {
    let Ok(Value::Object(members)) = serde_json::from_slice(body) else { return false };
    let is_text =
        |name: &str| members.get(name).is_none_or(|value| value.as_str().is_some_and(|text| !text.is_empty()));
    let content_type = members.get("datacontenttype").and_then(Value::as_str);
    members.iter().all(|(name, value)| match name.as_str() {
        "data" => !value.is_null() && content_type.is_none_or(|t| t == "application/json"),
        "data_base64" => content_type.is_some_and(|t| matches!(t, "application/json" | "application/octet-stream")),
        "datacontentencoding" => false,
        "dataschema" | "schemaurl" => value.as_str().is_some_and(is_plain_url),
        _ => binding::is_attribute_name(name) && is_text(name),
    })
}

/// Data, JSON wherever it can be: the SDK keeps JSON data in binary mode as the bytes it came in.
pub fn json_as_json(event: &Event) -> Option<Data> {
    event.data().cloned().map(|data| match data {
        Data::Binary(bytes) => serde_json::from_slice(&bytes).map_or(Data::Binary(bytes), Data::Json),
        Data::String(text) => Data::Binary(text.into_bytes()),
        json => json,
    })
}
