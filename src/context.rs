//! A pending event's identity and what its answer repeats.

use std::fmt::Write as _;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

/// The namespace of all name-based UUIDs of this project (RFC 9562, section 5.5). Never changes: names depend on it.
const UUID_NAMESPACE: Uuid = Uuid::from_u128(0x0b6f_41e7_9d52_4c0e_8f3a_c1d4_72a9_e65b);

/// The longest tracing header that is forwarded, in bytes. W3C Trace Context requires 512 for `tracestate`.
const LONGEST_TRACE: usize = 1_024;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// A UUID that is a function of `parts`, each delimited by its length, so that (`a`, `bc`) and (`ab`, `c`) differ.
///
/// The hashed name is, for each part, its length in bytes in decimal, a colon, and the part itself.
///
/// ```
/// let name = provisioner::context::name_based_uuid(&["/test", "1"]);
/// assert_eq!(name.to_string(), "6ae65cff-3704-5f31-ae9d-cd15c7833b0c");
/// ```
pub fn name_based_uuid(parts: &[&str]) -> Uuid {
    let mut name = String::new();
    for part in parts {
        _ = write!(name, "{}:{part}", part.len());
    }
    Uuid::new_v5(&UUID_NAMESPACE, name.as_bytes())
}

/// The context attributes of an event that are used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The event's `source`.
    pub source: String,
    /// The event's `id`; with `source` it is the event's identity.
    pub id: String,
    /// The event's `correlationid`, if it has one.
    pub correlation_id: Option<String>,
    /// The `traceparent` of the distributed tracing extension.
    pub traceparent: Option<String>,
    /// The `tracestate` of the distributed tracing extension.
    pub tracestate: Option<String>,
    /// The `expirytime` of the expiry time extension.
    pub expirytime: Option<String>,
    /// With which HTTP status the last delivery ended, as Knative tells a dead letter sink.
    pub knativeerrorcode: Option<String>,
    /// What that delivery's answer said; the broker writes it in base64.
    pub knativeerrordata: Option<String>,
}

impl Context {
    /// The name of the event's Pod.
    pub fn pod_name(&self) -> String {
        name_based_uuid(&[&self.source, &self.id]).to_string()
    }

    /// The id of the event's answer of this type.
    pub fn answer_id(&self, ty: &str) -> String {
        name_based_uuid(&[&self.source, &self.id, ty]).to_string()
    }

    /// The headers that continue the trace in a request (W3C Trace Context, section 3): none if the event has no
    /// well-formed `traceparent`. Values that are too long for a header are left out.
    pub fn trace(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if self.trace_id().is_some() {
            for (name, value) in [(TRACEPARENT, &self.traceparent), (TRACESTATE, &self.tracestate)] {
                let value = value.as_deref().filter(|value| value.len() <= LONGEST_TRACE);
                headers.extend(value.and_then(|value| Some((name, HeaderValue::from_str(value).ok()?))));
            }
        }
        headers
    }

    /// The trace id within a well-formed `traceparent` (W3C Trace Context, section 3.2): 32 hexadecimal digits.
    pub fn trace_id(&self) -> Option<&str> {
        let mut fields = self.traceparent.as_deref()?.split('-');
        let is_hex = |field: &str| field.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
        let mut hex = |length| fields.next().filter(|field| field.len() == length && is_hex(field));
        let (version, trace_id, parent_id, _flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
        let is_id = |id: &str| id.bytes().any(|c| c != b'0');
        (version != "ff" && is_id(trace_id) && is_id(parent_id)).then_some(trace_id)
    }
}

#[cfg(test)]
mod tests;
