//! Was this Pod routed, and by whom?
//!
//! A gateway's admission controller leaves no label that says so. What it leaves is an init container that drops the
//! Pod's own way out, with a literal variable `gateway` in its environment. A Pod that nobody took comes back with 201
//! all the same; that is the leak which [`verify`] closes, and it reads nothing but the API server's own answer.
//! `docs/traffic.md`.

use serde_json::Value;

use crate::bypass::{self, Subject, plain};
use crate::config::Config;
use crate::event::Pending;
use crate::pod::{
    EVENT_ID, EVENT_SOURCE, MANAGED_BY, MANAGED_BY_LABEL, Pod, all_containers, each, gateway_variables, names_gateway,
    text,
};
use crate::reason::{Failure, Reason};
use crate::text::cut;

const ADVICE: &str = "check which admission webhooks act in the client namespace";
/// How much of a mark is quoted, in bytes.
const LONGEST_QUOTE: usize = 256;
/// The policy of an init container that runs on beside the others.
const ALWAYS: &str = "Always";

/// Checks that `pod`, which is gated, can only go out through the gateway that was asked for.
///
/// The failure's message speaks of the Pod as "it": what became of the Pod is for the caller to say.
///
/// # Errors
/// `GatewayNotInjected`, `WrongGatewayInjected` or `UnsafePod`, with what to look at.
pub fn verify(pod: &Pod, pending: &Pending, config: &Config) -> Result<(), Failure> {
    check_gate(pod)?;
    check_marks(pod, pending, config)?;
    let address = injected_address(pod)?;
    check_address(pod, address, pending, config)?;
    check_order(&pod.spec).map_err(|problem| unsafe_pod(&problem))?;
    let annotations = pod.metadata.annotations.iter().flat_map(|annotations| annotations.keys());
    bypass::check(annotations, &pod.spec, Subject::RoutedBy(address)).map_err(|found| unsafe_pod(&found.to_string()))
}

/// The address of the gateway that took the Pod: a literal variable of its first init container.
///
/// # Errors
/// `GatewayNotInjected`, `WrongGatewayInjected` or `UnsafePod`, as in [`verify`].
pub fn injected_address(pod: &Pod) -> Result<&str, Failure> {
    let mut init_containers = each(&pod.spec["initContainers"]);
    let first = init_containers.next().unwrap_or(&Value::Null);
    match gateway_variables(first).next() {
        Some(variable) if variable["valueFrom"].is_null() && !text(&variable["value"]).is_empty() => {
            Ok(text(&variable["value"]))
        }
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

/// Whether anything in the Pod is a gateway's.
pub fn has_gateway(pod: &Pod) -> bool {
    all_containers(&pod.spec).any(names_gateway)
}

/// A Pod that comes back without the gate that it was sent with was never held back: this cluster can't keep promises.
fn check_gate(pod: &Pod) -> Result<(), Failure> {
    let message = "the scheduling gate was taken from it: this takes Kubernetes 1.27 or newer, and no admission webhook \
                   that removes schedulingGates";
    if pod.is_gated() { Ok(()) } else { Err(Failure::new(Reason::UnsafePod, message)) }
}

/// The key by which gateways know their clients, and the marks by which we know ours, still say what they said.
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
            let message = format!("its {what} {key} was changed from {sent} to {found}; {ADVICE}");
            return Err(Failure::new(reason, message));
        }
    }
    Ok(())
}

/// The address is the one that `gateway_address` says, and the only one in the Pod.
fn check_address(pod: &Pod, address: &str, pending: &Pending, config: &Config) -> Result<(), Failure> {
    if let Some(expected) = config.address_of(pending.gateway).filter(|expected| expected != address) {
        let problem = format!("it was given the gateway {address:?}, where gateway_address says {expected:?}");
        return Err(wrong_gateway(&problem));
    }
    let has_other = |container: &&Value| gateway_variables(container).any(|variable| variable["value"] != address);
    match all_containers(&pod.spec).find(has_other) {
        Some(container) => Err(wrong_gateway(&format!(
            "its container {} has another gateway than {address:?}",
            text(&container["name"])
        ))),
        None => Ok(()),
    }
}

/// The gateway's init container sets the routes and ends, and only then anything else of the Pod starts.
fn check_order(spec: &Value) -> Result<(), String> {
    let (mut init_containers, name) =
        (each(&spec["initContainers"]), |container: &Value| text(&container["name"]).to_owned());
    let first = init_containers.next().unwrap_or(&Value::Null);
    if first["restartPolicy"] == ALWAYS {
        let name = name(first);
        return Err(format!(
            "its first init container {name} has restartPolicy Always, so the client would not wait for its routes"
        ));
    }
    if let Some(problem) = lacks_power(spec, first) {
        return Err(format!("its init container {} {problem}, so it can't set routes", name(first)));
    }
    let blocks = |container: &&Value| names_gateway(container) && container["restartPolicy"] != ALWAYS;
    init_containers.find(blocks).map_or(Ok(()), |sidecar| {
        Err(format!("its init container {} lost restartPolicy Always, so the client would never start", name(sidecar)))
    })
}

/// Why a container can't set routes. A privileged one has every capability.
fn lacks_power(spec: &Value, container: &Value) -> Option<String> {
    let context = &container["securityContext"];
    let has = |list: &str, name: &str| each(&context["capabilities"][list]).any(|found| plain(text(found)) == name);
    let user = context["runAsUser"].as_i64().or(spec["securityContext"]["runAsUser"].as_i64());
    match user {
        Some(user) if user != 0 => Some(format!("runs as user {user}")),
        _ if context["privileged"] == true => None,
        _ if !has("add", "NET_ADMIN") && !has("add", "ALL") => Some("does not add the capability NET_ADMIN".to_owned()),
        _ if has("drop", "NET_ADMIN") => Some("drops the capability NET_ADMIN".to_owned()),
        _ => None,
    }
}

fn wrong_gateway(problem: &str) -> Failure {
    Failure::new(Reason::WrongGatewayInjected, format!("{problem}; {ADVICE}"))
}

fn unsafe_pod(problem: &str) -> Failure {
    Failure::new(Reason::UnsafePod, format!("{problem}; {ADVICE}"))
}

#[cfg(test)]
mod tests;
