//! Turns a CloudEvent into a request for a client: its identity, the gateway, and whether that gateway is allowed.
//!
//! In: a [`Received`] event. Out: a [`Pending`], or the [`Failure`] that says why there can never be a client. Only the
//! gateway's name is read from the data, because nothing else of a Pod may come from an event. `docs/contract.md`, "The
//! pending event".

use base64::prelude::{BASE64_STANDARD, Engine};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::cloudevents::{BYTE_ORDER_MARK, Data};
use crate::config::Config;
use crate::context::Context;
use crate::names::is_label_value;
use crate::reason::{Failure, Reason};
use crate::state::Observed;
use crate::text::cut;

/// The type of the events that ask for a client.
pub const PENDING: &str = "io.podgateway.client.pending";
/// The type of the events that ask for a client's end.
pub const TERMINATION: &str = "io.podgateway.client.termination.pending";
/// The type of an ApiServerSource's events about a created object.
pub const ADDED: &str = "dev.knative.apiserver.resource.add";
/// The type of an ApiServerSource's events about a changed object.
pub const UPDATED: &str = "dev.knative.apiserver.resource.update";
/// The type of an ApiServerSource's events about a deleted object.
pub const DELETED: &str = "dev.knative.apiserver.resource.delete";
/// What the types of all events of an ApiServerSource begin with, in any mode.
pub const HINTS: &str = "dev.knative.apiserver.";
/// The type of the events of a PingSource.
pub const PING: &str = "dev.knative.sources.ping";

/// The largest object that is read from an event, in bytes. No Pod of ours is as large, unless its event's id is.
const LARGEST_HINT: usize = 256 << 10;

/// The longest quotation from a dead letter's last answer, in bytes.
const LONGEST_QUOTE: usize = 512;

/// What an error calls an event's data.
const DATA: &str = "the event's data";

/// The longest `gateway_name` that an answer repeats, in bytes. No valid one is a tenth as long.
const LONGEST_REPEATED: usize = 1_024;

/// A request for a client of an allowed gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending<'a> {
    /// The pending event.
    pub context: &'a Context,
    /// The requested gateway: a label value, and one of `gateways`.
    pub gateway: &'a str,
    /// The name of the client's Pod.
    pub pod_name: String,
}

impl<'a> Pending<'a> {
    /// The request of an event, if its gateway is allowed.
    ///
    /// # Errors
    /// `InvalidGatewayName`, `GatewayNotAllowed`.
    pub fn new(context: &'a Context, gateway: &'a str, config: &Config) -> Result<Self, Failure> {
        if !is_label_value(gateway) {
            let message = "gateway_name becomes a label value: use 1 to 63 of A-Z, a-z, 0-9, '.', '_' and '-', \
                           with a letter or digit at both ends";
            return Err(Failure::new(Reason::InvalidGatewayName, message));
        }
        if !config.allows(gateway) {
            let allowed: Vec<_> = config.gateways().collect();
            let message = format!("the gateway {gateway} is not allowed here: ask for one of {}", allowed.join(", "));
            return Err(Failure::new(Reason::GatewayNotAllowed, message));
        }
        Ok(Self { context, gateway, pod_name: context.pod_name() })
    }
}

/// The string `gateway_name` of a pending event's data.
///
/// ```
/// use provisioner::cloudevents::Data;
/// use provisioner::event::requested_gateway;
///
/// let data = Data::Json(br#"{"gateway_name": "foo", "message": "ignored"}"#.into());
/// assert_eq!(requested_gateway(&data).unwrap(), "foo");
/// assert!(requested_gateway(&Data::Absent).is_err());
/// ```
///
/// # Errors
/// `InvalidEventData` if there is none, with what is there instead.
pub fn requested_gateway(data: &Data) -> Result<String, Failure> {
    json(data).and_then(gateway_name).map_err(|problem| invalid(&problem, r#"{"gateway_name": "foo"}"#))
}

/// The identity of the pending event whose client is to end: the member `pending_event`, as every answer has it.
///
/// # Errors
/// `InvalidEventData` if there is none.
pub fn pending_event(data: &Data) -> Result<Context, Failure> {
    let example = r#"{"pending_event": {"source": "/me", "id": "1"}}"#;
    json(data).and_then(identity).map_err(|problem| invalid(&problem, example))
}

fn invalid(problem: &str, example: &str) -> Failure {
    Failure::new(Reason::InvalidEventData, format!("{problem}: send JSON such as {example} as application/json"))
}

/// The Pod in an ApiServerSource's event; `None` if it is about something else.
pub fn observed(data: &Data) -> Option<Box<Observed>> {
    let json = json(data).ok().filter(|json| json.len() <= LARGEST_HINT)?;
    let pod: Box<Observed> = serde_json::from_slice(json).ok()?;
    Some(pod).filter(|pod| !pod.metadata.uid.is_empty())
}

fn json<'a>(data: &'a Data) -> Result<&'a [u8], String> {
    match data {
        Data::Json(json) => Ok(json.strip_prefix(BYTE_ORDER_MARK).unwrap_or(json)),
        Data::Other(media_type) => Err(format!("the event's data is {media_type} and not JSON")),
        Data::Compressed => Err("the event's data is compressed with gzip".to_owned()),
        Data::Absent => Err("the event has no data".to_owned()),
    }
}

