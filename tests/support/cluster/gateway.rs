//! What the gateways' admission controller does to a Pod, and what else webhooks may do to one.
//!
//! A gateway knows its clients by the exact value of the key `setGateway`, the annotation counting before the label. It
//! leaves every other Pod alone. To its own it appends an init container and a sidecar, each with the address in the
//! variable `gateway`, and the volume that both mount, and it replaces the Pod's DNS. It does so at every call: it
//! doesn't look whether it was here before.

use serde_json::{Value, json};

use crate::cluster::namespace::Namespace;
use crate::cluster::webhook::{Registration, Webhook, always};

/// The key.
pub const KEY: &str = "setGateway";

/// A gateway's admission, as configured.
#[derive(Clone, Copy, Debug)]
pub struct Gateway {
    /// The value of the key for which it acts.
    pub value: &'static str,
    /// The gateway that it injects.
    pub address: &'static str,
    /// What stands behind the names of its containers and its volume; the chart has nothing there.
    pub suffix: &'static str,
}

/// Where the gateway `foo` is.
pub const FOO_ADDRESS: &str = "pod-gateway-foo.gateway-system.svc.cluster.local";
/// Where the gateway `bar` is.
pub const BAR_ADDRESS: &str = "pod-gateway-bar.gateway-system.svc.cluster.local";
/// The gateway `foo`.
pub const FOO: Gateway = Gateway { value: "foo", address: FOO_ADDRESS, suffix: "" };
/// The gateway `bar`.
pub const BAR: Gateway = Gateway { value: "bar", address: BAR_ADDRESS, suffix: "" };

impl Gateway {
    /// Its webhook, up and registered in `namespace`.
    pub async fn serve(self, namespace: &Namespace) -> Webhook {
        self.serve_as(namespace, Registration::usual(self.value)).await
    }

    /// The same, registered in another way.
    pub async fn serve_as(self, namespace: &Namespace, registration: Registration) -> Webhook {
        let webhook = Webhook::start(namespace, always(move |pod| self.inject(pod))).await;
        webhook.register(namespace, registration).await;
        webhook
    }

    /// Puts the gateway into a Pod, if that asks for it.
    pub fn inject(&self, pod: &mut Value) {
        if requested(pod) != Some(self.value) {
            return;
        }
        let init = self.container("gateway-init", "/bin/client_init.sh");
        let sidecar = self.container("gateway-sidecar", "/bin/client_sidecar.sh");
        let volume = self.volume();
        let spec = &mut pod["spec"];
        append(&mut spec["initContainers"], init);
        append(&mut spec["containers"], sidecar);
        append(&mut spec["volumes"], volume);
        spec["dnsPolicy"] = json!("None");
        spec["dnsConfig"] = json!({
            "nameservers": ["172.16.0.1"],
            "searches": ["svc.cluster.local", "cluster.local"],
            "options": [{"name": "ndots", "value": "5"}],
        });
    }

    fn container(&self, name: &str, command: &str) -> Value {
        json!({
            "name": format!("{name}{}", self.suffix),
            "image": "ghcr.io/angelnu/pod-gateway:v1.13.0",
            "command": [command],
            "env": [
                {"name": "gateway", "value": self.address},
                {"name": "DNS", "value": "172.16.0.1"},
                {"name": "DNS_ips", "value": "172.16.0.1"},
                {"name": "K8S_DNS_ips", "value": "10.0.0.10"},
            ],
            "volumeMounts": [{"name": self.volume_name(), "mountPath": "/config", "readOnly": true}],
            "securityContext": {
                "capabilities": {"add": ["NET_ADMIN", "NET_RAW"]},
                "runAsUser": 0,
                "runAsNonRoot": false,
            },
        })
    }

    fn volume(&self) -> Value {
        json!({"name": self.volume_name(), "configMap": {"name": "pod-gateway-settings", "defaultMode": 0o777}})
    }

    fn volume_name(&self) -> String {
        format!("gateway-configmap{}", self.suffix)
    }
}

/// Puts an init container in front that belongs to no gateway.
pub fn add_init_container(pod: &mut Value) {
    add_raw_init_container(pod);
    let added = pod["spec"]["initContainers"].as_array_mut().and_then(|list| list.last_mut());
    added.expect("it was added")["securityContext"] = json!({"capabilities": {"drop": ["ALL"]}});
}

/// The same with the capabilities that a runtime gives by default.
pub fn add_raw_init_container(pod: &mut Value) {
    let container = json!({"name": "early", "image": "alpine/curl", "command": ["true"]});
    append(&mut pod["spec"]["initContainers"], container);
}

/// Takes every scheduling gate away.
pub fn take_gates(pod: &mut Value) {
    pod["spec"]["schedulingGates"] = json!([]);
}

/// Pins the client's image by its digest and wraps its command, as webhooks do that verify images or fetch secrets.
pub fn pin_and_wrap(pod: &mut Value) {
    let client = &mut pod["spec"]["containers"][0];
    let digest = "0".repeat(64);
    client["image"] = json!(format!("docker.io/{}@sha256:{digest}", client["image"].as_str().unwrap_or_default()));
    client["args"] = client["command"].take();
    client["command"] = json!(["/vault/vault-env"]);
}

fn requested(pod: &Value) -> Option<&str> {
    let metadata = &pod["metadata"];
    metadata["annotations"][KEY].as_str().or_else(|| metadata["labels"][KEY].as_str())
}

fn append(list: &mut Value, item: Value) {
    match list.as_array_mut() {
        Some(items) => items.push(item),
        None => *list = json!([item]),
    }
}
