//! Makes what tests need: a configuration, an event, a Pod that came back, a scripted peer.
//!
//! For the unit tests here and, with the feature `testing`, for the other tests and the benchmark. Nothing of it is in
//! the component.

mod life;
mod script;

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use http::Request;
use serde_json::{Value, json};

pub use self::life::{client_ended, client_running, with_client};
pub use self::script::{GET, Script, absent, answer, cut, deliver, found, object, refused, run, status};

use crate::config::{Config, ConfigError};
use crate::context::Context;
use crate::event::Pending;
use crate::manifest::manifest;

mod bypasses;

pub use bypasses::{examples, harmless, moved};

/// The address of the gateway `foo`.
pub const ADDRESS: &str = "pod-gateway-foo.gateway-system.svc.cluster.local";

static MANIFEST: LazyLock<toml::Table> =
    LazyLock::new(|| include_str!("../spin.toml").parse().expect("the manifest is TOML"));

/// A variable's value: from `changes`, or else the default in `spin.toml`.
///
/// # Errors
/// That the variable isn't declared.
pub fn variable(changes: &[(&str, &str)], name: &str) -> Result<String, String> {
    if let Some((_, value)) = changes.iter().find(|(changed, _)| *changed == name) {
        return Ok((*value).to_owned());
    }
    let default = MANIFEST["variables"].get(name).and_then(|variable| variable["default"].as_str());
    default.map(str::to_owned).ok_or_else(|| format!("{name} is not declared"))
}

/// The default configuration with `changes`.
///
/// # Errors
/// The invalid change.
pub fn try_config(changes: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::from_variables(|name| variable(changes, name))
}

/// The same, with valid changes.
///
/// # Panics
/// If one is invalid.
pub fn config(changes: &[(&str, &str)]) -> Config {
    try_config(changes).unwrap_or_else(|error| panic!("{error}"))
}

/// The context of an event with this identity and nothing else.
pub fn context(source: &str, id: &str) -> Context {
    Context { source: source.to_owned(), id: id.to_owned(), ..Context::default() }
}

/// The event (`/test`, `1`) of this type in binary mode, with JSON for its data.
///
/// # Panics
/// When the path or the type can't be sent.
pub fn event(path: &str, ty: &str, data: impl Into<Vec<u8>>) -> Request<Vec<u8>> {
    let request = Request::post(path).header("ce-specversion", "1.0").header("ce-source", "/test").header("ce-id", "1");
    let request = request.header("ce-type", ty).header("content-type", "application/json");
    request.body(data.into()).expect("the headers are valid")
}

/// The client of the event (`/test`, `1`) at the gateway `foo`, given to `act`.
pub fn with_pending<T>(act: impl FnOnce(&Pending) -> T) -> T {
    let context = context("/test", "1");
    act(&Pending::new(&context, "foo", &config(&[])).expect("foo is a good name"))
}

/// The manifest of the client of [`with_pending`].
pub fn wanted(changes: &[(&str, &str)]) -> Value {
    with_pending(|pending| manifest(pending, &config(changes), None))
}

/// A manifest with what every API server adds.
pub fn stored(mut pod: Value) -> Value {
    pod["metadata"]["uid"] = json!("4d5e6f70-0000-4000-8000-000000000001");
    pod["metadata"]["resourceVersion"] = json!("7");
    pod["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
    pod
}

/// A container that the admission controller of the gateway at `address` adds.
pub fn gateway_container(name: &str, address: &str) -> Value {
    json!({
        "name": name,
        "image": "ghcr.io/angelnu/pod-gateway:v1.8.1",
        "env": [{"name": "gateway", "value": address}],
        "securityContext": {"capabilities": {"add": ["NET_ADMIN", "NET_RAW"]}, "runAsUser": 0, "runAsNonRoot": false},
    })
}

/// The answer of an API server whose gateway at `address` took the Pod.
pub fn routed_by(address: &str, pod: Value) -> Value {
    let mut pod = stored(pod);
    pod["spec"]["initContainers"] = json!([gateway_container("gateway-init", address)]);
    let containers = pod["spec"]["containers"].as_array_mut();
    containers.expect("a Pod has containers").push(gateway_container("gateway-sidecar", address));
    pod
}

/// The same of the gateway `foo`.
pub fn routed(pod: Value) -> Value {
    routed_by(ADDRESS, pod)
}

/// A Pod without its gate.
pub fn released(mut pod: Value) -> Value {
    pod["spec"].as_object_mut().expect("a Pod has a spec").remove("schedulingGates");
    pod
}

/// A Pod that is being deleted.
pub fn deleting(mut pod: Value) -> Value {
    pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    pod
}

/// An object with a change merged into it, as a strategic merge patch would be: member by member, and item by item in a
/// list of named things; a `null` takes a member away.
pub fn merged(mut object: Value, change: &Value) -> Value {
    match (&mut object, change) {
        (Value::Object(members), Value::Object(changes)) => {
            for (name, change) in changes {
                let merged = merged(members.remove(name).unwrap_or_default(), change);
                members.extend(Some((name.clone(), merged)).filter(|(_, merged)| !merged.is_null()));
            }
        }
        (Value::Array(items), Value::Array(changes)) if changes.iter().all(|change| change["name"].is_string()) => {
            for change in changes {
                match items.iter_mut().find(|item| item["name"] == change["name"]) {
                    Some(item) => *item = merged(item.take(), change),
                    None => items.push(merged(Value::Null, change)),
                }
            }
        }
        // What is new has no more nulls in it than what was changed.
        (_, Value::Object(_)) => return merged(json!({}), change),
        _ => return change.clone(),
    }
    object
}

/// A PodTemplate as the API server gives it, with `change` made to its Pod's spec.
pub fn pod_template(change: impl FnOnce(&mut Value)) -> Value {
    let mut spec = json!({
        "containers": [{"name": "client", "image": "crawler:1", "resources": {"limits": {"memory": "64Mi"}}}],
        "nodeSelector": {"disk": "ssd"},
        "dnsPolicy": "ClusterFirst",
        "restartPolicy": "Always",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "terminationGracePeriodSeconds": 30,
    });
    change(&mut spec);
    json!({
        "kind": "PodTemplate",
        "apiVersion": "v1",
        "metadata": {"name": "crawler", "namespace": "default"},
        "template": {"metadata": {"labels": {"team": "a"}, "annotations": {"note": "b"}}, "spec": spec},
    })
}

/// The time of every delivery.
pub fn now() -> DateTime<Utc> {
    "2026-02-02T02:02:02Z".parse().expect("it is a timestamp")
}
