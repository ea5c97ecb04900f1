//! An event becomes a Pod, with or without a PodTemplate.

use http::{HeaderMap, HeaderValue};
use provisioner::bypass::{self, Subject};
use provisioner::cloudevents::read;
use provisioner::config::Config;
use provisioner::event::{PENDING, Pending, requested_gateway};
use provisioner::manifest::manifest;
use provisioner::pod::{EVENT_ID, EVENT_SOURCE, GATE, MANAGED_BY, MANAGED_BY_LABEL, each, is_set};
use provisioner::template::{Base, base};
use provisioner::testing::{config, with_pending};
use serde_json::{Value, json};

use super::first_line;

/// What no PodTemplate gives to a client, beside what leads past a gateway anywhere.
const FORBIDDEN: [&str; 5] = ["initContainers", "ephemeralContainers", "dnsConfig", "hostAliases", "hostUsers"];

/// The event's JSON in one line, and what is left is a PodTemplate.
pub fn event_to_pod(data: &[u8]) {
    let (event, template) = first_line(data);
    let structured = HeaderValue::from_static("application/cloudevents+json");
    let headers = HeaderMap::from_iter([(http::header::CONTENT_TYPE, structured)]);
    let config = config(&[]);
    match read(&headers, event) {
        Ok(event) if event.ty == PENDING => {
            let Ok(gateway) = requested_gateway(&event.data) else { return };
            if let Ok(pending) = Pending::new(&event.context, &gateway, &config) {
                check_pod(&pending, &config, None);
                check_template(&pending, &config, template);
            }
        }
        _ => with_pending(|pending| check_template(pending, &config, template)),
    }
}

fn check_template(pending: &Pending, config: &Config, template: &[u8]) {
    let Ok(template) = serde_json::from_slice::<Value>(template) else { return };
    if let Ok(base) = base("template", template) {
        check_pod(pending, config, Some(base));
    }
}

/// A client's Pod keeps its promises, whatever it is made from.
fn check_pod(pending: &Pending, config: &Config, base: Option<Base>) {
    let pod = manifest(pending, config, base);
    let (labels, annotations, spec) = (&pod["metadata"]["labels"], &pod["metadata"]["annotations"], &pod["spec"]);
    assert_eq!(pod["metadata"]["name"], pending.context.pod_name());
    for marks in [labels, annotations] {
        assert_eq!(marks[&config.gateway_key], pending.gateway);
    }
    assert_eq!(labels[MANAGED_BY_LABEL], MANAGED_BY);
    assert_eq!(annotations[EVENT_SOURCE], pending.context.source);
    assert_eq!(annotations[EVENT_ID], pending.context.id);
    assert!(each(&spec["schedulingGates"]).any(|gate| *gate == json!({ "name": GATE })));
    assert_eq!(spec["automountServiceAccountToken"], false);
    for field in FORBIDDEN {
        assert!(!is_set(&spec[field]), "{field} is {}", spec[field]);
    }
    assert!(!is_set(&spec["dnsPolicy"]) || spec["dnsPolicy"] == "ClusterFirst", "{}", spec["dnsPolicy"]);
    let mut sources = each(&spec["volumes"]).flat_map(|volume| each(&volume["projected"]["sources"]));
    assert!(sources.all(|source| source["serviceAccountToken"].is_null()), "{spec}");
    assert!(each(&spec["containers"]).any(|container| container["name"] == "client"), "{spec}");
    each(&spec["containers"]).for_each(check_container);
    // The table that judges Pods, and as if none of the containers were a gateway's.
    let annotations = annotations.as_object().expect("there are annotations").keys();
    assert_eq!(bypass::check(annotations, spec, Subject::RoutedBy("nobody")), Ok(()), "{spec}");
}

fn check_container(container: &Value) {
    let context = &container["securityContext"];
    assert_eq!(context["allowPrivilegeEscalation"], false, "{container}");
    assert_eq!(context["capabilities"], json!({ "drop": ["ALL"] }), "{container}");
    assert_eq!(context["seccompProfile"], json!({ "type": "RuntimeDefault" }), "{container}");
    assert!(each(&container["env"]).all(|variable| variable["name"] != "gateway"), "{container}");
    let hooks = [&container["lifecycle"]["postStart"], &container["lifecycle"]["preStop"]];
    let probes = ["livenessProbe", "readinessProbe", "startupProbe"].map(|probe| &container[probe]);
    for asks in hooks.into_iter().chain(probes) {
        assert!(!is_set(&asks["httpGet"]["host"]) && !is_set(&asks["tcpSocket"]["host"]), "{container}");
    }
}
