//! The components of `deploy/`, laid over it: both ends of what they set say the same.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::kustomize::objects;
use tests::manifests::application;

use crate::deploy::{assert_has, named_values, references, runtime_config, the};

/// The account that Knative names after an object and what it is for.
fn account(object: &Value, of: &str) -> String {
    let [namespace, name] = ["namespace", "name"].map(|field| object["metadata"][field].as_str().unwrap());
    format!("system:serviceaccount:{namespace}:{name}-oidc-{of}")
}

#[test]
fn a_trigger_sends_the_token_that_the_provisioner_wants_on_both_routes() {
    let objects = objects("deploy", &["oidc"]);
    let variables = named_values(&the(&objects, "SpinApp", "provisioner")["spec"]["variables"]);
    let audience = &variables["sender_audience"];
    let triggers = objects.iter().filter(|object| object["kind"] == "Trigger");
    let mut subjects = BTreeSet::new();
    for trigger in triggers.filter(|trigger| trigger["spec"]["subscriber"]["ref"]["name"] == "provisioner") {
        assert_eq!(trigger["spec"]["subscriber"]["audience"], *audience, "{trigger}");
        let dead_letters = &trigger["spec"]["delivery"]["deadLetterSink"];
        assert!(dead_letters.is_null() || dead_letters["audience"] == *audience, "{trigger}");
        subjects.insert(account(trigger, "eventing.knative.dev-trigger"));
    }
    let named = variables["sender_subjects"].split(',').map(|subject| subject.trim().to_owned());
    assert_eq!(named.collect::<BTreeSet<_>>(), subjects);
}

#[test]
fn the_broker_takes_answers_and_changes_from_the_accounts_that_bring_them() {
    let objects = objects("deploy", &["oidc"]);
    let of = |kind, name, what| json!({"sub": account(the(&objects, kind, name), what)});
    // A reply in the response comes from its Trigger's account. A sweep has none, because it needs a sink.
    let replying = ["provisioner", "client-changes", "client-termination"];
    let replying = replying.map(|name| of("Trigger", name, "eventing.knative.dev-trigger"));
    // Of objects, only the base's own may be waited for: the Broker would wait for a component that isn't there.
    let sink = json!({"apiVersion": "sources.knative.dev/v1", "kind": "SinkBinding", "name": "provisioner"});
    let subscription = of("Subscription", "client-changes", "messaging.knative.dev-subscription");
    let pings = of("PingSource", "sweep", "sources.knative.dev-pingsource");
    let changes = of("ApiServerSource", "clients", "sources.knative.dev-apiserversource");
    for (policy, from) in [
        ("provisioner", [&[json!({"ref": sink})], &replying[..]].concat()),
        ("client-sources", vec![subscription, pings]),
        ("client-changes", vec![changes]),
    ] {
        assert_eq!(the(&objects, "EventPolicy", policy)["spec"]["from"], json!(from));
    }
    let policies = objects.iter().filter(|object| object["kind"] == "EventPolicy");
    assert_eq!(policies.flat_map(|policy| references(&policy["spec"]["from"])).collect::<Vec<_>>(), [sink]);
}

#[test]
fn an_artifact_of_spin_reads_the_tokens_where_it_has_its_files() {
    let objects = objects("deploy", &["oidc"]);
    let app = &the(&objects, "SpinApp", "provisioner")["spec"];
    let component = application().component;
    for files in &component.files {
        let path = format!("/assets/{}{}", component.id, files.destination);
        let mut mounts = app["volumeMounts"].as_array().unwrap().iter();
        assert!(mounts.any(|mount| mount["mountPath"] == *path && mount["readOnly"] == true), "{path}");
    }
    let secret = json!({"name": "provisioner-oidc-token", "optional": true});
    assert_has(&app["volumes"], &json!([{"name": "sink-token", "projected": {"sources": [{"secret": secret}]}}]));
}

#[test]
fn an_answer_over_tls_goes_to_a_host_whose_authority_is_named() {
    let objects = objects("deploy", &["transport-encryption"]);
    let origin = &named_values(&the(&objects, "SpinApp", "provisioner")["spec"]["variables"])["sink_origin"];
    let config: toml::Table = runtime_config(&objects).parse().unwrap();
    let hosts = config["client_tls"].as_array().unwrap().iter().flat_map(|tls| tls["hosts"].as_array().unwrap());
    assert!(hosts.filter_map(toml::Value::as_str).any(|host| *origin == format!("https://{host}")), "{origin}");
    // Its Pod serves TLS on 8443.
    let ports = &the(&objects, "NetworkPolicy", "provisioner")["spec"]["egress"][2]["ports"];
    assert_eq!(*ports, json!([{"protocol": "TCP", "port": 8080}, {"protocol": "TCP", "port": 8443}]));
}
