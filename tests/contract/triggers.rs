//! Which events come to the provisioner: every type that it speaks, from sources and Triggers that fit together.

use std::time::Duration;

use provisioner::event::{ADDED, DELETED, PENDING, PING, TERMINATION, UPDATED};
use provisioner::pod::{MANAGED_BY, MANAGED_BY_LABEL, each};
use provisioner::reply::SOURCE;
use serde_json::{Value, json};

use crate::deploy::{OBJECTS, SYSTEM, assert_has, config, knative_container, spin_app, the};

/// An ISO 8601 duration of seconds, as Knative takes them.
fn seconds(duration: &Value) -> Duration {
    let text = duration.as_str().unwrap();
    let number = text.strip_prefix("PT").and_then(|rest| rest.strip_suffix('S')).unwrap();
    Duration::from_secs_f64(number.parse().unwrap())
}

/// The Triggers that feed the SpinApp's Service, or all others.
fn triggers(ours: bool) -> impl Iterator<Item = &'static Value> {
    let service = json!({"apiVersion": "v1", "kind": "Service", "name": spin_app()["metadata"]["name"]});
    let triggers = OBJECTS.iter().filter(|object| object["kind"] == "Trigger");
    triggers.filter(move |trigger| (trigger["spec"]["subscriber"]["ref"] == service) == ours)
}

/// The types of the events that a Trigger lets through.
fn types(trigger: &Value) -> Vec<&str> {
    let spec = &trigger["spec"];
    let any = each(&spec["filters"]).flat_map(|filter| each(&filter["any"])).map(|filter| &filter["exact"]);
    let types: Vec<_> = any.chain([&spec["filter"]["attributes"]]).filter_map(|exact| exact["type"].as_str()).collect();
    assert!(!types.is_empty(), "{} lets everything through, our answers too", trigger["metadata"]["name"]);
    types
}

#[test]
fn each_type_that_is_spoken_has_one_trigger_and_no_other_has_any() {
    let mut fed: Vec<&str> = triggers(true).flat_map(types).collect();
    fed.sort_unstable();
    let mut spoken = [PENDING, TERMINATION, ADDED, UPDATED, DELETED, PING];
    spoken.sort_unstable();
    assert_eq!(fed, spoken);
}

#[test]
fn each_trigger_waits_for_its_answer_and_has_what_is_given_up_settled() {
    for trigger in triggers(true) {
        let (spec, name) = (&trigger["spec"], &trigger["metadata"]["name"]);
        let delivery = &spec["delivery"];
        assert!(seconds(&delivery["timeout"]) > config().delivery_timeout(), "{name}");
        // Or a `%` in an id could be read as an escape.
        assert_eq!(delivery["format"], "json", "{name}");
        if types(trigger) == [PING] {
            // The next ping comes before a retry would be worth anything.
            assert_eq!((&delivery["retry"], &delivery["deadLetterSink"]), (&json!(0), &Value::Null), "{name}");
            continue;
        }
        let dead_letters = json!({"ref": spec["subscriber"]["ref"], "uri": "/dead-letter"});
        assert_has(delivery, &json!({"retry": 10, "backoffPolicy": "exponential", "deadLetterSink": dead_letters}));
        assert!(!seconds(&delivery["backoffDelay"]).is_zero(), "{name}");
    }
    let timeout = &the(&OBJECTS, "Service", "provisioner")["spec"]["template"]["spec"]["timeoutSeconds"];
    assert!(Duration::from_secs(timeout.as_u64().unwrap()) > config().delivery_timeout());
}

/// How long an event may take until the broker gives it up: every attempt hangs, and the waits double.
fn longest(delivery: &Value) -> Duration {
    let retries = u32::try_from(delivery["retry"].as_u64().unwrap()).unwrap();
    assert_eq!(delivery["backoffPolicy"], "exponential");
    seconds(&delivery["timeout"]) * (retries + 1) + seconds(&delivery["backoffDelay"]) * (2u32.pow(retries) - 1)
}

/// The reference to a channel that takes an event before it delivers it.
fn asynchronous(name: &str) -> Value {
    let channel = the(&OBJECTS, "InMemoryChannel", name);
    assert_eq!(channel["metadata"]["annotations"]["messaging.knative.dev/async-handler"], "true");
    json!({"ref": {"apiVersion": channel["apiVersion"], "kind": channel["kind"], "name": name}})
}

