//! Which events come to the provisioner: every type that it speaks, from sources and Triggers that fit together.

use std::time::Duration;

use provisioner::event::{ADDED, DELETED, PENDING, PING, TERMINATION, UPDATED};
use provisioner::pod::{MANAGED_BY, MANAGED_BY_LABEL, each};
use provisioner::reply::SOURCE;
use provisioner::testing::merged;
use serde_json::{Value, json};
use tests::manifests::{assert_has, documents, knative_service, object, spin_app, triggers};

use crate::manifests::{COMPONENT, SYSTEM, config};

/// An ISO 8601 duration of seconds, as Knative takes them.
fn seconds(duration: &Value) -> Duration {
    let text = duration.as_str().unwrap();
    let number = text.strip_prefix("PT").and_then(|rest| rest.strip_suffix('S')).unwrap();
    Duration::from_secs_f64(number.parse().unwrap())
}

/// The SpinApp's Service.
fn service() -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "name": spin_app()["metadata"]["name"]})
}

/// The Triggers that feed it.
fn ours() -> impl Iterator<Item = Value> {
    triggers().into_iter().filter(|trigger| trigger["spec"]["subscriber"]["ref"]["name"] == service()["name"])
}

/// The one of them that lets this type through.
fn of_type(ty: &str) -> Value {
    ours().find(|trigger| types(trigger).contains(&ty)).unwrap()
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
    let triggers: Vec<Value> = ours().collect();
    let mut fed: Vec<&str> = triggers.iter().flat_map(types).collect();
    fed.sort_unstable();
    let mut spoken = [PENDING, TERMINATION, ADDED, UPDATED, DELETED, PING];
    spoken.sort_unstable();
    assert_eq!(fed, spoken);
}

#[test]
fn each_trigger_waits_for_its_answer_and_has_what_is_given_up_settled() {
    for trigger in ours() {
        let (spec, name) = (&trigger["spec"], &trigger["metadata"]["name"]);
        // A ref has to be in the Trigger's own namespace.
        assert_eq!(trigger["metadata"]["namespace"], spin_app()["metadata"]["namespace"], "{name}");
        assert_eq!(spec["subscriber"], json!({"ref": service()}), "{name}");
        let delivery = &spec["delivery"];
        assert!(seconds(&delivery["timeout"]) > config().delivery_timeout(), "{name}");
        // Or a `%` in an id could be read as an escape.
        assert_eq!(delivery["format"], "json", "{name}");
        if types(&trigger) == [PING] {
            // The next ping comes before a retry would be worth anything.
            assert_eq!((&delivery["retry"], &delivery["deadLetterSink"]), (&json!(0), &Value::Null), "{name}");
            continue;
        }
        assert_eq!(delivery["deadLetterSink"], json!({"ref": service(), "uri": "/dead-letter"}), "{name}");
        assert_eq!((&delivery["retry"], &delivery["backoffPolicy"]), (&json!(10), &json!("exponential")), "{name}");
        assert!(!seconds(&delivery["backoffDelay"]).is_zero(), "{name}");
    }
    let timeout = knative_service()["spec"]["template"]["spec"]["timeoutSeconds"].as_u64().unwrap();
    assert!(Duration::from_secs(timeout) > config().delivery_timeout());
    // The Knative Service takes the SpinApp's place under the same name.
    assert_eq!(knative_service()["metadata"]["name"], spin_app()["metadata"]["name"]);
    assert_eq!(knative_service()["metadata"]["namespace"], SYSTEM);
}

/// How long an event may take until the broker gives it up: every attempt hangs, and the waits double.
fn longest(delivery: &Value) -> Duration {
    let retries = u32::try_from(delivery["retry"].as_u64().unwrap()).unwrap();
    assert_eq!(delivery["backoffPolicy"], "exponential");
    seconds(&delivery["timeout"]) * (retries + 1) + seconds(&delivery["backoffDelay"]) * (2u32.pow(retries) - 1)
}

/// The channel of this name in a file, which has to take an event before it delivers it.
fn asynchronous(file: &str, name: &str) -> Value {
    let channels = documents(file).into_iter().filter(|object| object["kind"] == "InMemoryChannel");
    let channel = channels.into_iter().find(|channel| channel["metadata"]["name"] == name).unwrap();
    assert_eq!(channel["metadata"]["namespace"], SYSTEM);
    assert_eq!(channel["metadata"]["annotations"]["messaging.knative.dev/async-handler"], "true");
    json!({"ref": {"apiVersion": channel["apiVersion"], "kind": channel["kind"], "name": name}})
}

