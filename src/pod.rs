//! A Pod from an answer of the API server, as far as it is used.
//!
//! Its metadata is typed, and its spec is JSON, as in a PodTemplate, so that one table judges both. The rest of an
//! answer (status, managed fields) is skipped. Field names are those of core/v1.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::Value;

use crate::context::Context;

/// The scheduling gate with which a client is created, until its gateway is verified.
pub const GATE: &str = "podgateway.io/gateway-verification";
/// The client's own container.
pub const CLIENT_CONTAINER: &str = "client";
/// The environment variable with which a gateway's admission controller names the gateway's address.
pub const GATEWAY_VARIABLE: &str = "gateway";
/// The label that says who made the Pod.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// Who made the Pod: the label's value, and the User-Agent of every call.
pub const MANAGED_BY: &str = "cloudevents-podgateway-client-provisioner";
/// What all labels and annotations of this project begin with.
pub const OWN_PREFIX: &str = "podgateway.io/";
/// The annotation that holds the pending event's `source`.
pub const EVENT_SOURCE: &str = "podgateway.io/event-source";
/// The annotation that holds the pending event's `id`.
pub const EVENT_ID: &str = "podgateway.io/event-id";
/// The annotation that holds the pending event's `correlationid`, if it has one.
pub const CORRELATION_ID: &str = "podgateway.io/correlation-id";
/// The annotation with the last report that was sent: `running` or `ended`.
pub const REPORTED: &str = "podgateway.io/reported";
/// The annotation on a client whose end was requested: the id of the answer to that request.
pub const TERMINATION: &str = "podgateway.io/termination";
/// The annotation of a Pod that a sweep released, until its `done` was sent.
pub const OWED: &str = "podgateway.io/answer-owed";

/// Part of a core/v1 Pod.
///
/// ```
/// use provisioner::pod::Pod;
///
/// let json = r#"{"metadata": {"name": "a", "namespace": "n", "uid": "u"}, "spec": {"containers": []}}"#;
/// let pod: Pod = serde_json::from_str(json).unwrap();
/// assert!(!pod.is_gated());
/// ```
#[derive(Clone, Debug, Deserialize)]
pub struct Pod {
    /// Name, identity and annotations.
    pub metadata: Metadata,
    /// A core/v1 PodSpec.
    pub spec: Value,
}

/// Part of a meta/v1 ObjectMeta.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// Unique in the namespace.
    pub name: String,
    /// The namespace.
    pub namespace: String,
    /// Unique for ever, unlike the name.
    pub uid: String,
    /// Changes with every change of the object.
    pub resource_version: Option<String>,
    /// When it was created.
    #[serde(default, deserialize_with = "time")]
    pub creation_timestamp: Option<DateTime<Utc>>,
    /// Set once it is being deleted.
    #[serde(default, deserialize_with = "time")]
    pub deletion_timestamp: Option<DateTime<Utc>>,
    /// The grace period in seconds, while it is being deleted.
    pub deletion_grace_period_seconds: Option<i64>,
    /// The finalizers that have to be removed before it is gone.
    pub finalizers: Option<Vec<String>>,
    /// Its labels.
    pub labels: Option<BTreeMap<String, String>>,
    /// Its annotations.
    pub annotations: Option<BTreeMap<String, String>>,
}

/// Reads a meta/v1 Time: RFC 3339, or nothing.
///
/// # Errors
/// It is another text. chrono's own deserializer takes other forms too, whose parsers are 24 KB of the component.
pub fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let text = <Option<String>>::deserialize(deserializer)?;
    text.map(|text| DateTime::parse_from_rfc3339(&text).map(|time| time.to_utc()).map_err(D::Error::custom)).transpose()
}

impl AsRef<Metadata> for Pod {
    fn as_ref(&self) -> &Metadata {
        &self.metadata
    }
}

impl Pod {
    /// Whether the Pod still has our gate.
    pub fn is_gated(&self) -> bool {
        each(&self.spec["schedulingGates"]).any(|gate| gate["name"] == GATE)
    }
}

impl Metadata {
    /// Whether the Pod is being deleted.
    pub fn is_being_deleted(&self) -> bool {
        self.deletion_timestamp.is_some()
    }

    /// Whether the Pod belongs to this event.
    pub fn belongs_to(&self, context: &Context) -> bool {
        self.annotation(EVENT_SOURCE) == Some(&context.source) && self.annotation(EVENT_ID) == Some(&context.id)
    }

    /// The event to which the Pod belongs; `None` if it isn't a client of ours.
    pub fn context(&self) -> Option<Context> {
        let text = |key| self.annotation(key).filter(|text| !text.is_empty()).map(str::to_owned);
        let (source, id) = (text(EVENT_SOURCE)?, text(EVENT_ID)?);
        let context = Context { source, id, correlation_id: text(CORRELATION_ID), ..Context::default() };
        (self.label(MANAGED_BY_LABEL) == Some(MANAGED_BY) && self.name == context.pod_name()).then_some(context)
    }

    /// The value of an annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key).map(String::as_str)
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.as_ref()?.get(key).map(String::as_str)
    }
}

/// Every container of a PodSpec: init containers first, in the order in which they run.
pub fn all_containers(spec: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(|list| each(&spec[list]))
}

/// Whether a PodSpec has the client's own container.
pub fn has_client(spec: &Value) -> bool {
    each(&spec["containers"]).any(|container| container["name"] == CLIENT_CONTAINER)
}

/// A container's variables named `gateway`, by which a gateway's containers are known.
pub fn gateway_variables(container: &Value) -> impl Iterator<Item = &Value> {
    each(&container["env"]).filter(|variable| variable["name"] == GATEWAY_VARIABLE)
}

/// Whether a container has such a variable.
pub fn names_gateway(container: &Value) -> bool {
    gateway_variables(container).next().is_some()
}

/// The items of a list; none if it is not a list.
pub fn each(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// A string; empty if it is not a string.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Whether a field is set: absent, null, false, 0, an empty string, list or object are not.
pub fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}

#[cfg(test)]
mod tests;
