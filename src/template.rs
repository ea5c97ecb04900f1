//! A core/v1 PodTemplate as the base of every client Pod.
//!
//! It is a native object that operators write, so it may say what a client needs (resources, volumes, node selection,
//! a deadline) and nothing that would let it get around its gateway. What is refused here is what no admission policy
//! would notice, because the gateways' namespace has to allow privileged Pods. Design, section 5.

use serde_json::{Map, Value, json};

use crate::reason::{Failure, Reason};

/// The container that is the client's own.
pub const CLIENT_CONTAINER: &str = "client";
/// The containers that a gateway's admission controller adds.
const GATEWAY_CONTAINERS: [&str; 2] = ["gateway-init", "gateway-sidecar"];
/// The variable by which a gateway's containers are known.
const GATEWAY_VARIABLE: &str = "gateway";
/// What in a Pod's spec leads past the gateway, and why it is refused.
const FORBIDDEN: [(&str, &str); 7] = [
    ("initContainers", "they would run before the gateway's"),
    ("ephemeralContainers", "they are for running Pods"),
    ("nodeName", "it would get around the scheduling gate"),
    ("hostNetwork", "the node's network has no gateway"),
    ("hostPID", "the node's processes have no gateway"),
    ("hostIPC", "it opens the node to the client"),
    ("shareProcessNamespace", "the client could stop its gateway's processes"),
];
/// Capabilities with which a container could change the Pod's routes or reach out of it.
const ROUTING_CAPABILITIES: [&str; 5] = ["NET_ADMIN", "SYS_ADMIN", "SYS_PTRACE", "SYS_MODULE", "ALL"];

/// The part of a PodTemplate that becomes the base of a Pod: labels, annotations and spec.
#[derive(Clone, Debug, PartialEq)]
pub struct Base {
    /// `template.metadata.labels`.
    pub labels: Map<String, Value>,
    /// `template.metadata.annotations`.
    pub annotations: Map<String, Value>,
    /// `template.spec`, a core/v1 PodSpec with a container `client`.
    pub spec: Value,
}

/// Takes a PodTemplate, or says why it can't be one of a client.
///
/// # Errors
/// `PodTemplateInvalid`, with the field to mend.
pub fn base(name: &str, mut template: Value) -> Result<Base, Failure> {
    let mut template = take(&mut template, "template");
    let spec = take(&mut template, "spec");
    check(&spec).map_err(|problem| invalid(name, &problem))?;
    let mut metadata = take(&mut template, "metadata");
    let mut map = |field: &str| match take(&mut metadata, field) {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    Ok(Base { labels: map("labels"), annotations: map("annotations"), spec })
}

/// A PodTemplate that can't be used.
pub fn invalid(name: &str, problem: &str) -> Failure {
    Failure::new(Reason::PodTemplateInvalid, format!("the PodTemplate {name} can't be used: {problem}"))
}

/// Whether a container's security context would let it get around the gateway.
pub fn is_overpowered(security_context: &Value) -> bool {
    let context = security_context;
    let added = context["capabilities"]["add"].as_array().into_iter().flatten().filter_map(Value::as_str);
    // Runtimes differ in which case and prefix they take.
    let mut added = added.map(str::to_ascii_uppercase);
    let opens_routes = |name: String| ROUTING_CAPABILITIES.contains(&name.trim_start_matches("CAP_"));
    context["privileged"] == true || added.any(opens_routes)
}

fn check(spec: &Value) -> Result<(), String> {
    let containers = spec["containers"].as_array().ok_or("it has no containers")?;
    for (field, why) in FORBIDDEN {
        if is_set(&spec[field]) {
            return Err(format!("remove {field}, for {why}"));
        }
    }
    containers.iter().try_for_each(check_container)?;
    let has_client = containers.iter().any(|container| container["name"] == CLIENT_CONTAINER);
    if has_client { Ok(()) } else { Err(format!("name one of its containers {CLIENT_CONTAINER}")) }
}

fn check_container(container: &Value) -> Result<(), String> {
    let name = container["name"].as_str().unwrap_or_default();
    if GATEWAY_CONTAINERS.contains(&name) {
        return Err(format!("rename the container {name}, which is the gateway's"));
    }
    if is_overpowered(&container["securityContext"]) {
        return Err(format!("the container {name} may not be privileged or have capabilities to change routes"));
    }
    let env = container["env"].as_array().into_iter().flatten();
    if env.into_iter().any(|variable| variable["name"] == GATEWAY_VARIABLE) {
        return Err(format!("remove the variable gateway of the container {name}, which is the gateway's"));
    }
    Ok(())
}

/// Whether a field says anything: absent, null, false, empty text and empty lists don't.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => true,
    }
}

