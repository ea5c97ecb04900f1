//! The components of `deploy/`, laid over it: both ends of what they set say the same.

use serde_json::{Value, json};
use tests::kustomize::objects;
use tests::manifests::{application, documents, named_values, strings};

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
        subjects.push(account(trigger, "eventing.knative.dev-trigger"));
    }
    let mut named: Vec<_> = variables["sender_subjects"].split(',').map(str::trim).collect();
    subjects.sort();
    named.sort_unstable();
    assert_eq!((subjects.len(), named), (4, subjects.iter().map(String::as_str).collect()));
}

/// Knative names a service account after what it is for.
fn account(object: &Value, of: &str) -> String {
    let [namespace, name] = ["namespace", "name"].map(|field| object["metadata"][field].as_str().unwrap());
    format!("system:serviceaccount:{namespace}:{name}-oidc-{of}")
}

#[test]
fn the_broker_takes_answers_and_changes_from_the_accounts_that_bring_them() {
    let objects = objects("deploy", &["oidc"]);
    let subjects = |policy: &str| -> Vec<String> {
        let from = the(&objects, "EventPolicy", policy)["spec"]["from"].as_array().unwrap();
        from.iter().filter_map(|from| from["sub"].as_str()).map(str::to_owned).collect()
    };
    // A reply in the response comes from its Trigger's account. A sweep has none, because it needs a sink.
    let replying = ["provisioner", "client-changes", "client-termination"];
    let accounts = replying.map(|name| account(the(&objects, "Trigger", name), "eventing.knative.dev-trigger"));
    assert_eq!(subjects("provisioner"), accounts);
    let subscription = account(the(&objects, "Subscription", "client-changes"), "messaging.knative.dev-subscription");
    let pings = account(the(&objects, "PingSource", "sweep"), "sources.knative.dev-pingsource");
    assert_eq!(subjects("client-sources"), [subscription, pings]);
    let changes = account(the(&objects, "ApiServerSource", "clients"), "sources.knative.dev-apiserversource");
    assert_eq!(subjects("client-changes"), [changes]);
    for channel in ["client-changes", "undelivered"] {
        let to = &the(&objects, "EventPolicy", channel)["spec"]["to"];
        assert_eq!(to[0]["ref"]["name"], the(&objects, "InMemoryChannel", channel)["metadata"]["name"]);
    }
}

/// A policy that waits for an object of another component keeps its Broker waiting as well.
#[test]
fn every_object_that_a_policy_waits_for_is_there_without_other_components() {
    let kustomization = documents("deploy/kustomization.yaml").remove(0);
    let own = strings(&kustomization["resources"]).into_iter().filter(|file| file.ends_with(".yaml"));
    let objects: Vec<_> = own.flat_map(|file| documents(&format!("deploy/{file}"))).collect();
    let policies = documents("deploy/components/oidc/event-policy.yaml");
    let from = policies.iter().flat_map(|policy| policy["spec"]["from"].as_array().unwrap());
    let awaited: Vec<_> = from.map(|from| &from["ref"]).filter(|awaited| awaited.is_object()).collect();
    for awaited in &awaited {
        the(&objects, awaited["kind"].as_str().unwrap(), awaited["name"].as_str().unwrap());
    }
    assert_eq!(awaited.len(), 1);
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
    let binding = the(&objects, "SinkBinding", "provisioner")["metadata"]["name"].as_str().unwrap();
    let secret = json!({"name": format!("{binding}-oidc-token"), "optional": true});
    let volume = &app["volumes"].as_array().unwrap().last().unwrap()["projected"]["sources"];
    assert_eq!(*volume, json!([{"secret": secret}]));
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
    // Its Pod serves TLS on 8443.
    let egress = &the(&objects, "NetworkPolicy", "provisioner")["spec"]["egress"];
    let to_ingress = |rule: &&Value| {
        rule["to"][0]["podSelector"]["matchLabels"] == json!({"eventing.knative.dev/brokerRole": "ingress"})
    };
    let rule = egress.as_array().unwrap().iter().find(to_ingress).unwrap();
    assert_eq!(rule["ports"], json!([{"protocol": "TCP", "port": 8080}, {"protocol": "TCP", "port": 8443}]));
}
