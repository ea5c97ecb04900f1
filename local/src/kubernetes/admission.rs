//! The gateways' admission webhooks.
//!
//! In: a Pod as JSON and the labels of its namespace. Out: the same Pod as
//! gateway-admision-controller returns it, one webhook for each gateway, or
//! the failure of a webhook. As there: the annotation wins over the label, the
//! value must be exactly the gateway's, nobody answers for a value that no
//! gateway has, and the init container is appended last.

use super::status::Status;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The namespace label that the webhooks select by.
pub const ROUTED_GATEWAY: &str = "routed-gateway";

/// The annotation and label that they look at.
const KEY: &str = "setGateway";
const CLUSTER_DNS: &str = "10.96.0.10";
const GATEWAY_IP: &str = "10.96.0.53";
const IMAGE: &str = "ghcr.io/angelnu/pod-gateway:v1.13.0";

/// One gateway, with its admission webhook.
#[derive(Debug, Clone, PartialEq)]
pub struct Gateway {
    /// The value that the webhook was configured with.
    pub name: String,
    /// What it injects as env `gateway`.
    pub address: String,
    /// How the webhook behaves.
    pub mode: Mode,
}

/// How a gateway's webhook behaves.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Mode {
    /// As it should.
    #[default]
    Inject,
    /// It cannot be reached, for this reason. `failurePolicy` is Fail and
    /// there is no object selector: no Pod at all is admitted.
    Down(String),
    /// It denies the Pods that ask for its gateway, with this message.
    Deny(String),
}

impl Gateway {
    /// A gateway as the pod-gateway chart installs it.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            address: format!("pod-gateway-{name}.gateway-system.svc.cluster.local"),
            mode: Mode::Inject,
        }
    }

    /// The same gateway with a webhook that behaves otherwise.
    pub fn with_mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Sends a new Pod through its webhook.
    ///
    /// # Errors
    /// The webhook is down, or denies the Pod.
    pub fn admit(&self, pod: &mut Value, namespace: &str) -> Result<(), Status> {
        let webhook = format!("pod-gateway-{}.gateway-system.svc.cluster.local", self.name);
        let [annotation, label] = ["annotations", "labels"].map(|field| pod["metadata"][field][KEY].as_str());
        let is_asked_for = annotation.or(label) == Some(self.name.as_str());
        match &self.mode {
            Mode::Down(why) => return Err(Status::webhook_failed(&webhook, why)),
            Mode::Deny(message) if is_asked_for => return Err(Status::denied_by_webhook(&webhook, message)),
            Mode::Inject if is_asked_for => self.inject(pod, namespace),
            _ => {}
        }
        Ok(())
    }

    fn inject(&self, pod: &mut Value, namespace: &str) {
        let spec = &mut pod["spec"];
        spec["dnsPolicy"] = json!("None");
        spec["dnsConfig"] = json!({
            "nameservers": [GATEWAY_IP],
            "searches": [format!("{namespace}.svc.cluster.local"), "svc.cluster.local", "cluster.local"],
            "options": [{"name": "ndots", "value": "5"}],
        });
        append(&mut spec["initContainers"], container("init", &self.address));
        append(&mut spec["containers"], container("sidecar", &self.address));
        let source = json!({"name": format!("pod-gateway-{}", self.name), "defaultMode": 0o777});
        append(&mut spec["volumes"], json!({"name": "gateway-configmap", "configMap": source}));
    }
}

/// Sends a new Pod through the webhooks of all gateways.
pub fn admit(
    gateways: &[Gateway],
    namespace: &str,
    labels: &BTreeMap<String, String>,
    pod: &mut Value,
) -> Result<(), Status> {
    if labels.get(ROUTED_GATEWAY).map(String::as_str) != Some("true") {
        return Ok(());
    }
    gateways.iter().try_for_each(|gateway| gateway.admit(pod, namespace))
}

fn append(list: &mut Value, item: Value) {
    match list {
        Value::Array(items) => items.push(item),
        other => *other = json!([item]),
    }
}

