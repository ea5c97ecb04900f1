//! What a client is known by stays as it is, whoever writes to its Pod, and everything else goes on.

use std::sync::Arc;

use provisioner::testing::{examples, merged, released};
use serde_json::{Value, json};

use super::setup::{
    BINDINGS, CLIENTS, MANAGED_BY, MARKS, assert_status_goes_on, client, create, denied, patch, unrouted, with_policies,
};
use crate::cluster::Cluster;
use crate::harness::Test;

/// The tests.
pub fn tests() -> Vec<Test> {
    crate::tests![
        nobody_takes_a_clients_gate,
        nobody_changes_what_a_client_is_known_by,
        nobody_changes_it_by_a_binding,
        nobody_changes_what_runs_in_the_gateways_containers,
        nobody_makes_a_client_of_another_pod,
        whatever_writes_a_status_goes_on_as_before,
    ]
}

async fn nobody_takes_a_clients_gate(cluster: Arc<Cluster>) {
    with_policies(cluster, |namespace| async move {
        create(&namespace, &unrouted("gated")).await;
        let answer = patch(&namespace, "gated", &json!({"spec": {"schedulingGates": []}})).await;
        assert!(denied(&answer, CLIENTS).is_some(), "{}", answer.body["message"]);
    })
    .await;
}

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

async fn nobody_changes_what_a_client_is_known_by(cluster: Arc<Cluster>) {
    let removals = changed_to(&json!(null)).into_iter().chain([json!({"metadata": {"labels": null}})]);
    let changes: Vec<Value> = additions().into_iter().chain(removals).collect();
    with_policies(cluster, |namespace| async move {
        create(&namespace, &unrouted("gated")).await;
        create(&namespace, &released(client("running"))).await;
        for path in ["gated", "gated/status", "running", "running/status"] {
            for change in &changes {
                let answer = patch(&namespace, path, change).await;
                assert!(denied(&answer, MARKS).is_some(), "{path} {change}: {}", answer.body["message"]);
            }
        }
    })
    .await;
}

async fn nobody_changes_it_by_a_binding(cluster: Arc<Cluster>) {
    with_policies(cluster, |namespace| async move {
        create(&namespace, &released(client("x"))).await;
        let bind = |metadata: &Value, path: &'static str| {
            let metadata = merged(metadata.clone(), &json!({"name": "x"}));
            let binding = json!({"metadata": metadata, "target": {"kind": "Node", "name": "node-1"}});
            let namespace = namespace.clone();
            async move { namespace.admin().call("POST", &namespace.path(path), Some(&binding)).await }
        };
        for change in additions() {
            for path in ["pods/x/binding", "bindings"] {
                let answer = bind(&change["metadata"], path).await;
                assert!(denied(&answer, BINDINGS).is_some(), "{path} {change}: {}", answer.body["message"]);
            }
        }
        let topology = json!({"labels": {"topology.kubernetes.io/zone": "a"}});
        bind(&topology, "pods/x/binding").await.object();
    })
    .await;
}

async fn nobody_changes_what_runs_in_the_gateways_containers(cluster: Arc<Cluster>) {
    with_policies(cluster, |namespace| async move {
        create(&namespace, &released(client("x"))).await;
        let spec = namespace.admin().get(&namespace.path("pods/x")).await.object()["spec"].take();
        for (list, at, is_gateways) in [("initContainers", 0, true), ("containers", 1, true), ("containers", 0, false)]
        {
            let mut containers = spec[list].clone();
            containers[at]["image"] = json!("another");
            let answer = patch(&namespace, "x", &json!({"spec": {list: containers}})).await;
            assert_eq!(denied(&answer, MARKS).is_some(), is_gateways, "{}", answer.body["message"]);
        }
    })
    .await;
}

async fn nobody_makes_a_client_of_another_pod(cluster: Arc<Cluster>) {
    with_policies(cluster, |namespace| async move {
        let spec = json!({"hostPID": true, "containers": [{"name": "client", "image": "x"}]});
        create(&namespace, &json!({"metadata": {"name": "other"}, "spec": spec})).await;
        let label = json!({"metadata": {"labels": {MANAGED_BY: "cloudevents-podgateway-client-provisioner"}}});
        for path in ["other", "other/status"] {
            assert!(denied(&patch(&namespace, path, &label).await, MARKS).is_some(), "{path}");
        }
    })
    .await;
}

async fn whatever_writes_a_status_goes_on_as_before(cluster: Arc<Cluster>) {
    with_policies(cluster, |namespace| async move {
        create(&namespace, &unrouted("gated")).await;
        create(&namespace, &client("routed")).await;
        patch(&namespace, "routed", &json!({"spec": {"schedulingGates": []}})).await.object();
        for name in ["gated", "routed"] {
            assert_status_goes_on(&namespace, name).await;
            let note = json!({"metadata": {"annotations": {"note": "seen"}, "labels": {"team": "a"}}});
            patch(&namespace, name, &note).await.object();
            namespace.admin().delete(&namespace.path(&format!("pods/{name}"))).await.object();
        }
    })
    .await;
}
