//! A Pod as the API server answers with it, as far as the promises rest on it.
//!
//! Its metadata are typed, by serde's derive, and its spec is JSON: the same that a PodTemplate has, so that one table
//! judges both. What else an answer holds (status, managed fields) is skipped. Field names are those of core/v1.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use crate::context::Context;

/// The scheduling gate under which a client is created and which is removed once its gateway was seen.
pub const GATE: &str = "podgateway.io/gateway-verification";
/// The container that is the client's own.
pub const CLIENT_CONTAINER: &str = "client";
/// The environment variable with which a gateway's admission controller names the gateway's address.
pub const GATEWAY_VARIABLE: &str = "gateway";
/// The label that says who made the Pod.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// Who made the Pod: the label's value, and the User-Agent of every call.
pub const MANAGED_BY: &str = "cloudevents-podgateway-client-provisioner";
/// The annotation that holds the pending event's `source`.
pub const EVENT_SOURCE: &str = "podgateway.io/event-source";
/// The annotation that holds the pending event's `id`.
pub const EVENT_ID: &str = "podgateway.io/event-id";
/// The annotation that holds the pending event's `correlationid`, where it has one.
pub const CORRELATION_ID: &str = "podgateway.io/correlation-id";
/// The annotation that says which state of the client was told last: the value is `running` or `ended`.
pub const REPORTED: &str = "podgateway.io/reported";
/// The annotation on a client that was asked to end: the id of the answer to whoever asked.
pub const TERMINATION: &str = "podgateway.io/termination";

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
    /// Name, identity and the marks that the provisioner left on it.
    pub metadata: Metadata,
    /// What runs in it, and what holds it back: a core/v1 PodSpec.
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
    /// Unique for ever: another Pod of the same name has another.
    pub uid: String,
    /// Changes with every change of the object.
    pub resource_version: Option<String>,
    /// When it was created.
    pub creation_timestamp: Option<DateTime<Utc>>,
    /// Set once it is being deleted.
    pub deletion_timestamp: Option<DateTime<Utc>>,
    /// How many seconds it has to end once it is being deleted.
    pub deletion_grace_period_seconds: Option<u64>,
    /// Who has to agree before it is gone.
    pub finalizers: Option<Vec<String>>,
    /// Its labels.
    pub labels: Option<BTreeMap<String, String>>,
    /// Its annotations.
    pub annotations: Option<BTreeMap<String, String>>,
}

impl AsRef<Metadata> for Pod {
    fn as_ref(&self) -> &Metadata {
        &self.metadata
    }
}

impl Pod {
    /// Whether our gate still holds the Pod back.
    pub fn is_gated(&self) -> bool {
        each(&self.spec["schedulingGates"]).any(|gate| gate["name"] == GATE)
    }
}

impl Metadata {
    /// Whether the Pod is on its way out.
    pub fn is_being_deleted(&self) -> bool {
        self.deletion_timestamp.is_some()
    }

    /// Whether the Pod was made of this very event.
    pub fn belongs_to(&self, context: &Context) -> bool {
        self.annotation(EVENT_SOURCE) == Some(&context.source) && self.annotation(EVENT_ID) == Some(&context.id)
    }

    /// The event that the Pod was made of, as far as the Pod says it; `None` where it isn't a client of ours.
    pub fn context(&self) -> Option<Context> {
        let text = |key| self.annotation(key).map(str::to_owned);
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

/// The variables of a container by which a gateway's are known.
pub fn gateway_variables(container: &Value) -> impl Iterator<Item = &Value> {
    each(&container["env"]).filter(|variable| variable["name"] == GATEWAY_VARIABLE)
}

/// Whether a container carries such a variable, as a gateway's own do.
pub fn names_gateway(container: &Value) -> bool {
    gateway_variables(container).next().is_some()
}

/// The items of a list; none where it is no list.
pub fn each(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// A text; empty where it is none.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Whether a field says anything: absent, null, false, 0, empty text, an empty list and an empty object don't.
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
