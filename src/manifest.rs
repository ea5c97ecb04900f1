//! Makes the manifest of a client Pod: a base, with what the promises need added to it.
//!
//! In: a [`Pending`], the configuration and a PodTemplate's base. Out: a core/v1 Pod as JSON, gated and hardened.
//! `docs/architecture.md`, "The decisions".

use serde_json::{Value, json};

use crate::config::{Config, Verification};
use crate::event::Pending;
use crate::pod::{
    CLIENT_CONTAINER, CORRELATION_ID, EVENT_ID, EVENT_SOURCE, GATE, MANAGED_BY, MANAGED_BY_LABEL, OWN_PREFIX, text,
};
use crate::reason::{Failure, Reason};
use crate::template::Base;

/// The most bytes that the annotations of a new Pod may have. The API server accepts 256 KiB, and a client on which nothing
/// more can be written could be neither reported nor ended.
const LARGEST_ANNOTATIONS: usize = 252 << 10;

/// The longest `correlationid` that is written on a Pod, in bytes. The API server accepts 256 KiB of annotations in
/// all, and an optional one must not make it refuse a client.
const LONGEST_CORRELATION_ID: usize = 16 << 10;

/// The prefix of annotations that are a container's `appArmorProfile` as well: the API server makes the field of one, and
/// before Kubernetes 1.30 the node reads it.
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// The annotations in which OVN-Kubernetes and Terway write the networks of a Pod, with its addresses and routes. They take
/// what is there already, and a copy of another client's would give this one the same.
const WRITTEN_BY_PLUGINS: [&str; 2] = ["k8s.ovn.org/pod-networks", "k8s.aliyun.com/pod-networks"];

/// The Pod to create.
pub fn manifest(pending: &Pending, config: &Config, base: Option<Base>) -> Value {
    let Base { mut labels, mut annotations, mut spec } = base.unwrap_or_else(|| plain(config));
    let (context, key) = (pending.context, config.gateway_key.as_str());
    // A template that was made of a client's Pod must not say what was reported of that one. An AppArmor profile may only
    // confine more.
    annotations.retain(|key, value| {
        let is_unconfined = key.starts_with(APP_ARMOR) && text(value) == "unconfined";
        !(is_unconfined || key.starts_with(OWN_PREFIX) || WRITTEN_BY_PLUGINS.contains(&key.as_str()))
    });
    labels.extend(texts([
        ("app.kubernetes.io/name", "podgateway-client"),
        ("app.kubernetes.io/instance", &pending.pod_name),
        (MANAGED_BY_LABEL, MANAGED_BY),
        (key, pending.gateway),
    ]));
    annotations.extend(texts([(key, pending.gateway), (EVENT_SOURCE, &context.source), (EVENT_ID, &context.id)]));
    let correlation_id = context.correlation_id.as_deref().filter(|id| id.len() <= LONGEST_CORRELATION_ID);
    annotations.extend(texts(correlation_id.map(|id| (CORRELATION_ID, id))));
    if let (true, Some(seconds)) = (spec["activeDeadlineSeconds"].is_null(), config.client_ttl) {
        spec["activeDeadlineSeconds"] = json!(seconds);
    }
    secure(&mut spec, config.gateway_verification);
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": pending.pod_name, "namespace": config.client_namespace },
    });
    // `json!` would copy its arguments.
    pod["metadata"]["labels"] = Value::Object(labels);
    pod["metadata"]["annotations"] = Value::Object(annotations);
    pod["spec"] = spec;
    pod
}

/// Whether more can be written on a Pod once it is there.
///
/// # Errors
/// `PodRejected` if its annotations leave no room.
pub fn check_room(manifest: &Value) -> Result<(), Failure> {
    let annotations = manifest["metadata"]["annotations"].as_object().into_iter().flatten();
    match annotations.map(|(key, value)| key.len() + text(value).len()).sum::<usize>() > LARGEST_ANNOTATIONS {
        true => {
            let message = "its annotations are too long: use a shorter source and id, or less in the PodTemplate's";
            Err(Failure::new(Reason::PodRejected, message))
        }
        false => Ok(()),
    }
}

/// The base of a Pod without a PodTemplate.
fn plain(config: &Config) -> Base {
    let mut container = json!({ "name": CLIENT_CONTAINER, "image": config.client_image });
    if !config.client_command.is_empty() {
        container["command"] = json!(config.client_command);
    }
    let mut spec = json!({});
    spec["containers"] = Value::Array(vec![container]);
    Base { spec, ..Base::default() }
}

fn texts<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> impl Iterator<Item = (String, Value)> {
    entries.into_iter().map(|(key, value)| (key.to_owned(), Value::from(value)))
}

/// Adds to a spec what the promises need. Scheduling gates of others stay: they hold the Pod back as well.
fn secure(spec: &mut Value, verification: Verification) {
    spec["automountServiceAccountToken"] = json!(false);
    spec["containers"].as_array_mut().into_iter().flatten().for_each(harden);
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

/// Hardens a container: no escalation, no capabilities, the runtime's default seccomp profile.
fn harden(container: &mut Value) {
    if !container["securityContext"].is_object() {
        container["securityContext"] = json!({});
    }
    let context = &mut container["securityContext"];
    context["allowPrivilegeEscalation"] = json!(false);
    context["capabilities"] = json!({ "drop": ["ALL"] });
    context["seccompProfile"] = json!({ "type": "RuntimeDefault" });
}

#[cfg(test)]
mod tests;
