//! What the gateways' admission controller does to a Pod, as the embedded API plays it, and what else webhooks may do to
//! one. It does so at every call: it doesn't look whether it was here before.

use provisioner::testing::{gateway_container, merged};
use serde_json::{Value, json};

use crate::cluster::namespace::Namespace;
use crate::cluster::webhook::{Registration, Webhook, always};

/// The key by whose value a gateway knows its clients.
pub const KEY: &str = "setGateway";

/// A gateway's admission, as configured.
#[derive(Clone, Copy, Debug)]
pub struct Gateway {
    /// The value of the key for which it acts.
    pub value: &'static str,
    /// The gateway that it injects.
    pub address: &'static str,
}

/// Where the gateway `foo` is.
pub const FOO_ADDRESS: &str = "pod-gateway-foo.gateway-system.svc.cluster.local";
/// Where the gateway `bar` is.
pub const BAR_ADDRESS: &str = "pod-gateway-bar.gateway-system.svc.cluster.local";
/// The gateway `foo`.
pub const FOO: Gateway = Gateway { value: "foo", address: FOO_ADDRESS };
/// The gateway `bar`.
pub const BAR: Gateway = Gateway { value: "bar", address: BAR_ADDRESS };
/// It takes the clients of `foo`, and injects `bar`.
pub const ASTRAY: Gateway = Gateway { value: "foo", address: BAR_ADDRESS };

impl Gateway {
    /// Its webhook, up and registered in `namespace`.
    pub async fn serve(self, namespace: &Namespace) -> Webhook {
        self.serve_as(namespace, Registration::usual(self.value)).await
    }

    /// The same, registered in another way.
    pub async fn serve_as(self, namespace: &Namespace, registration: Registration) -> Webhook {
        Webhook::start(namespace, registration, always(move |pod| self.inject(pod))).await
    }

    /// Puts the gateway into a Pod, if that asks for it.
    pub fn inject(&self, pod: &mut Value) {
        let usual = local::kubernetes::Gateway::new(self.value);
        let gateway = local::kubernetes::Gateway { address: self.address.to_owned(), ..usual };
        let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
        gateway.admit(pod, &namespace).unwrap_or_else(|_| unreachable!("it injects"));
    }
}

/// Puts a second gateway in, under other names.
pub fn add_gateway(pod: &mut Value) {
    let [init, sidecar] =
        ["init", "sidecar"].map(|part| gateway_container(&format!("gateway-{part}-bar"), BAR_ADDRESS));
    add(pod, &json!({"initContainers": [init], "containers": [sidecar]}));
}

/// Puts an init container in that belongs to no gateway.
pub fn add_init_container(pod: &mut Value) {
    let hardened = json!({"capabilities": {"drop": ["ALL"]}});
    add(pod, &json!({"initContainers": [{"name": "early", "image": "alpine/curl", "securityContext": hardened}]}));
}

/// The same with the capabilities that a runtime gives by default.
pub fn add_raw_init_container(pod: &mut Value) {
    add(pod, &json!({"initContainers": [{"name": "raw", "image": "alpine/curl"}]}));
}

fn add(pod: &mut Value, spec: &Value) {
    pod["spec"] = merged(pod["spec"].take(), spec);
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
