//! What a client is known by stays as it is, whoever writes to its Pod, and everything else goes on.

use provisioner::testing::{examples, merged, released};
use serde_json::{Value, json};
use tests::cluster::Namespace;

use super::{
    BINDINGS, CLIENTS, MANAGED_BY, MARKS, assert_denied, assert_status_goes_on, client, create, is_denied, patch,
    unrouted,
};

/// Every label and annotation that is changed to this.
fn changed_to(value: &Value) -> Vec<Value> {
    let labels = [MANAGED_BY, "app.kubernetes.io/name", "app.kubernetes.io/instance", "setGateway"];
    let annotations = ["setGateway", "podgateway.io/event-source", "podgateway.io/event-id"];
    let labels = labels.map(|key| json!({"metadata": {"labels": {key: value}}}));
    let annotations = annotations.map(|key| json!({"metadata": {"annotations": {key: value}}}));
    labels.into_iter().chain(annotations).collect()
}

/// What can be added to a client as well as to a Binding.
fn additions() -> Vec<Value> {
    let networks = examples().into_iter().filter(|(field, _)| *field == "annotation").map(|(_, change)| change);
    let correlation = json!({"metadata": {"annotations": {"podgateway.io/correlation-id": "another"}}});
    changed_to(&json!("another")).into_iter().chain(networks).chain([correlation]).collect()
}

pub async fn nobody_changes_what_a_client_is_known_by(namespace: &Namespace) {
    create(namespace, &unrouted("gated")).await;
    create(namespace, &released(client("running"))).await;
    let removals = changed_to(&json!(null)).into_iter().chain([json!({"metadata": {"labels": null}})]);
    for change in additions().into_iter().chain(removals) {
        for path in ["gated", "gated/status", "running", "running/status"] {
            assert_denied(&patch(namespace, path, &change).await, MARKS, "");
        }
    }
    assert_denied(&patch(namespace, "gated", &json!({"spec": {"schedulingGates": []}})).await, CLIENTS, "");
    let spec = json!({"hostPID": true, "containers": [{"name": "client", "image": "x"}]});
    create(namespace, &json!({"metadata": {"name": "other"}, "spec": spec})).await;
    let label = json!({"metadata": {"labels": {MANAGED_BY: "cloudevents-podgateway-client-provisioner"}}});
    for path in ["other", "other/status"] {
        assert_denied(&patch(namespace, path, &label).await, MARKS, "");
    }
}

pub async fn nobody_changes_it_by_a_binding(namespace: &Namespace) {
    create(namespace, &released(client("bound"))).await;
    let bind = async |change: &Value, path: &str| {
        let binding = json!({"metadata": {"name": "bound"}, "target": {"kind": "Node", "name": "node-1"}});
        namespace.admin().call("POST", &namespace.path(path), Some(&merged(binding, change))).await
    };
    for change in additions() {
        for path in ["pods/bound/binding", "bindings"] {
            assert_denied(&bind(&change, path).await, BINDINGS, "");
        }
    }
    let topology = json!({"metadata": {"labels": {"topology.kubernetes.io/zone": "a"}}});
    bind(&topology, "pods/bound/binding").await.object();
}

pub async fn nobody_changes_what_runs_in_the_gateways_containers(namespace: &Namespace) {
    create(namespace, &released(client("contained"))).await;
    let spec = namespace.admin().get(&namespace.path("pods/contained")).await.object()["spec"].take();
    for (list, at, is_gateways) in [("initContainers", 0, true), ("containers", 1, true), ("containers", 0, false)] {
        let mut containers = spec[list].clone();
        containers[at]["image"] = json!("another");
        let answer = patch(namespace, "contained", &json!({"spec": {list: containers}})).await;
        assert_eq!(is_denied(&answer, MARKS), is_gateways, "{}", answer.body);
    }
}

pub async fn whatever_writes_a_status_goes_on_as_before(namespace: &Namespace) {
    create(namespace, &unrouted("unstarted")).await;
    create(namespace, &client("routed")).await;
    patch(namespace, "routed", &json!({"spec": {"schedulingGates": []}})).await.object();
    for name in ["unstarted", "routed"] {
        assert_status_goes_on(namespace, name).await;
        let note = json!({"metadata": {"annotations": {"note": "seen"}, "labels": {"team": "a"}}});
        patch(namespace, name, &note).await.object();
        namespace.admin().delete(&namespace.path(&format!("pods/{name}"))).await;
    }
}