/// Reads an object, and says what is there instead.
fn object<'a, T: Deserialize<'a>>(json: &'a [u8], what: &str) -> Result<T, String> {
    let object = match list_or_string(json) {
        Some(other) => Err(other.to_owned()),
        None => serde_json::from_slice(json).map_err(|error| match error.is_data() {
            true => format!("can't be read ({error})"),
            false => format!("is not JSON ({error})"),
        }),
    };
    object.map_err(|problem| format!("{what} {problem}"))
}

/// serde's derive would also accept a list, item by item, and its error about a string quotes all of it. A string that
/// contains JSON was encoded twice, as several bindings and tools do.
fn list_or_string(json: &[u8]) -> Option<&'static str> {
    let holds_json = |text: String| text.trim_start().starts_with(['{', '"']);
    match json.trim_ascii_start().first()? {
        b'[' => Some("is a list and not an object"),
        b'"' if serde_json::from_slice(json).is_ok_and(holds_json) => {
            Some("is a string that holds JSON, so it was encoded twice")
        }
        b'"' => Some("is a string and not an object"),
        _ => None,
    }
}

#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct PendingData<'a> {
    #[serde(borrow, default, deserialize_with = "given")]
    gateway_name: Option<&'a RawValue>,
}

/// Any value of the member, `null` included.
fn given<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

fn gateway_name(json: &[u8]) -> Result<String, String> {
    let data: PendingData = object(json, DATA)?;
    match data.gateway_name.map(RawValue::get) {
        None => Err("the event's data has no gateway_name".to_owned()),
        Some("null") => Err("gateway_name is null".to_owned()),
        Some(raw) => serde_json::from_str(raw).map_err(|_| "gateway_name is not a string".to_owned()),
    }
}

fn identity(json: &[u8]) -> Result<Context, String> {
    #[derive(Deserialize)]
    #[serde(expecting = "an object")]
    struct TerminationData<'a> {
        #[serde(borrow)]
        pending_event: &'a RawValue,
    }
    #[derive(Deserialize)]
    #[serde(expecting = "an object")]
    struct PendingEvent {
        source: String,
        id: String,
    }
    let data: TerminationData = object(json, DATA)?;
    let PendingEvent { source, id } = object(data.pending_event.get().as_bytes(), "pending_event")?;
    match source.is_empty() || id.is_empty() {
        true => Err("source or id of pending_event is empty".to_owned()),
        false => Ok(Context { source, id, ..Context::default() }),
    }
}

/// The `gateway_name` as an answer repeats it.
pub fn repeated(gateway: &str) -> Option<&str> {
    Some(gateway).filter(|gateway| gateway.len() <= LONGEST_REPEATED)
}

/// Whether the event has expired: CloudEvents extension "Expiry Time", an RFC 3339 timestamp.
///
/// # Errors
/// `InvalidEventData` if it is not a timestamp.
pub fn is_expired(context: &Context, now: DateTime<Utc>) -> Result<bool, Failure> {
    let Some(text) = &context.expirytime else { return Ok(false) };
    let expiry = DateTime::parse_from_rfc3339(text).map_err(|_| {
        let message = "the extension expirytime is not a timestamp: use RFC 3339, as in 2030-01-31T12:00:00Z";
        Failure::new(Reason::InvalidEventData, message)
    })?;
    Ok(expiry < now)
}

/// The failure of an expired event.
pub fn expired() -> Failure {
    Failure::new(Reason::EventExpired, "the event's expirytime has passed: send a new event")
}

/// The failure of an event that is no longer delivered, and whose Pod stayed gated.
pub fn forgotten() -> Failure {
    Failure::new(Reason::Undeliverable, "the event is no longer delivered, and it has no Pod: send a new event")
}

/// The failure of an event that the broker gave up on, with what Knative says about its last delivery.
pub fn undeliverable(context: &Context) -> Failure {
    let code = context.knativeerrorcode.as_deref().map(|code| format!(" with {}", cut(code, LONGEST_QUOTE)));
    let code = code.unwrap_or_default();
    let data = context.knativeerrordata.as_deref().unwrap_or_default();
    let data = BASE64_STANDARD.decode(data).map_or(data.into(), |bytes| String::from_utf8_lossy(&bytes).into_owned());
    let quoted = if data.is_empty() { String::new() } else { format!(": {}", cut(&data, LONGEST_QUOTE)) };
    let ended = if code.is_empty() && quoted.is_empty() { "" } else { ": its last delivery ended" };
    let message = format!("the broker gave up on the event{ended}{code}{quoted}; it has no Pod: send a new event");
    Failure::new(Reason::Undeliverable, message)
}

#[cfg(test)]
mod tests;
