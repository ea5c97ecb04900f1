//! A CloudEvent in, a [`PendingClient`] out: somebody asks for a client of a gateway.
//!
//! The binding has already said that it is an event. Here it becomes a wish: of whom an answer will speak
//! ([`Context`]), which gateway is asked for, and whether it may be. No part of a Pod ever comes from an event but the
//! gateway's name, so that is all there is to read. Design, section 4.

use base64::prelude::{BASE64_STANDARD, Engine};
use chrono::{DateTime, Utc};
use cloudevents::event::Data;
use cloudevents::{AttributesReader, Event};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::binding::extension;
use crate::config::Config;
use crate::names::is_label_value;
use crate::reason::{Failure, Reason};

/// The type of the events that are acted upon.
pub const PENDING: &str = "io.podgateway.client.pending";

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The longest text of an event that an answer repeats in its headers, in bytes. An answer repeats up to four of them,
/// each of them up to three times as long once it is percent-encoded, and a host takes 128 KiB of headers.
const LONGEST_REPEATED: usize = 8 << 10;

/// How much of a dead letter's last answer is quoted, in characters.
const LONGEST_QUOTE: usize = 512;

/// What an answer says of the event that it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// The pending event's `source`.
    pub source: String,
    /// The pending event's `id`; with `source` it is the event's identity.
    pub id: String,
    /// The pending event's `correlationid`, where it has one.
    pub correlation_id: Option<String>,
    /// The `traceparent` of the distributed tracing extension.
    pub traceparent: Option<String>,
    /// The `tracestate` of the distributed tracing extension.
    pub tracestate: Option<String>,
}

impl Context {
    /// The context of an event of any type.
    pub fn of(event: &Event) -> Self {
        Self {
            source: event.source().to_string(),
            id: event.id().to_owned(),
            correlation_id: extension(event, "correlationid"),
            traceparent: extension(event, "traceparent"),
            tracestate: extension(event, "tracestate"),
        }
    }

    /// The attribute, if any, that is too long to be repeated in the headers of an answer.
    pub fn unrepeatable(&self) -> Option<&'static str> {
        let repeated = [
            ("id", Some(&self.id)),
            ("correlationid", self.correlation_id.as_ref()),
            ("traceparent", self.traceparent.as_ref()),
            ("tracestate", self.tracestate.as_ref()),
        ];
        let is_too_long = |text: &String| text.len() > LONGEST_REPEATED;
        repeated.into_iter().find(|(_, text)| text.is_some_and(is_too_long)).map(|(name, _)| name)
    }

    /// The headers with which a request goes on with the trace (W3C Trace Context, section 3): none where the event
    /// has no well-formed `traceparent`.
    pub fn trace(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if self.trace_id().is_some() {
            for (name, value) in [(TRACEPARENT, &self.traceparent), (TRACESTATE, &self.tracestate)] {
                let value = value.as_deref().and_then(|value| HeaderValue::from_str(value).ok());
                headers.extend(value.map(|value| (name, value)));
            }
        }
        headers
    }

    /// The trace id within `traceparent` (W3C Trace Context, section 3.2): 32 hexadecimal digits.
    pub fn trace_id(&self) -> Option<&str> {
        let trace_id = self.traceparent.as_deref()?.split('-').nth(1)?;
        (trace_id.len() == 32 && trace_id.bytes().all(|c| c.is_ascii_hexdigit())).then_some(trace_id)
    }
}

/// A client that is asked for and may be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingClient {
    /// The event that asks.
    pub context: Context,
    /// The gateway asked for: a label value, and in the allow-list.
    pub gateway: String,
    /// When it will be too late, from the extension `expirytime`.
    pub expiry: Option<DateTime<Utc>>,
}

impl PendingClient {
    /// Reads a pending event.
    ///
    /// # Errors
    /// Why there can never be a client of this event: `InvalidEventData`, `InvalidGatewayName`, `GatewayNotAllowed`.
    pub fn from_event(event: &Event, config: &Config) -> Result<Self, Failure> {
        let gateway = requested_gateway(event)?;
        check_gateway(gateway, config)?;
        Ok(Self { context: Context::of(event), gateway: gateway.to_owned(), expiry: expiry(event)? })
    }

