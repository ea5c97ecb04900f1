//! The components of `deploy/`, laid over it: both ends of what they set say the same.

use serde_json::Value;
use tests::kustomize::objects;
use tests::manifests::named_values;

fn the<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("there is no {kind} {name}"))
}

#[test]
fn a_trigger_sends_the_token_that_the_provisioner_wants_on_both_routes() {
    let objects = objects("deploy", &["oidc"]);
    let variables = named_values(&the(&objects, "SpinApp", "provisioner")["spec"]["variables"]);
    let audience = &variables["sender_audience"];
    let to_us = |trigger: &&Value| trigger["spec"]["subscriber"]["ref"]["name"] == "provisioner";
    let mut subjects = Vec::new();
    for trigger in objects.iter().filter(|object| object["kind"] == "Trigger").filter(to_us) {
        assert_eq!(trigger["spec"]["subscriber"]["audience"], *audience, "{trigger}");
        let dead_letters = &trigger["spec"]["delivery"]["deadLetterSink"];
        assert!(dead_letters.is_null() || dead_letters["audience"] == *audience, "{trigger}");
        // Knative names a Trigger's service account after it.
        let [namespace, name] = ["namespace", "name"].map(|field| trigger["metadata"][field].as_str().unwrap());
        subjects.push(format!("system:serviceaccount:{namespace}:{name}-oidc-eventing.knative.dev-trigger"));
    }
    let mut named: Vec<_> = variables["sender_subjects"].split(',').map(str::trim).collect();
    subjects.sort();
    named.sort_unstable();
    assert_eq!((subjects.len(), named), (4, subjects.iter().map(String::as_str).collect()));
}

#[test]
fn an_answer_over_tls_goes_to_a_host_whose_authority_is_named() {
    let objects = objects("deploy", &["transport-encryption"]);
    let origin = &named_values(&the(&objects, "SpinApp", "provisioner")["spec"]["variables"])["sink_origin"];
    let secret = the(&objects, "Secret", "provisioner-runtime-config");
    let config: toml::Table = secret["stringData"]["runtime-config.toml"].as_str().unwrap().parse().unwrap();
    let hosts: Vec<_> =
        config["client_tls"].as_array().unwrap().iter().flat_map(|tls| tls["hosts"].as_array()).collect();
    let hosts: Vec<_> = hosts.into_iter().flatten().filter_map(toml::Value::as_str).collect();
    assert!(hosts.contains(&origin.strip_prefix("https://").unwrap()), "{origin} of {hosts:?}");
}
