//! A CloudEvent as a broker has it: whole, by the component's own HTTP binding.
//!
//! That binding judges a message, but keeps of it only what the component uses; here all of it is passed on. As in
//! Knative's data plane a header is neither decoded nor encoded: `docs/contract.md`, "Identity on the wire".

use chrono::Utc;
use cloudevents::event::Data;
use cloudevents::{Event, EventBuilder, EventBuilderV10};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use provisioner::cloudevents::{BYTE_ORDER_MARK, Mode, ReadError, is_attribute_name, read as judge};
use serde::Deserialize;
use serde::de::Error as _;
use serde_json::{Map, Value, json};
use thiserror::Error;
use uuid::Uuid;

/// A message is not a CloudEvent that can be taken in.
#[derive(Debug, Error)]
pub enum EventError {
    /// The component would not take it either.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An attribute that the component doesn't use is not as its type says.
    #[error("not a CloudEvent: {0}")]
    Attribute(#[from] serde_json::Error),
}

/// Reads a message.
pub fn read(headers: &HeaderMap, body: &[u8]) -> Result<Event, EventError> {
    let mode = judge(headers, body)?.mode;
    let mut members = match mode {
        Mode::Structured => serde_json::from_slice(body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body))?,
        Mode::Binary => attributes(headers),
    };
    members.retain(|_, value| !value.is_null());
    let is_name = |name: &&String| is_attribute_name(name) || *name == "data_base64";
    if let Some(name) = members.keys().find(|name| !is_name(name)) {
        let rule = "is no attribute's name: those are of lower-case letters and digits";
        return Err(serde_json::Error::custom(format_args!("{name:?} {rule}")).into());
    }
    let members = Value::Object(members);
    let mut event = Event::deserialize(&members).map_err(|error| {
        let spoils = |name: &&String| {
            let mut event = json!({"specversion": "1.0", "id": "1", "source": "/", "type": "t"});
            event[*name] = members[*name].clone();
            Event::deserialize(&event).is_err()
        };
        let name = members.as_object().into_iter().flat_map(Map::keys).find(spoils).map_or("", String::as_str);
        serde_json::Error::custom(format_args!("the attribute {name} can't be read: {error}"))
    })?;
    if mode == Mode::Binary && !body.is_empty() {
        event.set_data_unchecked(Data::Binary(body.to_vec()));
    }
    Ok(event)
}

fn attributes(headers: &HeaderMap) -> Map<String, Value> {
    let text = |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into());
    let names = headers.keys().filter_map(|name| name.as_str().strip_prefix("ce-"));
    let mut attributes: Map<_, _> =
        names.filter_map(|name| Some((name.to_owned(), text(&format!("ce-{name}"))?))).collect();
    attributes.insert("datacontenttype".to_owned(), text(CONTENT_TYPE.as_str()).unwrap_or_default());
    attributes
}

/// An event's data, where it is JSON.
pub fn json_data(event: &Event) -> Option<Value> {
    event.data()?.clone().try_into().ok()
}

/// A new event, of this moment and with an id of its own.
pub fn new_event(source: &str, ty: &str, data: Value) -> EventBuilderV10 {
    let id = Uuid::new_v4().to_string();
    EventBuilderV10::new().id(id).source(source).ty(ty).time(Utc::now()).data("application/json", data)
}
