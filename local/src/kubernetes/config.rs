//! What the embedded Kubernetes API is started with.

use super::admission::{Gateway, ROUTED_GATEWAY};
use super::status::Status;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Labels by namespace.
pub type Namespaces = BTreeMap<String, BTreeMap<String, String>>;

/// The configuration of the embedded Kubernetes API.
#[derive(Debug, Clone)]
pub struct Config {
    /// The bearer token that is accepted; any other is a 401.
    pub token: String,
    /// Whose token it is, as refusals name them.
    pub user: String,
    /// What that user may do.
    pub access: Access,
    /// The namespaces there are, with their labels.
    pub namespaces: Namespaces,
    /// The gateways whose webhooks see every new Pod.
    pub gateways: Vec<Gateway>,
    /// PodTemplates, as JSON, each with its namespace and name.
    pub pod_templates: Vec<Value>,
    /// How many Pods a namespace may hold, as a ResourceQuota says.
    pub pod_quota: Option<usize>,
}

impl Config {
    /// Namespaces `default` and `routed-clients`, both served by the gateways
    /// `foo` and `bar`, a new token, and all access.
    pub fn demo() -> Self {
        let routed = BTreeMap::from([(ROUTED_GATEWAY.to_owned(), "true".to_owned())]);
        let namespaces = ["default", "routed-clients"];
        Self {
            token: Uuid::new_v4().simple().to_string(),
            user: "system:serviceaccount:client-system:provisioner".to_owned(),
            access: Access::Everything,
            namespaces: namespaces.map(|name| (name.to_owned(), routed.clone())).into(),
            gateways: ["foo", "bar"].map(Gateway::new).to_vec(),
            pod_templates: Vec::new(),
            pod_quota: None,
        }
    }
}

/// What the user may do.
#[derive(Debug, Clone, PartialEq)]
pub enum Access {
    /// Everything, as cluster-admin.
    Everything,
    /// As a Role with a RoleBinding in each of these namespaces.
    Role {
        /// Where.
        namespaces: BTreeSet<String>,
        /// What, for every resource.
        verbs: BTreeSet<String>,
    },
}

impl Access {
    /// A Role for these verbs in these namespaces.
    pub fn role(namespaces: &[&str], verbs: &[&str]) -> Self {
        let set = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        Self::Role { namespaces: set(namespaces), verbs: set(verbs) }
    }

    /// Refuses what is not allowed. The cluster scope has no namespace.
    pub fn check(&self, user: &str, verb: &str, resource: &str, name: &str, namespace: &str) -> Result<(), Status> {
        match self {
            Self::Role { namespaces, verbs } if !namespaces.contains(namespace) || !verbs.contains(verb) => {
                Err(Status::forbidden(user, verb, resource, name, namespace))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_allows_its_verbs_in_its_namespaces_only() {
        let role = Access::role(&["a"], &["create", "get"]);
        assert!(role.check("u", "get", "pods", "x", "a").is_ok());
        for (verb, namespace) in [("delete", "a"), ("get", "b"), ("get", "")] {
            assert_eq!(role.check("u", verb, "pods", "x", namespace).unwrap_err().code, 403);
        }
    }
}
