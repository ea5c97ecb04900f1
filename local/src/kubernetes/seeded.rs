//! The objects that are there from the start and are only read: Namespaces
//! and PodTemplates.
//!
//! In: the configuration. Out: objects as JSON, with their kind.

use super::config::Config;
use super::route::{Kind, Resource};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The objects of a kind, of one namespace or of all.
pub fn objects(config: &Config, resource: &Resource, created: DateTime<Utc>) -> Vec<Value> {
    let within = resource.namespace.as_deref();
    let is_within = |template: &&Value| within.is_none_or(|within| template["metadata"]["namespace"] == within);
    let templates = config.pod_templates.iter().filter(is_within);
    match resource.kind {
        Kind::Namespace => config.namespaces.iter().map(|(name, labels)| namespace(name, labels, created)).collect(),
        Kind::PodTemplate => templates.map(typed_template).collect(),
        Kind::Pod | Kind::Event => Vec::new(),
    }
}

fn namespace(name: &str, labels: &BTreeMap<String, String>, created: DateTime<Utc>) -> Value {
    let created = created.to_rfc3339_opts(SecondsFormat::Secs, true);
    let mut labels = labels.clone();
    labels.insert("kubernetes.io/metadata.name".to_owned(), name.to_owned());
    let metadata = json!({"name": name, "labels": labels, "creationTimestamp": created});
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
    use crate::kubernetes::route::Route;

    fn names(path: &str) -> Vec<Value> {
        let mut config = Config::demo();
        let template = |namespace| json!({"metadata": {"name": "t", "namespace": namespace}});
        config.pod_templates = ["default", "other"].map(template).to_vec();
        let Route::Resource(resource) = Route::of(path) else { panic!("{path} is no resource") };
        let objects = objects(&config, &resource, Utc::now());
        objects.iter().map(|object| object["metadata"]["name"].clone()).collect()
    }

    #[test]
    fn templates_are_those_of_the_namespace() {
        assert_eq!(names("/api/v1/podtemplates").len(), 2);
        assert_eq!(names("/api/v1/namespaces/default/podtemplates"), ["t"]);
    }

    #[test]
    fn namespaces_are_those_of_the_configuration() {
        assert_eq!(names("/api/v1/namespaces"), ["default", "routed-clients"]);
        assert!(names("/api/v1/events").is_empty());
    }
}
