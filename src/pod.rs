//! The client Pod: as it is asked for, and as the API server gives it back.
//!
//! [`name`] is a function of the event's identity alone, which is what makes a redelivered event find its own Pod.
//! [`manifest`] is what the provisioner wants; [`Pod`] is the part of the API server's answer that the promises rest
//! on. Objects are `serde_json` values on the way out and small types on the way in; tests hold both against
//! `k8s-openapi`'s. Design, section 5.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde::de::{DeserializeSeed, Error};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::config::{Config, Verification};
use crate::event::{Context, PendingClient};
use crate::fields::{Json, Only, Problem, boolean, list, optional, parse_only, required, text, texts, time};
use crate::template::{self, Base, CLIENT_CONTAINER};

/// The scheduling gate under which a client is created and which is removed once its gateway was seen.
pub const GATE: &str = "podgateway.io/gateway-verification";
/// Who made the Pod: `app.kubernetes.io/managed-by`, and the User-Agent of every call.
pub const MANAGED_BY: &str = "cloudevents-podgateway-client-provisioner";
/// The annotation that holds the pending event's `source`.
pub const EVENT_SOURCE: &str = "podgateway.io/event-source";
/// The annotation that holds the pending event's `id`.
pub const EVENT_ID: &str = "podgateway.io/event-id";

/// The namespace of all name-based UUIDs of this project (RFC 9562, section 5.5). Never changes: names depend on it.
const UUID_NAMESPACE: Uuid = Uuid::from_u128(0x0b6f_41e7_9d52_4c0e_8f3a_c1d4_72a9_e65b);

/// A UUID that is a function of `parts`, each delimited by its length, so that (`a`, `bc`) and (`ab`, `c`) differ.
///
/// The hashed name is, for each part, its length in bytes in decimal, a colon, and the part itself.
pub fn name_based_uuid(parts: &[&str]) -> Uuid {
    let mut name = String::new();
    for part in parts {
        _ = write!(name, "{}:{part}", part.len());
    }
    Uuid::new_v5(&UUID_NAMESPACE, name.as_bytes())
}

/// The name of an event's Pod: a UUID of the event's `source` and `id`.
pub fn name(context: &Context) -> String {
    name_based_uuid(&[&context.source, &context.id]).to_string()
}

/// The Pod to create, a core/v1 Pod as JSON: what the promises need, laid over `base`.
pub fn manifest(client: &PendingClient, config: &Config, base: Option<Base>) -> Value {
    let name = name(&client.context);
    let Base { mut labels, mut annotations, mut spec } = base.unwrap_or_else(|| plain(config));
    labels.extend(text_map([
        ("app.kubernetes.io/name", "podgateway-client"),
        ("app.kubernetes.io/instance", &name),
        ("app.kubernetes.io/managed-by", MANAGED_BY),
        (&config.gateway_key, &client.gateway),
    ]));
    annotations.extend(text_map([
        (config.gateway_key.as_str(), client.gateway.as_str()),
        (EVENT_SOURCE, &client.context.source),
        (EVENT_ID, &client.context.id),
    ]));
    secure(&mut spec, config.gateway_verification);
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name, "namespace": config.client_namespace },
    });
    // Not by `json!`, which copies what it is given.
    pod["metadata"]["labels"] = Value::Object(labels);
    pod["metadata"]["annotations"] = Value::Object(annotations);
    pod["spec"] = spec;
    pod
}

/// The base of a Pod where there is no PodTemplate.
fn plain(config: &Config) -> Base {
    let mut container = json!({ "name": CLIENT_CONTAINER, "image": config.client_image });
    if !config.client_command.is_empty() {
        container["command"] = json!(config.client_command);
    }
    let mut spec = json!({});
    spec["containers"] = Value::Array(vec![container]);
    Base { labels: Map::new(), annotations: Map::new(), spec }
}

fn text_map<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> impl Iterator<Item = (String, Value)> {
    entries.into_iter().map(|(key, value)| (key.to_owned(), Value::from(value)))
}