/// The in-memory channel answers a POST only once every consumer has the event or has missed it. So the provisioner waits
/// for them, and for no longer than a call may take.
#[test]
fn a_consumer_that_fails_does_not_stop_the_provisioner() {
    let broker = the(&OBJECTS, "Broker", "default");
    assert_eq!(broker["metadata"]["annotations"]["eventing.knative.dev/broker.class"], "MTChannelBasedBroker");
    let delivery = &broker["spec"]["delivery"];
    assert!(longest(delivery) < config().kube_api_timeout, "{:?}", longest(delivery));
    // Without one that always takes it, the provisioner's POST would be a 500.
    assert_eq!(delivery["deadLetterSink"], asynchronous("undelivered"));
    let consumers: Vec<_> = triggers(false).map(|trigger| &trigger["spec"]).collect();
    assert_eq!(consumers.len(), 2);
    for spec in consumers {
        // It has the Broker's delivery, and a change of a Pod doesn't wait for it.
        let of_clients = spec["filters"] == json!([{"prefix": {"type": "io.podgateway.client."}}]);
        assert!(of_clients || spec["filter"]["attributes"]["source"] == SOURCE, "{spec}");
        assert_eq!(spec["delivery"], Value::Null, "{spec}");
    }
}

/// K_SINK will be the Broker's address, which has to lie below the origin that may be called.
#[test]
fn the_broker_is_below_the_origin_of_the_sink() {
    let player = &the(&OBJECTS, "Deployment", "cloudevents-player")["spec"]["template"]["spec"]["containers"][0];
    let origin =
        knative_container()["env"].as_array().unwrap().iter().find(|env| env["name"] == "SINK_ORIGIN").unwrap();
    let broker = format!("{}/{SYSTEM}/default", origin["value"].as_str().unwrap());
    assert_has(&player["env"], &json!([{"name": "BROKER_URI", "value": broker}]));
    for name in ["provisioner", "provisioner-service"] {
        let sink = json!({"ref": {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": "default"}});
        assert_has(the(&OBJECTS, "SinkBinding", name), &json!({"spec": {"sink": sink}}));
    }
}

/// The adapter of the ApiServerSource sends one event at a time, and drops it after five tries in three seconds.
#[test]
fn a_change_of_a_pod_is_kept_while_the_broker_is_away() {
    let channel = asynchronous("client-changes");
    assert_eq!(the(&OBJECTS, "ApiServerSource", "clients")["spec"]["sink"], channel);
    let subscription = &the(&OBJECTS, "Subscription", "client-changes")["spec"];
    assert_eq!(
        (&subscription["channel"], &subscription["subscriber"]["ref"]["kind"]),
        (&channel["ref"], &json!("Broker"))
    );
    // The Broker answers after the retries of its Triggers, so a timeout would send an event again that is on its way.
    let (given, trigger) = (&subscription["delivery"], the(&OBJECTS, "Trigger", "client-changes"));
    assert_eq!(given["timeout"], Value::Null);
    for field in ["retry", "backoffPolicy", "backoffDelay"] {
        assert_eq!(given[field], trigger["spec"]["delivery"][field], "{field}");
    }
}

#[test]
fn the_sources_tell_of_the_clients_and_of_nothing_else() {
    let clients = config().client_namespace;
    let pods = json!({"apiVersion": "v1", "kind": "Pod", "selector": {"matchLabels": {MANAGED_BY_LABEL: MANAGED_BY}}});
    let selector = json!({"matchLabels": {"kubernetes.io/metadata.name": clients}});
    let watched = json!({"mode": "Resource", "resources": [pods], "namespaceSelector": selector});
    assert_has(the(&OBJECTS, "ApiServerSource", "clients"), &json!({ "spec": watched }));
    let exact = json!({"exact": {"kind": "Pod", "namespace": clients}});
    assert_eq!(the(&OBJECTS, "Trigger", "client-changes")["spec"]["filters"][0], exact);
    let source = format!("/apis/v1/namespaces/{SYSTEM}/pingsources/sweep");
    assert_eq!(the(&OBJECTS, "Trigger", "client-sweep")["spec"]["filter"]["attributes"]["source"], source);
    assert_eq!(the(&OBJECTS, "PingSource", "sweep")["spec"]["sink"]["ref"]["kind"], "Broker");
    // Knative insists on the three, and the adapter uses no other.
    let rule = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]});
    assert_eq!(the(&OBJECTS, "Role", "client-watcher")["rules"], json!([rule]));
}