    /// Whether the event's `expirytime` lies before `now`.
    pub fn is_expired(&self, now: DateTime<Utc>) -> bool {
        self.expiry.is_some_and(|expiry| expiry < now)
    }
}

/// The string `gateway_name` of an event's data.
///
/// # Errors
/// `InvalidEventData` where there is none.
pub fn requested_gateway(event: &Event) -> Result<&str, Failure> {
    let error = |problem: &str| {
        let message = format!(r#"{problem}: send JSON such as {{"gateway_name": "foo"}} as application/json"#);
        Failure::new(Reason::InvalidEventData, message)
    };
    let object = match event.data() {
        Some(Data::Json(Value::Object(object))) => object,
        Some(Data::Json(_)) => return Err(error("the event's data is JSON but not an object")),
        Some(_) => return Err(error("the event's data is not JSON")),
        None => return Err(error("the event has no data")),
    };
    match object.get("gateway_name") {
        Some(Value::String(name)) => Ok(name),
        Some(_) => Err(error("gateway_name is not a string")),
        None => Err(error("the event's data has no gateway_name")),
    }
}

/// Why the broker gave up on a dead-lettered event, from Knative's extensions on it: `knativeerrorcode` and, in base64,
/// `knativeerrordata`.
pub fn undeliverable(event: &Event) -> Failure {
    let code = extension(event, "knativeerrorcode").map_or(String::new(), |code| format!(" with {code}"));
    let data = extension(event, "knativeerrordata").unwrap_or_default();
    let data = BASE64_STANDARD.decode(&data).map_or(data, |bytes| String::from_utf8_lossy(&bytes).into_owned());
    let quoted: String = data.chars().take(LONGEST_QUOTE).collect();
    let quoted = if quoted.is_empty() { quoted } else { format!(": {quoted}") };
    let message = format!(
        "the broker gave up on the event, whose last delivery ended{code}{quoted}; no Pod was left: send a new event"
    );
    Failure::new(Reason::Undeliverable, message)
}

fn check_gateway(name: &str, config: &Config) -> Result<(), Failure> {
    if !is_label_value(name) {
        let message = "gateway_name becomes a label value: use 1 to 63 of A-Z, a-z, 0-9, '.', '_' and '-', \
                       with a letter or digit at both ends";
        return Err(Failure::new(Reason::InvalidGatewayName, message));
    }
    if !config.gateways.allows(name) {
        let allowed: Vec<_> = config.gateways.names().collect();
        let message = format!("the gateway {name} is not allowed here: ask for one of {}", allowed.join(", "));
        return Err(Failure::new(Reason::GatewayNotAllowed, message));
    }
    Ok(())
}

/// CloudEvents extension "Expiry Time": an RFC 3339 timestamp.
fn expiry(event: &Event) -> Result<Option<DateTime<Utc>>, Failure> {
    let Some(text) = extension(event, "expirytime") else { return Ok(None) };
    match DateTime::parse_from_rfc3339(&text) {
        Ok(time) => Ok(Some(time.to_utc())),
        Err(_) => {
            let message = "the extension expirytime is not a timestamp: use RFC 3339, as in 2030-01-31T12:00:00Z";
            Err(Failure::new(Reason::InvalidEventData, message))
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::config::tests::config;
    use cloudevents::{EventBuilder, EventBuilderV10};
    use serde_json::json;

    pub(crate) fn pending(data: Value) -> EventBuilderV10 {
        EventBuilderV10::new().id("1").source("/test").ty(PENDING).data("application/json", data)
    }

    pub(crate) fn client(gateway: &str) -> PendingClient {
        let event = pending(json!({"gateway_name": gateway})).build().unwrap();
        PendingClient::from_event(&event, &config(&[])).unwrap()
    }

    #[track_caller]
    fn check_failure(event: EventBuilderV10, changes: &[(&str, &str)], reason: Reason) {
        let failure = PendingClient::from_event(&event.build().unwrap(), &config(changes)).unwrap_err();
        assert_eq!(failure.reason, reason, "{}", failure.message);
    }

    #[test]
    fn a_pending_event_names_its_gateway() {
        let event = pending(json!({"gateway_name": "foo", "message": "hello", "more": 1})).build().unwrap();
        let client = PendingClient::from_event(&event, &config(&[("gateways", "foo,bar")])).unwrap();
        assert_eq!((client.gateway.as_str(), client.expiry), ("foo", None));
        assert_eq!((client.context.source.as_str(), client.context.id.as_str()), ("/test", "1"));
    }

    #[test]
    fn data_that_names_no_gateway_is_invalid_event_data() {
        for data in [json!(null), json!([]), json!("foo"), json!({}), json!({"gateway_name": 1})] {
            check_failure(pending(data), &[], Reason::InvalidEventData);
        }
        check_failure(pending(json!({"gateway_name": null})), &[], Reason::InvalidEventData);
        let bytes = pending(json!({})).data("text/plain", b"{\"gateway_name\":\"foo\"}".to_vec());
        check_failure(bytes, &[], Reason::InvalidEventData);
        check_failure(EventBuilderV10::new().id("1").source("/").ty(PENDING), &[], Reason::InvalidEventData);
    }

    #[test]
    fn a_name_that_is_no_label_value_is_an_invalid_gateway_name() {
        for name in ["", "a/b", " foo", "-a", "ü", &"a".repeat(64)] {
            check_failure(pending(json!({"gateway_name": name})), &[], Reason::InvalidGatewayName);
        }
    }

    #[test]
    fn a_gateway_outside_the_allow_list_is_not_allowed() {
        check_failure(pending(json!({"gateway_name": "baz"})), &[("gateways", "foo,bar")], Reason::GatewayNotAllowed);
    }

    #[test]
    fn an_expiry_time_is_a_timestamp_and_passes() {
        let at = |time: &str| pending(json!({"gateway_name": "foo"})).extension("expirytime", time);
        let client = |time| PendingClient::from_event(&at(time).build().unwrap(), &config(&[])).unwrap();
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        assert!(client("2025-12-31T23:59:59Z").is_expired(now));
        assert!(client("2026-01-01T00:59:59+01:00").is_expired(now));
        assert!(!client("2026-01-01T00:00:00Z").is_expired(now));
        check_failure(at("tomorrow"), &[], Reason::InvalidEventData);
    }

    #[test]
    fn the_trace_id_is_read_from_a_well_formed_traceparent_only() {
        let trace_id = |value: &str| {
            let event = pending(json!({})).extension("traceparent", value).build().unwrap();
            Context::of(&event).trace_id().map(str::to_owned)
        };
        let well_formed = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(trace_id(well_formed).as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
        assert_eq!(trace_id("00-xyz-1-01"), None);
        assert_eq!(trace_id(""), None);
    }

    #[test]
    fn a_well_formed_trace_goes_on_as_headers() {
        let trace = |traceparent: &str| {
            let event = pending(json!({})).extension("traceparent", traceparent).extension("tracestate", "k=v");
            Context::of(&event.build().unwrap()).trace()
        };
        let headers = trace("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        assert_eq!((headers.len(), &headers[TRACESTATE]), (2, &HeaderValue::from_static("k=v")));
        assert!(trace("00-broken").is_empty());
    }

    #[test]
    fn what_is_too_long_for_the_headers_of_an_answer_is_named() {
        let longest = "ä".repeat(LONGEST_REPEATED / 2);
        let mut context = client("foo").context;
        (context.id, context.tracestate) = (longest.clone(), Some(longest.clone()));
        assert_eq!(context.unrepeatable(), None);
        context.tracestate = Some(longest.clone() + "x");
        assert_eq!(context.unrepeatable(), Some("tracestate"));
        context.id = longest + "x";
        assert_eq!(context.unrepeatable(), Some("id"));
    }

    #[test]
    fn a_dead_letter_says_why_the_broker_gave_up() {
        let event = pending(json!({})).extension("knativeerrorcode", 503i64).extension("knativeerrordata", "bm8=");
        let failure = undeliverable(&event.build().unwrap());
        assert_eq!(failure.reason, Reason::Undeliverable);
        assert!(failure.message.contains("ended with 503: no;"), "{}", failure.message);
        let bare = undeliverable(&pending(json!({})).build().unwrap());
        assert!(bare.message.contains("delivery ended; no Pod was left"), "{}", bare.message);
    }
}