/// Hardens the container `client`: no escalation, no capabilities, the runtime's default seccomp profile.
pub fn harden(container: &mut Value) {
    if !container["securityContext"].is_object() {
        container["securityContext"] = json!({});
    }
    let context = &mut container["securityContext"];
    context["allowPrivilegeEscalation"] = json!(false);
    context["capabilities"] = json!({ "drop": ["ALL"] });
    context["seccompProfile"] = json!({ "type": "RuntimeDefault" });
}

/// A member, taken out of its object: `null` where there is no such member, and where there is no object.
fn take(value: &mut Value, member: &str) -> Value {
    value.get_mut(member).map(Value::take).unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A PodTemplate as the API server gives it, with `change` made to its Pod's spec.
    pub(crate) fn pod_template(change: impl FnOnce(&mut Value)) -> Value {
        let mut spec = json!({
            "containers": [{"name": "client", "image": "crawler:1", "resources": {"limits": {"memory": "64Mi"}}}],
            "nodeSelector": {"disk": "ssd"},
        });
        change(&mut spec);
        json!({
            "kind": "PodTemplate",
            "metadata": {"name": "crawler"},
            "template": {"metadata": {"labels": {"team": "a"}, "annotations": {"note": "b"}}, "spec": spec},
        })
    }

    #[track_caller]
    fn check_invalid(expected: &str, change: impl FnOnce(&mut Value)) {
        let failure = base("crawler", pod_template(change)).unwrap_err();
        assert_eq!(failure.reason, Reason::PodTemplateInvalid);
        assert!(failure.message.contains(expected), "{}", failure.message);
    }

    #[test]
    fn a_template_gives_its_labels_annotations_and_spec() {
        let base = base("crawler", pod_template(|_| ())).unwrap();
        assert_eq!((&base.labels["team"], &base.annotations["note"]), (&json!("a"), &json!("b")));
        assert_eq!(base.spec["nodeSelector"]["disk"], "ssd");
    }

    #[test]
    fn what_leads_past_the_gateway_is_refused() {
        for (field, _) in FORBIDDEN {
            let value = match field {
                "initContainers" | "ephemeralContainers" => json!([{"name": "x"}]),
                "nodeName" => json!("node-1"),
                _ => json!(true),
            };
            check_invalid(&format!("remove {field}"), |spec| spec[field] = value);
        }
        check_invalid("privileged", |spec| spec["containers"][0]["securityContext"] = json!({"privileged": true}));
        for capability in ["NET_ADMIN", "CAP_NET_ADMIN", "net_admin", "cap_net_admin", "ALL", "SYS_ADMIN"] {
            check_invalid("capabilities", |spec| {
                spec["containers"][0]["securityContext"] = json!({"capabilities": {"add": [capability]}});
            });
        }
    }

    #[test]
    fn the_names_of_the_gateway_are_its_own() {
        for name in GATEWAY_CONTAINERS {
            check_invalid("rename", |spec| {
                spec["containers"].as_array_mut().unwrap().push(json!({"name": name}));
            });
        }
        check_invalid("variable gateway", |spec| spec["containers"][0]["env"] = json!([{"name": "gateway"}]));
    }

    #[test]
    fn there_is_a_client_in_it() {
        check_invalid("name one of its containers client", |spec| spec["containers"][0]["name"] = json!("main"));
        check_invalid("no containers", |spec| spec["containers"] = json!(null));
        assert!(base("x", json!({"kind": "PodTemplate"})).is_err());
    }

    #[test]
    fn what_has_not_the_shape_of_a_template_is_refused_or_ignored() {
        for shapeless in [json!(null), json!("x"), json!([]), json!(1)] {
            assert!(base("x", shapeless.clone()).is_err());
            assert!(base("x", json!({"kind": "PodTemplate", "template": shapeless})).is_err());
            let mut template = pod_template(|_| ());
            template["template"]["metadata"] = shapeless;
            assert_eq!(base("x", template).unwrap().labels, Map::new());
        }
    }

    #[test]
    fn fields_that_say_nothing_are_no_reason_to_refuse() {
        let quiet = pod_template(|spec| {
            spec["initContainers"] = json!([]);
            spec["hostNetwork"] = json!(false);
            spec["nodeName"] = json!("");
        });
        assert!(base("crawler", quiet).is_ok());
    }

    #[test]
    fn hardening_keeps_what_does_no_harm() {
        let mut container = json!({"securityContext": {"runAsUser": 7, "capabilities": {"add": ["CHOWN"]}}});
        harden(&mut container);
        let context = &container["securityContext"];
        assert_eq!((&context["runAsUser"], &context["capabilities"]), (&json!(7), &json!({"drop": ["ALL"]})));
    }
}