/// Lays over a spec what the promises need. Another's scheduling gates stay: they hold the Pod back as well.
fn secure(spec: &mut Value, verification: Verification) {
    spec["automountServiceAccountToken"] = json!(false);
    if let Some(client) = client_container(spec) {
        template::harden(client);
    }
    if verification == Verification::Required {
        let mut gates = match spec["schedulingGates"].take() {
            Value::Array(gates) => gates,
            _ => Vec::new(),
        };
        gates.retain(|gate| gate["name"] != GATE);
        gates.push(json!({ "name": GATE }));
        spec["schedulingGates"] = Value::Array(gates);
    }
}

fn client_container(spec: &mut Value) -> Option<&mut Value> {
    let containers = spec["containers"].as_array_mut()?;
    containers.iter_mut().find(|container| container["name"] == CLIENT_CONTAINER)
}

/// A Pod as the API server answers with it, as far as it matters here.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Name, identity and the marks that the provisioner left on it.
    pub metadata: Metadata,
    /// What runs in it, and what holds it back.
    pub spec: Spec,
}

/// A Pod as the API server answers with it to its release: nothing is decided any more, so nothing else is read.
#[derive(Clone, Debug)]
pub struct Released {
    /// Who it is, and when it was created; labels and annotations are left out.
    pub metadata: Metadata,
    /// Whether our gate holds it back all the same.
    pub is_gated: bool,
}

/// Part of a core/v1 ObjectMeta.
#[derive(Clone, Debug)]
pub struct Metadata {
    /// The Pod's name.
    pub name: String,
    /// The Pod's namespace.
    pub namespace: String,
    /// The identity of this one object, which no later Pod of the same name has.
    pub uid: String,
    /// The version of the object, for preconditions.
    pub resource_version: Option<String>,
    /// When it was created.
    pub creation_timestamp: Option<DateTime<Utc>>,
    /// Set as soon as it is being deleted.
    pub deletion_timestamp: Option<DateTime<Utc>>,
    /// Its labels.
    pub labels: Option<BTreeMap<String, String>>,
    /// Its annotations.
    pub annotations: Option<BTreeMap<String, String>>,
}

/// Part of a core/v1 PodSpec.
#[derive(Clone, Debug)]
pub struct Spec {
    /// What runs first, in this order.
    pub init_containers: Option<Vec<Container>>,
    /// What runs then.
    pub containers: Vec<Container>,
    /// What somebody added for debugging.
    pub ephemeral_containers: Option<Vec<Container>>,
    /// What holds the Pod back from being scheduled.
    pub scheduling_gates: Option<Vec<Gate>>,
    /// Whether the Pod lives in the node's network, past every gateway.
    pub host_network: Option<bool>,
}

/// Part of a core/v1 Container.
#[derive(Clone, Debug)]
pub struct Container {
    /// Its name, unique in its Pod.
    pub name: String,
    /// Its image.
    pub image: Option<String>,
    /// Its entrypoint.
    pub command: Option<Vec<String>>,
    /// The arguments of its entrypoint.
    pub args: Option<Vec<String>>,
    /// Its environment.
    pub env: Option<Vec<EnvVar>>,
    /// What it may do, kept as it came.
    pub security_context: Value,
}

/// A core/v1 EnvVar: literal where it has a value.
#[derive(Clone, Debug)]
pub struct EnvVar {
    /// The variable's name.
    pub name: String,
    /// The literal value; `None` where it comes from elsewhere or is empty.
    pub value: Option<String>,
}

/// A core/v1 PodSchedulingGate.
#[derive(Clone, Debug)]
pub struct Gate {
    /// Who holds the Pod back.
    pub name: String,
}

impl Pod {
    /// Reads a Pod from the API server's JSON.
    ///
    /// # Errors
    /// What is no JSON about it, or the field that is wrong.
    pub fn parse(json: &[u8]) -> Result<Self, Problem> {
        Self::read(parse_only(json, ONLY).map_err(|e| e.to_string())?)
    }

    fn read(mut pod: Json<'_>) -> Result<Self, Problem> {
        let metadata = required(&mut pod, "metadata", Metadata::read)?;
        Ok(Self { metadata, spec: required(&mut pod, "spec", Spec::read)? })
    }
}

