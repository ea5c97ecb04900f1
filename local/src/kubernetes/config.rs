//! What the embedded Kubernetes API is started with, and what is in it then.

use super::admission::{Gateway, ROUTED_GATEWAY};
use super::store::time;
use crate::doors::Doors;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
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

    /// The objects that are there from the start and are only read, as JSON: Namespaces and PodTemplates.
    pub(super) fn seeded(&self, created: DateTime<Utc>) -> Vec<Value> {
        let namespaces = self.namespaces.iter().map(|(name, labels)| {
            let mut labels = json!(labels);
            labels["kubernetes.io/metadata.name"] = json!(name);
            let metadata = json!({"name": name, "labels": labels, "creationTimestamp": time(created)});
            json!({"kind": "Namespace", "apiVersion": "v1", "metadata": metadata, "status": {"phase": "Active"}})
        });
        let templates = self.pod_templates.iter().cloned().map(|mut template| {
            template["kind"] = json!("PodTemplate");
            template["apiVersion"] = json!("v1");
            template
        });
        namespaces.chain(templates).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::api::Api;
    use crate::kubernetes::route::{Resource, parts};

    fn names(path: &str) -> Vec<Value> {
        let mut config = Config::demo();
        let template = |namespace| json!({"metadata": {"name": "t", "namespace": namespace}});
        config.pod_templates = ["default", "other"].map(template).to_vec();
        let parts = parts(path);
        let resource = Resource::of(&parts.iter().map(AsRef::as_ref).collect::<Vec<_>>()).unwrap();
        Api::new(config, Utc::now()).objects(&resource).map(|object| object["metadata"]["name"].clone()).collect()
    }

    #[test]
    fn templates_are_those_of_the_namespace() {
        assert_eq!(names("/podtemplates").len(), 2);
        assert_eq!(names("/namespaces/default/podtemplates"), ["t"]);
    }

    #[test]
    fn namespaces_are_those_of_the_configuration() {
        assert_eq!(names("/namespaces"), ["default", "routed-clients"]);
        assert!(names("/events").is_empty());
    }
}
