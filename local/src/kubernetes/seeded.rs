//! The objects that are there from the start and are only read: Namespaces and PodTemplates.
//!
//! In: the configuration. Out: objects as JSON, with their kind.

use super::config::Config;
use super::store::time;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// All of them.
pub fn objects(config: &Config, created: DateTime<Utc>) -> Vec<Value> {
    let namespaces = config.namespaces.iter().map(|(name, labels)| namespace(name, labels, created));
    namespaces.chain(config.pod_templates.iter().map(typed_template)).collect()
}

fn namespace(name: &str, labels: &BTreeMap<String, String>, created: DateTime<Utc>) -> Value {
    let mut labels = json!(labels);
    labels["kubernetes.io/metadata.name"] = json!(name);
    let metadata = json!({"name": name, "labels": labels, "creationTimestamp": time(created)});
    json!({"kind": "Namespace", "apiVersion": "v1", "metadata": metadata, "status": {"phase": "Active"}})
}

fn typed_template(template: &Value) -> Value {
    let mut template = template.clone();
    template["kind"] = json!("PodTemplate");
    template["apiVersion"] = json!("v1");
    template
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
