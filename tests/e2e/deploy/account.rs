//! What the provisioner's account may do with the rights that it has.

use provisioner::testing::merged;
use serde_json::{Value, json};
use tests::cluster::Namespace;

use super::{MANAGED_BY, PROVISIONER, assert_denied, client, create, unrouted};

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

pub async fn the_provisioners_account_makes_clients_alone(namespace: &Namespace) {
    let provisioner = namespace.provisioners_client();
    let path = namespace.path("pods?dryRun=All");
    for (saying, pod) in &others() {
        assert_denied(&provisioner.call("POST", &path, Some(pod)).await, PROVISIONER, saying);
    }
    for pod in [client("x"), unrouted("x")] {
        provisioner.create(&path, &pod).await;
    }
}

pub async fn the_provisioners_account_changes_a_gate_and_its_own_annotations_alone(namespace: &Namespace) {
    let provisioner = namespace.provisioners_client();
    create(namespace, &merged(client("kept"), &json!({"metadata": {"annotations": {"there": "x"}}}))).await;
    let path = namespace.path("pods/kept");
    let mut spec = namespace.admin().get(&path).await.object()["spec"].take();
    spec["containers"][0]["image"] = json!("another");
    spec["tolerations"].as_array_mut().expect("there are defaults").push(json!({"operator": "Exists"}));
    for change in [
        json!({"spec": {"activeDeadlineSeconds": 5}}),
        json!({"spec": {"nodeSelector": {"node": "1"}}}),
        json!({"spec": {"containers": spec["containers"]}}),
        json!({"spec": {"tolerations": spec["tolerations"]}}),
    ] {
        assert_denied(&provisioner.patch(&path, &change).await, PROVISIONER, "only schedulingGates");
    }
    for change in [
        json!({"labels": {"team": "a"}}),
        json!({"annotations": {"note": "seen"}}),
        json!({"annotations": {"there": null}}),
        json!({"annotations": {"there": "changed"}}),
        json!({"finalizers": ["example.com/kept"]}),
    ] {
        let answer = provisioner.patch(&path, &json!({"metadata": change})).await;
        assert_denied(&answer, PROVISIONER, "only annotations of podgateway.io/");
    }
    let reported = json!({"metadata": {"annotations": {"podgateway.io/reported": "running"}}});
    provisioner.patch(&path, &reported).await.object();
    provisioner.patch(&path, &json!({"spec": {"schedulingGates": []}})).await.object();
}
