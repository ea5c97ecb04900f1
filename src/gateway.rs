//! Verifies that a Pod is routed by the requested gateway.
//!
//! A gateway's admission controller sets no label that names the gateway. It adds an init container that removes the
//! Pod's own route, with a literal variable `gateway`. The API server also creates a Pod that no gateway took, with
//! 201. [`verify`] closes that leak, and needs only the API server's answer. `docs/traffic.md`.

use serde_json::Value;

use crate::bypass::{self, Subject, plain};
use crate::config::Config;
use crate::event::Pending;
use crate::pod::{
    CLIENT_CONTAINER, EVENT_ID, EVENT_SOURCE, MANAGED_BY, MANAGED_BY_LABEL, Pod, all_containers, each,
    gateway_variables, has_client, names_gateway, text,
};
use crate::reason::{Failure, Reason};
use crate::text::cut;

const NO_GATE: &str = "its scheduling gate was removed: use Kubernetes 1.27 or newer, and no admission webhook that \
                       removes schedulingGates";
/// The longest quotation of a label or annotation, in bytes.
const LONGEST_QUOTE: usize = 256;
/// The restart policy of an init container that keeps running beside the others.
const ALWAYS: &str = "Always";

/// Checks that `pod`, which is gated, can only reach the outside through the requested gateway.
///
/// The message calls the Pod "it"; the caller adds what happened to the Pod.
///
/// # Errors
/// `GatewayNotInjected`, `WrongGatewayInjected` or `UnsafePod`, with what to check.
pub fn verify(pod: &Pod, pending: &Pending, config: &Config) -> Result<(), Failure> {
    // A Pod that lost its gate was never held back, so this cluster can't keep the promises.
    if !pod.is_gated() {
        return Err(Failure::new(Reason::UnsafePod, NO_GATE));
    }
    // Nothing tells of a client whose container has another name.
    if !has_client(&pod.spec) {
        return Err(unsafe_pod(&format!("its container {CLIENT_CONTAINER} was removed or renamed")));
    }
    check_marks(pod, pending, config)?;
    let address = injected_address(pod)?;
    check_address(pod, address, pending, config)?;
    check_order(&pod.spec).map_err(|problem| unsafe_pod(&problem))?;
    let annotations = pod.metadata.annotations.iter().flat_map(|annotations| annotations.keys());
    bypass::check(annotations, &pod.spec, Subject::RoutedBy(address)).map_err(|found| unsafe_pod(&found.to_string()))
}

/// The address of the gateway that took the Pod: the literal variable in its first init container.
///
/// # Errors
/// `GatewayNotInjected`, `WrongGatewayInjected` or `UnsafePod`, as in [`verify`].
pub fn injected_address(pod: &Pod) -> Result<&str, Failure> {
    let mut init_containers = each(&pod.spec["initContainers"]);
    let first = init_containers.next().unwrap_or(&Value::Null);
    match gateway_variables(first).next() {
        Some(variable) if is_literal(variable) => Ok(text(&variable["value"])),
        Some(_) => Err(wrong_gateway("its gateway's address is not a literal value")),
        None if init_containers.any(names_gateway) => {
            Err(unsafe_pod(&format!("its init container {} would run before the gateway's", text(&first["name"]))))
        }
        None => {
            let message = "no gateway took it: check that the gateway exists under this name, and that the client \
                           namespace is labelled routed-gateway: \"true\"";
            Err(Failure::new(Reason::GatewayNotInjected, message))
        }
    }
}

/// Whether a variable has a value that doesn't depend on another: the kubelet replaces `$(NAME)`.
fn is_literal(variable: &Value) -> bool {
    let value = text(&variable["value"]);
    variable["valueFrom"].is_null() && !value.is_empty() && !value.contains("$(")
}

/// Whether the Pod has any container of a gateway.
pub fn has_gateway(pod: &Pod) -> bool {
    all_containers(&pod.spec).any(names_gateway)
}