impl<'de> Deserialize<'de> for Pod {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(ONLY.deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// What is read of a Pod.
#[rustfmt::skip]
const ONLY: Only<'_> = Only {
    names: &[
        "metadata", "name", "namespace", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp",
        "spec", "initContainers", "containers", "ephemeralContainers", "schedulingGates", "hostNetwork",
        "image", "command", "args", "env", "value",
    ],
    whole: &["labels", "annotations", "securityContext"],
    everything: false,
};

impl Released {
    /// Reads a Pod from the API server's JSON.
    ///
    /// # Errors
    /// As [`Pod::parse`].
    pub fn parse(json: &[u8]) -> Result<Self, Problem> {
        const ONLY: Only<'_> = Only {
            names: &["metadata", "name", "namespace", "uid", "creationTimestamp", "spec", "schedulingGates"],
            whole: &[],
            everything: false,
        };
        let mut pod = parse_only(json, ONLY).map_err(|e| e.to_string())?;
        let metadata = required(&mut pod, "metadata", Metadata::read)?;
        let gates = required(&mut pod, "spec", gates)?;
        Ok(Self { metadata, is_gated: holds_back(gates.as_deref()) })
    }
}

impl Metadata {
    fn read(mut metadata: Json<'_>) -> Result<Self, Problem> {
        Ok(Self {
            name: required(&mut metadata, "name", text)?,
            namespace: required(&mut metadata, "namespace", text)?,
            uid: required(&mut metadata, "uid", text)?,
            resource_version: optional(&mut metadata, "resourceVersion", text)?,
            creation_timestamp: optional(&mut metadata, "creationTimestamp", time)?,
            deletion_timestamp: optional(&mut metadata, "deletionTimestamp", time)?,
            labels: optional(&mut metadata, "labels", texts)?,
            annotations: optional(&mut metadata, "annotations", texts)?,
        })
    }
}

impl Spec {
    fn read(mut spec: Json<'_>) -> Result<Self, Problem> {
        Ok(Self {
            init_containers: optional(&mut spec, "initContainers", list(Container::read))?,
            containers: required(&mut spec, "containers", list(Container::read))?,
            ephemeral_containers: optional(&mut spec, "ephemeralContainers", list(Container::read))?,
            host_network: optional(&mut spec, "hostNetwork", boolean)?,
            scheduling_gates: gates(spec)?,
        })
    }
}

/// What holds a Pod of this spec back.
fn gates(mut spec: Json<'_>) -> Result<Option<Vec<Gate>>, Problem> {
    optional(&mut spec, "schedulingGates", list(Gate::read))
}

fn holds_back(gates: Option<&[Gate]>) -> bool {
    gates.into_iter().flatten().any(|gate| gate.name == GATE)
}

impl Container {
    fn read(mut container: Json<'_>) -> Result<Self, Problem> {
        Ok(Self {
            name: required(&mut container, "name", text)?,
            image: optional(&mut container, "image", text)?,
            command: optional(&mut container, "command", list(text))?,
            args: optional(&mut container, "args", list(text))?,
            env: optional(&mut container, "env", list(EnvVar::read))?,
            security_context: container.take("securityContext").into(),
        })
    }
}

impl EnvVar {
    fn read(mut variable: Json<'_>) -> Result<Self, Problem> {
        let name = required(&mut variable, "name", text)?;
        Ok(Self { name, value: optional(&mut variable, "value", text)? })
    }
}

impl Gate {
    fn read(mut gate: Json<'_>) -> Result<Self, Problem> {
        Ok(Self { name: required(&mut gate, "name", text)? })
    }
}

impl Pod {
    /// Whether our gate still holds the Pod back.
    pub fn is_gated(&self) -> bool {
        holds_back(self.spec.scheduling_gates.as_deref())
    }

    /// Whether the Pod is on its way out.
    pub fn is_being_deleted(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// Whether the Pod was made of this very event.
    pub fn belongs_to(&self, context: &Context) -> bool {
        self.annotation(EVENT_SOURCE) == Some(&context.source) && self.annotation(EVENT_ID) == Some(&context.id)
    }

    /// The value of an annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.metadata.annotations.as_ref()?.get(key).map(String::as_str)
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.metadata.labels.as_ref()?.get(key).map(String::as_str)
    }

