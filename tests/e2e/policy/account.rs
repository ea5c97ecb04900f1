//! What the provisioner's account may do with the rights that it has.

use std::sync::Arc;

use provisioner::testing::merged;
use serde_json::{Value, json};

use super::setup::{DRY, MANAGED_BY, PROVISIONER, client, create, denied, unrouted, with_policies};
use crate::cluster::Cluster;
use crate::harness::Test;

/// The tests.
pub fn tests() -> Vec<Test> {
    crate::tests![
        the_provisioners_account_makes_clients_alone,
        the_provisioners_account_changes_a_gate_and_its_own_annotations_alone,
    ]
}

/// What the account would make with its token, and what is said of it.
fn others() -> Vec<(&'static str, Value)> {
    let with = |change: Value| merged(client("x"), &change);
    let label = |key: &str, value: Value| with(json!({"metadata": {"labels": {key: value}}}));
    let annotation = |key: &str| with(json!({"metadata": {"annotations": {key: null}}}));
    let secured = |name: &str, context: Value| {
        with(json!({"spec": {"containers": [{"name": name, "image": "x", "securityContext": context}]}}))
    };
    let (mut without_gate, mut without_client) = (client("x"), client("x"));
    without_gate["spec"]["schedulingGates"] = json!([{"name": "example.com/later"}]);
    without_client["spec"]["containers"][0]["name"] = json!("another");
    vec![
        ("creates only clients", label(MANAGED_BY, json!(null))),
        ("creates only clients", label("app.kubernetes.io/name", json!("another"))),
        ("creates only clients", label("app.kubernetes.io/instance", json!("another"))),
        ("creates only clients", label("setGateway", json!(null))),
        ("creates only clients", label("setGateway", json!("bar"))),
        ("creates only clients", annotation("podgateway.io/event-id")),
        ("creates only clients", annotation("podgateway.io/event-source")),
        ("scheduling gate", without_gate),
        ("automountServiceAccountToken", with(json!({"spec": {"automountServiceAccountToken": null}}))),
        ("privileged", secured("client", json!({"privileged": true, "allowPrivilegeEscalation": null}))),
        // What anybody may call a gateway's.
        ("privileged", secured("gateway-sidecar", json!({"privileged": true}))),
        ("reaches the node", secured("gateway-sidecar", json!({"capabilities": {"add": ["cap_sys_admin"]}}))),
        ("hardened", secured("client", json!({"capabilities": {"drop": null}}))),
        ("hardened", secured("client", json!({"capabilities": {"add": ["NET_RAW"]}}))),
        ("hardened", without_client),
    ]
}

async fn the_provisioners_account_makes_clients_alone(cluster: Arc<Cluster>) {
    with_policies(cluster, |namespace| async move {
        let provisioner = namespace.provisioners_client();
        let path = namespace.path(&format!("pods{DRY}"));
        for (saying, pod) in &others() {
            let answer = provisioner.call("POST", &path, Some(pod)).await;
            let refusal = denied(&answer, PROVISIONER).unwrap_or_default();
            assert!(refusal.contains(saying), "{saying}: {pod} {}", answer.body["message"]);
        }
        for pod in [client("x"), unrouted("x")] {
            provisioner.call("POST", &path, Some(&pod)).await.object();
        }
    })
    .await;
}

async fn the_provisioners_account_changes_a_gate_and_its_own_annotations_alone(cluster: Arc<Cluster>) {
    let refused = [
        ("only schedulingGates", json!({"spec": {"activeDeadlineSeconds": 5}})),
        ("only schedulingGates", json!({"spec": {"nodeSelector": {"node": "1"}}})),
        ("only annotations of podgateway.io/", json!({"metadata": {"labels": {"team": "a"}}})),
        ("only annotations of podgateway.io/", json!({"metadata": {"annotations": {"note": "seen"}}})),
        ("only annotations of podgateway.io/", json!({"metadata": {"annotations": {"there": null}}})),
        ("only annotations of podgateway.io/", json!({"metadata": {"annotations": {"there": "changed"}}})),
        ("only annotations of podgateway.io/", json!({"metadata": {"finalizers": ["example.com/kept"]}})),
    ];
    with_policies(cluster, |namespace| async move {
        let provisioner = namespace.provisioners_client();
        create(&namespace, &merged(client("x"), &json!({"metadata": {"annotations": {"there": "x"}}}))).await;
        let path = namespace.path("pods/x");
        for (saying, change) in &refused {
            let answer = provisioner.call("PATCH", &path, Some(change)).await;
            let refusal = denied(&answer, PROVISIONER).unwrap_or_default();
            assert!(refusal.contains(saying), "{change}: {refusal} {}", answer.body["message"]);
        }
        let mut spec = namespace.admin().get(&path).await.object()["spec"].take();
        spec["containers"][0]["image"] = json!("another");
        spec["tolerations"].as_array_mut().expect("there are defaults").push(json!({"operator": "Exists"}));
        for field in ["containers", "tolerations"] {
            let answer = provisioner.call("PATCH", &path, Some(&json!({"spec": {field: spec[field]}}))).await;
            assert!(denied(&answer, PROVISIONER).is_some(), "{field}: {}", answer.body["message"]);
        }
        let reported = json!({"metadata": {"annotations": {"podgateway.io/reported": "running"}}});
        provisioner.call("PATCH", &path, Some(&reported)).await.object();
        provisioner.call("PATCH", &path, Some(&json!({"spec": {"schedulingGates": []}}))).await.object();
    })
    .await;
}
