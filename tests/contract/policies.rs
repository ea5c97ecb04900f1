//! The admission policies of `deploy/` speak of the clients, the gateways and the account that there are. What they
//! refuse is for a real API server to say: `tests/e2e/deploy`.

use provisioner::pod::{MANAGED_BY, MANAGED_BY_LABEL};
use serde_json::{Value, json};
use tests::manifests::{documents, object};

use crate::manifests::config;

/// Each policy, with its binding behind it.
fn policies() -> Vec<(Value, Value)> {
    let files = ["deploy/admission-policy.yaml", "deploy/provisioner-admission-policy.yaml"];
    let objects: Vec<_> = files.iter().flat_map(|file| documents(file)).collect();
    objects.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
}

#[test]
fn every_policy_denies_where_the_clients_are() {
    for (policy, binding) in policies() {
        assert_eq!(
            (&policy["kind"], &binding["kind"]),
            (&json!("ValidatingAdmissionPolicy"), &json!("ValidatingAdmissionPolicyBinding"))
        );
        assert_eq!(binding["spec"]["policyName"], policy["metadata"]["name"]);
        assert_eq!(policy["spec"]["failurePolicy"], "Fail");
        assert_eq!(binding["spec"]["validationActions"], json!(["Deny"]));
        let labels = json!({"kubernetes.io/metadata.name": config().client_namespace});
        assert_eq!(binding["spec"]["matchResources"]["namespaceSelector"]["matchLabels"], labels);
        assert!(!policy.to_string().contains("matchPolicy\":\"Exact"));
        if let Some(labels) = policy["spec"]["matchConstraints"]["objectSelector"]["matchLabels"].as_object() {
            assert_eq!(json!(labels), json!({MANAGED_BY_LABEL: MANAGED_BY}));
        }
    }
}

#[test]
fn the_policies_know_the_gateways_that_may_be_asked_for() {
    let config = config();
    let addresses: Value = config.gateways().map(|name| (name.to_owned(), json!(config.address_of(name)))).collect();
    let gateways = object("deploy/gateways.yaml", "ConfigMap");
    assert_eq!(gateways["data"], addresses);
    let with_addresses: Vec<_> =
        policies().into_iter().filter(|(policy, _)| policy["spec"]["paramKind"].is_object()).collect();
    let [(policy, binding)] = &with_addresses[..] else { panic!("one policy is told of the gateways") };
    assert_eq!(policy["spec"]["paramKind"], json!({"apiVersion": "v1", "kind": "ConfigMap"}));
    let (name, namespace) = (&gateways["metadata"]["name"], &gateways["metadata"]["namespace"]);
    // Or a ConfigMap that is gone would let everything through.
    let reference = json!({"name": name, "namespace": namespace, "parameterNotFoundAction": "Deny"});
    assert_eq!(binding["spec"]["paramRef"], reference);
}