/// The in-memory channel answers a POST only once every consumer has the event or has missed it. So the provisioner waits
/// for them, and for no longer than a call may take.
#[test]
fn a_consumer_that_fails_does_not_stop_the_provisioner() {
    let consumers = triggers().into_iter().filter(|trigger| trigger["spec"]["subscriber"]["ref"] != service());
    let consumers: Vec<Value> = consumers.chain([object("examples/wait-for-answer/trigger.yaml", "Trigger")]).collect();
    assert_eq!(consumers.len(), 2);
    let of_the_broker = object("deploy/broker.yaml", "Broker")["spec"]["delivery"].clone();
    for trigger in consumers {
        let (spec, name) = (&trigger["spec"], &trigger["metadata"]["name"]);
        let delivery = spec.get("delivery").unwrap_or(&of_the_broker);
        assert!(longest(delivery) < config().kube_api_timeout, "{name}: {:?}", longest(delivery));
        // Without one that always takes it, the provisioner's POST would be a 500.
        assert_eq!(delivery["deadLetterSink"], asynchronous("deploy/broker.yaml", "undelivered"), "{name}");
        // Nor is a change of a Pod to wait for a consumer.
        let of_clients = spec["filters"] == json!([{"prefix": {"type": "io.podgateway.client."}}]);
        assert!(of_clients || spec["filter"]["attributes"]["source"] == SOURCE, "{name}");
    }
}

/// The adapter of the ApiServerSource sends one event at a time, and drops it after five tries in three seconds.
#[test]
fn a_change_of_a_pod_is_kept_while_the_broker_is_away() {
    let file = format!("{COMPONENT}/sources.yaml");
    let channel = asynchronous(&file, "client-changes");
    assert_eq!(object(&file, "ApiServerSource")["spec"]["sink"], channel);
    let [subscription, broker] = [object(&file, "Subscription"), object("deploy/broker.yaml", "Broker")];
    assert_eq!(subscription["metadata"]["namespace"], SYSTEM);
    assert_eq!(subscription["spec"]["channel"], channel["ref"]);
    let named = json!({"apiVersion": broker["apiVersion"], "kind": "Broker", "name": broker["metadata"]["name"]});
    assert_eq!(subscription["spec"]["subscriber"], json!({"ref": named}));
    // The Broker answers after the retries of its Triggers, so a timeout would send an event again that is on its way.
    let (given, of_the_trigger) = (&subscription["spec"]["delivery"], &of_type(DELETED)["spec"]["delivery"]);
    assert_eq!(given["timeout"], Value::Null);
    for field in ["retry", "backoffPolicy", "backoffDelay"] {
        assert_eq!(given[field], of_the_trigger[field], "{field}");
    }
}

#[test]
fn the_sources_tell_of_the_clients_and_of_nothing_else() {
    let file = |name: &str| format!("{COMPONENT}/{name}.yaml");
    // Knative insists on the three, and the adapter uses no other.
    let [account, role, binding] = ["ServiceAccount", "Role", "RoleBinding"].map(|kind| object(&file("rbac"), kind));
    let (watch, ping) = (object(&file("sources"), "ApiServerSource"), object(&file("sources"), "PingSource"));
    let (broker, clients) = (object("deploy/broker.yaml", "Broker"), config().client_namespace);
    let named = ["apiVersion", "kind"].map(|field| (field, broker[field].clone()));
    let sink: Value = named.into_iter().chain([("name", broker["metadata"]["name"].clone())]).collect();
    for source in [&watch, &ping] {
        // Its adapter runs where it is, and is not to wait for a gateway. There is the Broker as well.
        assert_has(source, &json!({"metadata": {"namespace": SYSTEM}}));
    }
    assert_has(&ping, &json!({"spec": {"sink": {"ref": sink}}}));
    let name = &account["metadata"]["name"];
    let pods = json!({"apiVersion": "v1", "kind": "Pod", "selector": {"matchLabels": {MANAGED_BY_LABEL: MANAGED_BY}}});
    let selector = json!({"matchLabels": {"kubernetes.io/metadata.name": clients}});
    let watched = json!({
        "mode": "Resource", "resources": [pods], "namespaceSelector": selector, "serviceAccountName": name,
    });
    assert_has(&watch, &json!({ "spec": watched }));
    let exact = json!({"exact": {"kind": "Pod", "namespace": clients}});
    assert_eq!(of_type(UPDATED)["spec"]["filters"][0], exact);
    let source = format!("/apis/v1/namespaces/{SYSTEM}/pingsources/{}", ping["metadata"]["name"].as_str().unwrap());
    assert_eq!(of_type(PING)["spec"]["filter"]["attributes"]["source"], source);
    let rule = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]});
    assert_has(&role, &json!({"metadata": {"namespace": clients}, "rules": [rule]}));
    let subject = json!([{"kind": "ServiceAccount", "name": name, "namespace": SYSTEM}]);
    let bound = json!({"roleRef": {"name": role["metadata"]["name"]}, "subjects": subject});
    assert_has(&binding, &merged(bound, &json!({"metadata": {"namespace": clients}})));
    assert_eq!(account["metadata"]["namespace"], SYSTEM);
}