/// The labels and annotations by which gateways and we know our clients are unchanged.
fn check_marks(pod: &Pod, pending: &Pending, config: &Config) -> Result<(), Failure> {
    let (context, key) = (pending.context, config.gateway_key.as_str());
    let marks = [
        (Reason::WrongGatewayInjected, "annotation", key, pod.metadata.annotation(key), pending.gateway),
        (Reason::WrongGatewayInjected, "label", key, pod.metadata.label(key), pending.gateway),
        (Reason::UnsafePod, "label", MANAGED_BY_LABEL, pod.metadata.label(MANAGED_BY_LABEL), MANAGED_BY),
        (Reason::UnsafePod, "annotation", EVENT_SOURCE, pod.metadata.annotation(EVENT_SOURCE), &context.source),
        (Reason::UnsafePod, "annotation", EVENT_ID, pod.metadata.annotation(EVENT_ID), &context.id),
    ];
    for (reason, what, key, found, sent) in marks {
        if found != Some(sent) {
            let quote = |text| format!("{:?}", cut(text, LONGEST_QUOTE));
            let (sent, found) = (quote(sent), found.map_or("nothing".to_owned(), quote));
            return Err(advised(reason, &format!("its {what} {key} was changed from {sent} to {found}")));
        }
    }
    Ok(())
}

/// The address matches `gateway_address`, and is the only one in the Pod.
fn check_address(pod: &Pod, address: &str, pending: &Pending, config: &Config) -> Result<(), Failure> {
    if let Some(expected) = config.address_of(pending.gateway).filter(|expected| expected != address) {
        let problem = format!("it was given the gateway {address:?}, where gateway_address says {expected:?}");
        return Err(wrong_gateway(&problem));
    }
    let has_other = |container: &&Value| gateway_variables(container).any(|variable| variable["value"] != address);
    match all_containers(&pod.spec).find(has_other) {
        Some(container) => {
            let name = text(&container["name"]);
            Err(wrong_gateway(&format!("its container {name} has another gateway than {address:?}")))
        }
        None => Ok(()),
    }
}

/// The gateway's init container can set the routes, and ends before anything else in the Pod starts.
fn check_order(spec: &Value) -> Result<(), String> {
    let mut init_containers = each(&spec["initContainers"]);
    let first = init_containers.next().unwrap_or(&Value::Null);
    let name = text(&first["name"]);
    if first["restartPolicy"] == ALWAYS {
        return Err(format!(
            "its first init container {name} has restartPolicy Always, so the client would not wait for its routes"
        ));
    }
    if let Some(problem) = lacks_power(spec, first) {
        return Err(format!("its init container {name} {problem}, so it can't set routes"));
    }
    let blocks = |container: &&Value| names_gateway(container) && container["restartPolicy"] != ALWAYS;
    init_containers.find(blocks).map_or(Ok(()), |sidecar| {
        let name = text(&sidecar["name"]);
        Err(format!("its init container {name} lost restartPolicy Always, so the client would never start"))
    })
}

/// Why a container can't set routes. A privileged one has every capability.
fn lacks_power(spec: &Value, container: &Value) -> Option<String> {
    let context = &container["securityContext"];
    let has = |list: &str, name: &str| each(&context["capabilities"][list]).any(|found| plain(text(found)) == name);
    let of_pod = &spec["securityContext"];
    let user = context["runAsUser"].as_i64().or(of_pod["runAsUser"].as_i64());
    let is_never_root = context["runAsNonRoot"].as_bool().or(of_pod["runAsNonRoot"].as_bool());
    match user {
        Some(user) if user != 0 => Some(format!("runs as user {user}")),
        _ if is_never_root == Some(true) => Some("has runAsNonRoot".to_owned()),
        _ if context["privileged"] == true => None,
        _ if !has("add", "NET_ADMIN") && (!has("add", "ALL") || has("drop", "ALL")) => {
            Some("does not add the capability NET_ADMIN".to_owned())
        }
        _ if has("drop", "NET_ADMIN") => Some("drops the capability NET_ADMIN".to_owned()),
        _ => None,
    }
}

fn wrong_gateway(problem: &str) -> Failure {
    advised(Reason::WrongGatewayInjected, problem)
}

fn unsafe_pod(problem: &str) -> Failure {
    advised(Reason::UnsafePod, problem)
}

fn advised(reason: Reason, problem: &str) -> Failure {
    Failure::new(reason, format!("{problem}; check which admission webhooks act in the client namespace"))
}

#[cfg(test)]
mod tests;
