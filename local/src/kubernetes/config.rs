//! What the embedded Kubernetes API is started with.

use super::admission::{Gateway, ROUTED_GATEWAY};
use crate::doors::Doors;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

/// The configuration of the embedded Kubernetes API.
#[derive(Debug, Clone)]
pub struct Config {
    /// The bearer token that is accepted; any other is a 401.
    pub token: String,
    /// Who need not send it, as with `kubectl proxy`: kubectl sends no token over plain HTTP. Without one everybody must.
    pub open_to: Option<Doors>,
    /// Whose token it is, as refusals name them.
    pub user: String,
    /// What that user may do; without one it is everything.
    pub role: Option<Role>,
    /// The namespaces there are, with their labels.
    pub namespaces: BTreeMap<String, BTreeMap<String, String>>,
    /// The gateways whose webhooks see every new Pod.
    pub gateways: Vec<Gateway>,
    /// PodTemplates, as JSON, each with its namespace and name.
    pub pod_templates: Vec<Value>,
    /// How long each step of a played kubelet takes; without one no Pod is ever scheduled.
    pub kubelet: Option<Duration>,
}

impl Config {
    /// Namespaces `default` and `routed-clients`, both served by the gateways `foo` and `bar`, a new token, and all access.
    pub fn demo() -> Self {
        let routed = BTreeMap::from([(ROUTED_GATEWAY.to_owned(), "true".to_owned())]);
        let namespaces = ["default", "routed-clients"];
        Self {
            token: Uuid::new_v4().simple().to_string(),
            open_to: None,
            user: "system:serviceaccount:client-system:provisioner".to_owned(),
            role: None,
            namespaces: namespaces.map(|name| (name.to_owned(), routed.clone())).into(),
            gateways: ["foo", "bar"].map(Gateway::new).to_vec(),
            pod_templates: Vec::new(),
            kubelet: None,
        }
    }
}

/// What a Role in one namespace allows.
#[derive(Debug, Clone)]
pub struct Role {
    /// Where.
    pub namespace: String,
    /// The verbs, and of which resource.
    pub rules: Vec<(&'static [&'static str], &'static str)>,
}

impl Role {
    /// Whether it allows a verb of a resource there. The cluster scope has no namespace.
    pub fn allows(&self, verb: &str, resource: &str, namespace: &str) -> bool {
        let allows = |(verbs, of): &(&[&str], &str)| verbs.contains(&verb) && *of == resource;
        self.namespace == namespace && self.rules.iter().any(allows)
    }
}
