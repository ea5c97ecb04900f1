//! An event becomes a Pod, with or without a PodTemplate.

use cloudevents::AttributesReader;
use http::HeaderMap;
use provisioner::config::Config;
use provisioner::event::{PENDING, PendingClient};
use provisioner::pod::{GATE, manifest, name};
use provisioner::template::{Base, base};
use provisioner::{binding, names};
use serde_json::{Value, json};

use super::first_line;
use crate::setup;

/// What no client may have, whatever the PodTemplate says.
const FORBIDDEN: [&str; 7] =
    ["initContainers", "ephemeralContainers", "nodeName", "hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"];

/// The event's JSON in one line, and what is left is a PodTemplate.
pub fn event_to_pod(data: &[u8]) {
    let (event, template) = first_line(data);
    let mut headers = HeaderMap::new();
    headers.insert("content-type", http::HeaderValue::from_static("application/cloudevents+json"));
    let config = setup::config(&[]).expect("the defaults can be used");
    let client = match binding::read(&headers, event) {
        Ok(event) if event.ty() == PENDING => PendingClient::from_event(&event, &config),
        _ => return check_template(&setup::client("/s", "1", "foo"), &config, template),
    };
    if let Ok(client) = client {
        assert!(names::is_label_value(&client.gateway));
        check_pod(&client, &config, None);
        check_template(&client, &config, template);
    }
}

fn check_template(client: &PendingClient, config: &Config, template: &[u8]) {
    let Ok(template) = serde_json::from_slice::<Value>(template) else { return };
    if let Ok(base) = base("template", template) {
        check_pod(client, config, Some(base));
    }
}

/// A client's Pod keeps its promises, whatever it is made from.
///
/// # Panics
/// When it doesn't.
pub fn check_pod(client: &PendingClient, config: &Config, base: Option<Base>) {
    let pod = manifest(client, config, base);
    let (metadata, spec) = (&pod["metadata"], &pod["spec"]);
    assert_eq!(metadata["name"], name(&client.context));
    for field in ["labels", "annotations"] {
        assert_eq!(metadata[field][&config.gateway_key], client.gateway, "{field}");
    }
    assert!(spec["schedulingGates"].as_array().is_some_and(|gates| gates.contains(&json!({ "name": GATE }))));
    assert_eq!(spec["automountServiceAccountToken"], false);
    for field in FORBIDDEN {
        let says_nothing = [json!(null), json!(false), json!(""), json!([])].contains(&spec[field]);
        assert!(says_nothing, "{field} is {}", spec[field]);
    }
    let containers = spec["containers"].as_array().expect("there are containers");
    containers.iter().for_each(check_container);
    let client = containers.iter().find(|container| container["name"] == "client").expect("there is a client");
    assert_eq!(client["securityContext"]["allowPrivilegeEscalation"], false);
    assert_eq!(client["securityContext"]["capabilities"], json!({ "drop": ["ALL"] }));
}

fn check_container(container: &Value) {
    let context = &container["securityContext"];
    assert_ne!(context["privileged"], true, "{container}");
    let added = context["capabilities"]["add"].as_array().into_iter().flatten().filter_map(Value::as_str);
    for capability in added {
        let capability = capability.to_ascii_lowercase();
        let opens_routes = ["net_admin", "sys_admin", "sys_ptrace", "sys_module"];
        assert!(capability != "all" && !opens_routes.iter().any(|name| capability.ends_with(name)), "{container}");
    }
    let env = container["env"].as_array().into_iter().flatten();
    assert!(env.clone().all(|variable| variable["name"] != "gateway"), "{container}");
}
