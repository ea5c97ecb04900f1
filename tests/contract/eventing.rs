//! Which events come to the provisioner and how they are delivered: by the sources, Triggers and channels of `deploy/`.

use std::collections::BTreeSet;
use std::time::Duration;

use provisioner::event::{ADDED, DELETED, PENDING, PING, TERMINATION, UPDATED};
use provisioner::pod::{MANAGED_BY, MANAGED_BY_LABEL, each, text};
use serde_json::{Value, json};
use tests::kustomize::objects;

use crate::deploy::{OBJECTS, assert_has, config, named_values, the};

/// An ISO 8601 duration of seconds, as Knative takes them.
fn seconds(duration: &Value) -> Duration {
    let number = text(duration).strip_prefix("PT").and_then(|rest| rest.strip_suffix('S')).unwrap();
    Duration::from_secs_f64(number.parse().unwrap())
}

/// The Triggers that feed the provisioner, or all others.
fn triggers(objects: &[Value], ours: bool) -> impl Iterator<Item = &Value> {
    let triggers = objects.iter().filter(|object| object["kind"] == "Trigger");
    triggers.filter(move |trigger| (trigger["spec"]["subscriber"]["ref"]["name"] == "provisioner") == ours)
}

/// The types of the events that a Trigger lets through.
fn types(trigger: &Value) -> Vec<&str> {
    let spec = &trigger["spec"];
    let any = each(&spec["filters"]).flat_map(|filter| each(&filter["any"])).map(|filter| &filter["exact"]);
    let types: Vec<_> = any.chain([&spec["filter"]["attributes"]]).filter_map(|exact| exact["type"].as_str()).collect();
    assert!(!types.is_empty(), "{} lets everything through, our answers too", trigger["metadata"]["name"]);
    types
}

/// The reference to a channel that takes an event before it delivers it.
fn asynchronous(name: &str) -> Value {
    let channel = the(&OBJECTS, "InMemoryChannel", name);
    assert_eq!(channel["metadata"]["annotations"]["messaging.knative.dev/async-handler"], "true");
    json!({"ref": {"apiVersion": channel["apiVersion"], "kind": channel["kind"], "name": name}})
}

#[test]
fn each_type_that_is_spoken_has_one_trigger_and_no_other_has_any() {
    let mut fed: Vec<&str> = triggers(&OBJECTS, true).flat_map(types).collect();
    fed.sort_unstable();
    let mut spoken = [PENDING, TERMINATION, ADDED, UPDATED, DELETED, PING];
    spoken.sort_unstable();
    assert_eq!(fed, spoken);
}

#[test]
fn each_trigger_waits_for_its_answer_and_has_what_is_given_up_settled() {
    for trigger in triggers(&OBJECTS, true) {
        let (spec, name) = (&trigger["spec"], &trigger["metadata"]["name"]);
        let delivery = &spec["delivery"];
        assert!(seconds(&delivery["timeout"]) > config().delivery_timeout(), "{name}");
        // Or a `%` in an id could be read as an escape.
        assert_eq!(delivery["format"], "json", "{name}");
        // The next ping comes before a retry would be worth anything.
        if types(trigger) != [PING] {
            let dead_letters = json!({"ref": spec["subscriber"]["ref"], "uri": "/dead-letter"});
            assert_has(delivery, &json!({"retry": 10, "backoffPolicy": "exponential", "deadLetterSink": dead_letters}));
            assert!(!seconds(&delivery["backoffDelay"]).is_zero(), "{name}");
        }
    }
    let timeout = &the(&OBJECTS, "Service", "provisioner")["spec"]["template"]["spec"]["timeoutSeconds"];
    assert!(Duration::from_secs(timeout.as_u64().unwrap()) > config().delivery_timeout());
}

