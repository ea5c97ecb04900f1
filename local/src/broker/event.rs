//! CloudEvents over HTTP, in binary and structured mode.
//!
//! In: headers and a body. Out: an event, nothing when they do not claim to
//! be one, or what is wrong with it. And back, always in binary mode, as
//! Knative's dispatcher sends. Header values are percent-decoded and encoded
//! by the rules of the HTTP binding, which the SDK leaves out.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use cloudevents::event::{AttributesReader, Data, Event};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode, utf8_percent_encode};
use serde_json::{Map, Value};
use thiserror::Error;

/// What must be encoded, of the printable ASCII characters.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// A message is not a CloudEvent that can be taken in.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum EventError {
    /// Several events in one message.
    #[error("batched mode is not supported: send one event in each request")]
    Batch,
    /// A message that is no event, or a broken one.
    #[error("not a CloudEvent: {0}")]
    Malformed(String),
}

fn malformed(why: impl ToString) -> EventError {
    EventError::Malformed(why.to_string())
}

/// Reads a message; `None` when it claims to be no event at all.
pub fn read(headers: &HeaderMap, body: &Bytes) -> Result<Option<Event>, EventError> {
    let media_type = media_type(headers);
    if media_type.starts_with("application/cloudevents-batch") {
        return Err(EventError::Batch);
    }
    if media_type == "application/cloudevents+json" {
        return structured(body).map(Some);
    }
    match headers.contains_key("ce-specversion") {
        true => binary(headers, body).map(Some),
        false => Ok(None),
    }
}

fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(CONTENT_TYPE)?.to_str().ok()
}

fn media_type(headers: &HeaderMap) -> String {
    essence(content_type(headers).unwrap_or_default())
}

fn essence(content_type: &str) -> String {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().to_ascii_lowercase()
}

fn binary(headers: &HeaderMap, body: &Bytes) -> Result<Event, EventError> {
    let mut attributes = Map::new();
    for (name, value) in headers {
        if let Some(name) = name.as_str().strip_prefix("ce-") {
            let value = percent_decode(value.as_bytes()).decode_utf8();
            let value = value.map_err(|_| malformed(format!("ce-{name} is not UTF-8")))?;
            attributes.insert(name.to_owned(), Value::from(value));
        }
    }
    attributes.remove("datacontenttype");
    if let Some(content_type) = content_type(headers) {
        attributes.insert("datacontenttype".to_owned(), content_type.into());
    }
    let data = (!body.is_empty()).then(|| Data::Binary(body.to_vec()));
    build(attributes, data)
}

fn structured(body: &Bytes) -> Result<Event, EventError> {
    let mut members: Map<String, Value> = serde_json::from_slice(body).map_err(malformed)?;
    members.retain(|_, value| !value.is_null());
    let data = match (members.remove("data"), members.remove("data_base64")) {
        (Some(_), Some(_)) => return Err(malformed("it has both data and data_base64")),
        (Some(Value::String(text)), None) if !is_json(&members) => Some(Data::String(text)),
        (Some(data), None) => Some(Data::Json(data)),
        (None, Some(Value::String(text))) => Some(Data::Binary(BASE64_STANDARD.decode(text).map_err(malformed)?)),
        (None, Some(_)) => return Err(malformed("data_base64 is not a string")),
        (None, None) => None,
    };
    build(members, data)
}

fn is_json(members: &Map<String, Value>) -> bool {
    let content_type = members.get("datacontenttype").and_then(Value::as_str);
    let essence = essence(content_type.unwrap_or("application/json"));
    essence.ends_with("/json") || essence.ends_with("+json")
}

fn build(attributes: Map<String, Value>, data: Option<Data>) -> Result<Event, EventError> {
    for required in ["specversion", "id", "source", "type"] {
        let value = attributes.get(required).and_then(Value::as_str);
        if value.unwrap_or_default().is_empty() {
            return Err(malformed(format!("{required} is missing or empty")));
        }
    }
    if let Some(name) = attributes.keys().find(|name| !is_attribute_name(name)) {
        return Err(malformed(format!("{name:?} is no attribute name")));
    }
    let mut event: Event = serde_json::from_value(attributes.into()).map_err(malformed)?;
    if let Some(data) = data {
        event.set_data_unchecked(data);
    }
    Ok(event)
}

