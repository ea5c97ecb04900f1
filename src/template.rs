//! A core/v1 PodTemplate as the base of every client Pod.
//!
//! It decides *what* clients run (resources, volumes, node selection, a deadline), never *how* they are routed. So its
//! fields are those of an allow list, and what [`crate::bypass`] lists is refused by name. `docs/configuration.md`,
//! "Clients made from a PodTemplate".

use serde_json::{Map, Value};

use crate::bypass::{self, Subject, VOLUMES, other_than};
use crate::pod::{CLIENT_CONTAINER, each, has_client, is_set, names_gateway, text};
use crate::reason::{Failure, Reason};

/// The containers that a gateway's admission controller adds.
const GATEWAY_CONTAINERS: [&str; 2] = ["gateway-init", "gateway-sidecar"];

/// The fields that a workload needs, and those that the API server adds to every PodTemplate.
#[rustfmt::skip]
const FIELDS: [&str; 22] = [
    "activeDeadlineSeconds", "affinity", "automountServiceAccountToken", "containers", "dnsPolicy", "enableServiceLinks",
    "imagePullSecrets", "nodeSelector", "preemptionPolicy", "priority", "priorityClassName", "resources",
    "restartPolicy", "schedulerName", "schedulingGates", "securityContext", "serviceAccount", "serviceAccountName",
    "terminationGracePeriodSeconds", "tolerations", "topologySpreadConstraints", "volumes",
];

/// The fields that are refused with their own reason.
const REFUSED: [(&str, &str); 4] = [
    ("initContainers", "they would run before the gateway's"),
    ("ephemeralContainers", "they are for running Pods"),
    ("dnsConfig", "the gateway decides where names are resolved"),
    ("hostAliases", "they could give the gateway's name another address"),
];

/// The allowed sources of a projected volume: no service account token.
const PROJECTED: [&str; 4] = ["clusterTrustBundle", "configMap", "downwardAPI", "secret"];

/// The part of a PodTemplate on which a Pod is based: labels, annotations and spec.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Base {
    /// `template.metadata.labels`.
    pub labels: Map<String, Value>,
    /// `template.metadata.annotations`.
    pub annotations: Map<String, Value>,
    /// `template.spec`, a core/v1 PodSpec with a container `client`.
    pub spec: Value,
}

/// Takes the base from a PodTemplate.
///
/// # Errors
/// `PodTemplateInvalid`, with the field to correct.
pub fn base(name: &str, mut template: Value) -> Result<Base, Failure> {
    let mut template = take(&mut template, "template");
    let mut metadata = take(&mut template, "metadata");
    let mut map = |field: &str| match take(&mut metadata, field) {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    let base = Base { labels: map("labels"), annotations: map("annotations"), spec: take(&mut template, "spec") };
    check(&base).map_err(|problem| invalid(name, &problem))?;
    Ok(base)
}

/// A PodTemplate that can't be used.
pub fn invalid(name: &str, problem: &str) -> Failure {
    Failure::new(Reason::PodTemplateInvalid, format!("the PodTemplate {name} can't be used: {problem}"))
}

fn check(base: &Base) -> Result<(), String> {
    if let Some((field, why)) = REFUSED.iter().find(|(field, _)| is_set(&base.spec[*field])) {
        return Err(format!("remove {field}: {why}"));
    }
    bypass::check(base.annotations.keys(), &base.spec, Subject::Template).map_err(|found| match found.container {
        Some(container) => format!("remove {} from the container {container}: {}", found.field, found.why),
        None if found.field == "annotation" => format!("remove annotation {}: {}", found.found, found.why),
        None if found.field == "volumes.*" => {
            format!("remove volumes.{}: {}; a client may have {}", found.found, found.why, VOLUMES.join(", "))
        }
        None => format!("remove {}: {}", found.field, found.why),
    })?;
    check_fields(&base.spec)?;
    each(&base.spec["volumes"]).try_for_each(check_volume)?;
    if !has_client(&base.spec) {
        return Err(format!("name one of its containers {CLIENT_CONTAINER}"));
    }
    each(&base.spec["containers"]).try_for_each(check_container)
}

fn check_fields(spec: &Value) -> Result<(), String> {
    let mut set = spec.as_object().into_iter().flatten().filter(|(_, value)| is_set(value));
    if let Some((field, _)) = set.find(|(field, _)| !FIELDS.contains(&field.as_str())) {
        return Err(format!("remove {field}, which no client needs"));
    }
    if is_set(&spec["dnsPolicy"]) && spec["dnsPolicy"] != "ClusterFirst" {
        return Err("remove dnsPolicy: the gateway decides where names are resolved".to_owned());
    }
    match is_set(&spec["securityContext"]["sysctls"]) {
        true => Err("remove securityContext.sysctls: the network's settings are the gateway's".to_owned()),
        false => Ok(()),
    }
}

fn check_volume(volume: &Value) -> Result<(), String> {
    match each(&volume["projected"]["sources"]).find_map(|source| other_than(source, &PROJECTED)) {
        Some(source) => {
            let (name, allowed) = (text(&volume["name"]), PROJECTED.join(", "));
            Err(format!("remove {source} from the volume {name}: a client may have {allowed}, and no token"))
        }
        None => Ok(()),
    }
}

fn check_container(container: &Value) -> Result<(), String> {
    if !container.is_object() {
        return Err("remove what is no object from its containers".to_owned());
    }
    let name = text(&container["name"]);
    if GATEWAY_CONTAINERS.contains(&name) {
        return Err(format!("rename the container {name}, which is the gateway's"));
    }
    if names_gateway(container) {
        return Err(format!("remove the variable gateway of the container {name}, which is the gateway's"));
    }
    let restarts_all = |rule: &Value| rule["action"] == "RestartAllContainers";
    if name != CLIENT_CONTAINER && each(&container["restartPolicyRules"]).any(restarts_all) {
        return Err(format!("remove RestartAllContainers from the container {name}: the client would have no end"));
    }
    let probes = ["livenessProbe", "readinessProbe", "startupProbe"].map(|probe| &container[probe]);
    let hooks = ["postStart", "preStop"].map(|hook| &container["lifecycle"][hook]);
    let names_host = |asks: &&Value| is_set(&asks["httpGet"]["host"]) || is_set(&asks["tcpSocket"]["host"]);
    match probes.iter().chain(&hooks).any(names_host) {
        true => {
            Err(format!("remove host from the probes and hooks of the container {name}: the node makes their requests"))
        }
        false => Ok(()),
    }
}

/// Takes a member out of an object; `null` if there is no such member or no object.
fn take(value: &mut Value, member: &str) -> Value {
    value.get_mut(member).map(Value::take).unwrap_or_default()
}

#[cfg(test)]
mod tests;