/// The in-memory channel answers a POST only once every consumer has the event or has missed it. So the provisioner waits
/// for them, and for no longer than a call may take.
#[test]
fn a_consumer_that_fails_does_not_stop_the_provisioner() {
    let delivery = &the(&OBJECTS, "Broker", "default")["spec"]["delivery"];
    let retries = u32::try_from(delivery["retry"].as_u64().unwrap()).unwrap();
    let waits = seconds(&delivery["backoffDelay"]) * (2u32.pow(retries) - 1);
    assert!(seconds(&delivery["timeout"]) * (retries + 1) + waits < config().kube_api_timeout);
    // Without one that always takes it, the provisioner's POST would be a 500.
    assert_eq!(delivery["deadLetterSink"], asynchronous("undelivered"));
    for consumer in triggers(&OBJECTS, false) {
        assert_eq!(consumer["spec"]["delivery"], Value::Null, "in place of the Broker's: {consumer}");
    }
}

/// The adapter of the ApiServerSource sends one event at a time, and drops it after five tries in three seconds.
#[test]
fn the_changes_of_clients_and_of_nothing_else_are_told_and_kept_while_the_broker_is_away() {
    let (clients, channel) = (config().client_namespace, asynchronous("client-changes"));
    let pods = json!({"apiVersion": "v1", "kind": "Pod", "selector": {"matchLabels": {MANAGED_BY_LABEL: MANAGED_BY}}});
    let selector = json!({"matchLabels": {"kubernetes.io/metadata.name": clients}});
    let source = json!({"mode": "Resource", "resources": [pods], "namespaceSelector": selector, "sink": channel});
    assert_has(the(&OBJECTS, "ApiServerSource", "clients"), &json!({ "spec": source }));
    let exact = json!({"exact": {"kind": "Pod", "namespace": clients}});
    assert_eq!(the(&OBJECTS, "Trigger", "client-changes")["spec"]["filters"][0], exact);
    let subscription = &the(&OBJECTS, "Subscription", "client-changes")["spec"];
    assert_has(subscription, &json!({"channel": channel["ref"], "subscriber": {"ref": {"kind": "Broker"}}}));
    // The Broker answers after the retries of its Triggers, so a timeout would send an event again that is on its way.
    assert_eq!((&subscription["delivery"]["retry"], &subscription["delivery"]["timeout"]), (&json!(10), &Value::Null));
    let sweeps = json!({"type": PING, "source": "/apis/v1/namespaces/client-system/pingsources/sweep"});
    assert_eq!(the(&OBJECTS, "Trigger", "client-sweep")["spec"]["filter"]["attributes"], sweeps);
}

/// The account that Knative names after an object.
fn account(object: &Value) -> String {
    let [namespace, name] = ["namespace", "name"].map(|field| text(&object["metadata"][field]));
    let group = text(&object["apiVersion"]).split('/').next().unwrap();
    format!("system:serviceaccount:{namespace}:{name}-oidc-{group}-{}", text(&object["kind"]).to_lowercase())
}

#[test]
fn with_oidc_each_side_takes_the_token_that_the_other_sends() {
    let objects = objects("deploy", &["oidc"]);
    let variables = named_values(&the(&objects, "SpinApp", "provisioner")["spec"]["variables"]);
    let audience = &variables["sender_audience"];
    for trigger in triggers(&objects, true) {
        assert_eq!(trigger["spec"]["subscriber"]["audience"], *audience, "{trigger}");
        let dead_letters = &trigger["spec"]["delivery"]["deadLetterSink"];
        assert!(dead_letters.is_null() || dead_letters["audience"] == *audience, "{trigger}");
    }
    let subjects: BTreeSet<_> = variables["sender_subjects"].split(", ").map(str::to_owned).collect();
    assert_eq!(subjects, triggers(&objects, true).map(account).collect());
    let policies = objects.iter().filter(|object| object["kind"] == "EventPolicy");
    let mut senders: BTreeSet<_> =
        policies.flat_map(|policy| each(&policy["spec"]["from"])).map(|from| text(&from["sub"]).to_owned()).collect();
    senders.retain(|sender| sender.contains("-oidc-"));
    // A reply in the response comes from its Trigger's account. A sweep has none, because it needs a sink.
    let names = [("Trigger", "provisioner"), ("Trigger", "client-changes"), ("Trigger", "client-termination")];
    let names = names.into_iter().chain([
        ("Subscription", "client-changes"),
        ("PingSource", "sweep"),
        ("ApiServerSource", "clients"),
    ]);
    assert_eq!(senders, names.map(|(kind, name)| account(the(&objects, kind, name))).collect());
}