    /// Every container of any sort: init containers first, in the order in which they run.
    pub fn all_containers(&self) -> impl Iterator<Item = &Container> {
        let init = self.spec.init_containers.iter().flatten();
        init.chain(&self.spec.containers).chain(self.spec.ephemeral_containers.iter().flatten())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::config::tests::config;
    use crate::event::tests::client;
    use crate::template::tests::pod_template;

    fn context(source: &str, id: &str) -> Context {
        let mut context = client("foo").context;
        (context.source, context.id) = (source.into(), id.into());
        context
    }

    #[test]
    fn names_are_golden() {
        assert_eq!(name(&context("/test", "1")), "6ae65cff-3704-5f31-ae9d-cd15c7833b0c");
        assert_eq!(name(&context("/dienst/ä", "Ω 1")), "6256337b-3cb0-5b30-a72d-ce9b80db4443");
    }

    #[test]
    fn the_border_between_source_and_id_is_part_of_the_name() {
        assert_ne!(name(&context("a", "bc")), name(&context("ab", "c")));
        assert_ne!(name(&context("a1:b", "c")), name(&context("a", "1:bc")));
    }

    #[test]
    fn the_manifest_is_a_gated_pod_that_kubernetes_knows() {
        let manifest = manifest(&client("foo"), &config(&[]), None);
        let pod: k8s_openapi::api::core::v1::Pod = serde_json::from_value(manifest.clone()).unwrap();
        assert_eq!(serde_json::to_value(&pod).unwrap(), manifest, "a field is misspelt or unknown");
        let spec = pod.spec.unwrap();
        assert_eq!(spec.scheduling_gates.unwrap()[0].name, GATE);
        assert_eq!(spec.automount_service_account_token, Some(false));
        assert_eq!((spec.containers.len(), spec.init_containers, spec.node_name), (1, None, None));
        let metadata = pod.metadata;
        assert_eq!(metadata.labels.unwrap()["setGateway"], "foo");
        assert_eq!(metadata.annotations.unwrap()["setGateway"], "foo");
    }

    #[test]
    fn without_verification_there_is_no_gate() {
        let manifest = manifest(&client("foo"), &config(&[("gateway_verification", "off")]), None);
        assert_eq!(manifest["spec"].get("schedulingGates"), None);
    }

    #[test]
    fn an_empty_command_leaves_the_entrypoint_to_the_image() {
        let manifest = manifest(&client("foo"), &config(&[("client_command", "[]")]), None);
        assert_eq!(manifest["spec"]["containers"][0].get("command"), None);
    }

    #[test]
    fn a_template_is_kept_but_for_what_the_promises_need() {
        let template = pod_template(|spec| {
            spec["automountServiceAccountToken"] = json!(true);
            spec["schedulingGates"] = json!([{"name": "example.com/later"}]);
            spec["containers"].as_array_mut().unwrap().push(json!({"name": "sidecar", "image": "s"}));
        });
        let base = template::base("crawler", template).unwrap();
        let manifest = manifest(&client("foo"), &config(&[]), Some(base));
        let pod: k8s_openapi::api::core::v1::Pod = serde_json::from_value(manifest.clone()).unwrap();
        assert_eq!(serde_json::to_value(&pod).unwrap(), manifest);
        assert_eq!(
            (&manifest["metadata"]["labels"]["team"], &manifest["metadata"]["annotations"]["note"]),
            (&json!("a"), &json!("b"))
        );
        assert_eq!(manifest["metadata"]["labels"]["setGateway"], "foo");
        let spec = &manifest["spec"];
        assert_eq!(
            (&spec["nodeSelector"]["disk"], &spec["automountServiceAccountToken"]),
            (&json!("ssd"), &json!(false))
        );
        assert_eq!(spec["schedulingGates"], json!([{"name": "example.com/later"}, {"name": GATE}]));
        assert_eq!(spec["containers"][0]["image"], "crawler:1", "the template's image, not the variable's");
        assert_eq!(spec["containers"][0]["securityContext"]["capabilities"], json!({"drop": ["ALL"]}));
        assert_eq!(spec["containers"][1], json!({"name": "sidecar", "image": "s"}));
    }
}