fn is_attribute_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    !name.is_empty() && name.bytes().all(allowed)
}

/// Writes an event in binary mode.
pub fn write(event: &Event) -> (HeaderMap, Bytes) {
    let mut headers = HeaderMap::new();
    for (name, value) in event.iter() {
        if name != "datacontenttype" {
            let value = value.to_string();
            let value = utf8_percent_encode(&value, ENCODED).to_string();
            insert(&mut headers, &format!("ce-{name}"), &value);
        }
    }
    if let Some(content_type) = event.datacontenttype() {
        insert(&mut headers, CONTENT_TYPE.as_str(), content_type);
    }
    (headers, data(event))
}

fn insert(headers: &mut HeaderMap, name: &str, value: &str) {
    // Attribute names are checked when an event is read, and the encoding
    // leaves nothing that a header cannot hold.
    if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
        headers.insert(name, value);
    }
}

fn data(event: &Event) -> Bytes {
    match event.data() {
        None => Bytes::new(),
        Some(Data::Binary(bytes)) => Bytes::copy_from_slice(bytes),
        Some(Data::String(text)) => Bytes::copy_from_slice(text.as_bytes()),
        Some(Data::Json(value)) => Bytes::from(value.to_string()),
    }
}

/// An event's data, where it is JSON.
pub fn json_data(event: &Event) -> Option<Value> {
    serde_json::from_slice(&data(event)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            (HeaderName::from_static(name), value)
        };
        pairs.iter().map(pair).collect()
    }

    fn structured_event(event: Value) -> Result<Option<Event>, EventError> {
        let headers = headers(&[("content-type", "Application/CloudEvents+JSON; charset=utf-8")]);
        read(&headers, &Bytes::from(event.to_string()))
    }

    const BINARY: [(&str, &str); 4] =
        [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "t")];

    #[test]
    fn binary_event_comes_out_as_it_went_in() {
        let extra = [
            ("content-type", "application/json"),
            ("ce-subject", "a%20%22%25%E2%82%AC"),
            ("ce-time", "2026-01-02T03:04:05Z"),
            ("ce-someextension", "x"),
        ];
        let sent = headers(&[BINARY.as_slice(), &extra].concat());
        let body = Bytes::from_static(b"{\"a\": 1}");
        let event = read(&sent, &body).unwrap().unwrap();
        assert_eq!(event.subject(), Some("a \"%€"));
        let (mut received, data) = write(&event);
        let time = received.remove("ce-time").unwrap();
        assert!(time.to_str().unwrap().starts_with("2026-01-02T03:04:05"));
        let mut sent = sent;
        sent.remove("ce-time");
        assert_eq!((received, data), (sent, body));
    }

    #[test]
    fn structured_data_keeps_its_bytes() {
        let event = |members: Value| {
            let mut event = json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "t"});
            event.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            write(&structured_event(event).unwrap().unwrap()).1
        };
        assert_eq!(event(json!({"data": {"a": 1}})), "{\"a\":1}");
        assert_eq!(event(json!({"data": "a"})), "\"a\"");
        assert_eq!(event(json!({"data": "a", "datacontenttype": "text/plain"})), "a");
        assert_eq!(event(json!({"data_base64": "AAE="})), &[0u8, 1][..]);
        assert_eq!(event(json!({"data": null, "subject": null})), "");
    }

    #[test]
    fn what_claims_to_be_no_event_is_none_and_a_batch_is_told_apart() {
        let plain = headers(&[("content-type", "application/json")]);
        assert_eq!(read(&plain, &Bytes::from_static(b"{}")), Ok(None));
        let batch = headers(&[("content-type", "application/cloudevents-batch+json")]);
        assert_eq!(read(&batch, &Bytes::from_static(b"[]")), Err(EventError::Batch));
    }

    #[test]
    fn broken_events_are_refused() {
        for broken in [
            json!({"specversion": "1.0", "id": "", "source": "/s", "type": "t"}),
            json!({"specversion": "9.9", "id": "1", "source": "/s", "type": "t"}),
            json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "a_b": "x"}),
            json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "time": "now"}),
            json!([]),
        ] {
            assert!(structured_event(broken.clone()).is_err(), "{broken}");
        }
        let text = headers(&[BINARY.as_slice(), &[("ce-subject", "%FF")]].concat());
        assert!(read(&text, &Bytes::new()).is_err());
    }
}