fn container(part: &str, address: &str) -> Value {
    json!({
        "name": format!("gateway-{part}"), "image": IMAGE, "command": [format!("/bin/client_{part}.sh")],
        "env": [
            {"name": "gateway", "value": address}, {"name": "DNS", "value": address},
            {"name": "DNS_ips", "value": GATEWAY_IP}, {"name": "K8S_DNS_ips", "value": CLUSTER_DNS},
        ],
        "volumeMounts": [{"name": "gateway-configmap", "readOnly": true, "mountPath": "/config"}],
        "securityContext": {
            "capabilities": {"add": ["NET_ADMIN", "NET_RAW"]}, "runAsUser": 0, "runAsNonRoot": false,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(annotation: Option<&str>, label: Option<&str>) -> Value {
        json!({
            "metadata": {"annotations": {"setGateway": annotation}, "labels": {"setGateway": label}},
            "spec": {"initContainers": [{"name": "mine"}], "containers": [{"name": "client"}]},
        })
    }

    fn admitted(pod: &Value, gateways: &[Gateway], routed: &str) -> Result<Value, Status> {
        let labels = BTreeMap::from([(ROUTED_GATEWAY.to_owned(), routed.to_owned())]);
        let mut pod = pod.clone();
        admit(gateways, "x", &labels, &mut pod).map(|()| pod)
    }

    fn foo_and_bar() -> [Gateway; 2] {
        [Gateway::new("foo"), Gateway::new("bar")]
    }

    #[test]
    fn requested_gateway_is_injected_after_the_pods_own_init_containers() {
        let pod = admitted(&pod(None, Some("bar")), &foo_and_bar(), "true").unwrap();
        let init = pod["spec"]["initContainers"].as_array().unwrap();
        assert_eq!(init.len(), 2);
        assert_eq!(init[1]["name"], "gateway-init");
        let address = "pod-gateway-bar.gateway-system.svc.cluster.local";
        assert_eq!(init[1]["env"][0], json!({"name": "gateway", "value": address}));
        assert_eq!(pod["spec"]["containers"][1]["name"], "gateway-sidecar");
        assert_eq!(pod["spec"]["dnsPolicy"], "None");
    }

    #[test]
    fn annotation_wins_over_the_label() {
        let pod = admitted(&pod(Some("foo"), Some("bar")), &foo_and_bar(), "true").unwrap();
        assert_eq!(pod["spec"]["volumes"][0]["configMap"]["name"], "pod-gateway-foo");
    }

    #[test]
    fn unknown_gateway_and_unlabelled_namespace_leave_the_pod_as_it_was() {
        let unknown = pod(Some("nobody"), Some("foo"));
        assert_eq!(admitted(&unknown, &foo_and_bar(), "true").unwrap(), unknown);
        let known = pod(Some("foo"), None);
        assert_eq!(admitted(&known, &foo_and_bar(), "false").unwrap(), known);
    }

    #[test]
    fn webhook_that_is_down_stops_every_pod_of_a_routed_namespace() {
        let down = [Gateway::new("foo").with_mode(Mode::Down("connection refused".into()))];
        let status = admitted(&pod(None, None), &down, "true").unwrap_err();
        assert_eq!((status.code.as_u16(), status.reason), (500, "InternalError"));
        assert!(admitted(&pod(None, None), &down, "false").is_ok());
    }

    #[test]
    fn webhook_may_deny_or_inject_another_address() {
        let deny = [Gateway::new("foo").with_mode(Mode::Deny("full".into()))];
        let status = admitted(&pod(Some("foo"), None), &deny, "true").unwrap_err();
        assert!(status.message.ends_with("denied the request: full"));
        let wrong = [Gateway { address: "elsewhere".to_owned(), ..Gateway::new("foo") }];
        let pod = admitted(&pod(Some("foo"), None), &wrong, "true").unwrap();
        assert_eq!(pod["spec"]["initContainers"][1]["env"][0]["value"], "elsewhere");
    }
}
