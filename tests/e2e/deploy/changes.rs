//! What a client is known by stays as it is, whoever writes to its Pod, and everything else goes on; and what the
//! provisioner's account may do with the rights that it has.

use provisioner::testing::{examples, merged, released};
use serde_json::{Value, json};
use tests::cluster::Namespace;

use super::{
    BINDINGS, CLIENTS, MANAGED_BY, MARKS, PROVISIONER, assert_denied, assert_status_goes_on, client, create, is_denied,
    patch, unrouted,
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

pub async fn nobody_changes_what_a_client_is_known_by_and_all_else_goes_on(namespace: &Namespace) {
    create(namespace, &unrouted("gated")).await;
    create(namespace, &released(client("running"))).await;
    let removals = changed_to(&json!(null)).into_iter().chain([json!({"metadata": {"labels": null}})]);
    for change in additions().into_iter().chain(removals) {
        for path in ["gated", "gated/status", "running", "running/status"] {
            assert_denied(&patch(namespace, path, &change).await, MARKS, "");
        }
    }
    let note = json!({"metadata": {"annotations": {"note": "seen"}, "labels": {"team": "a"}}});
    for name in ["gated", "running"] {
        assert_status_goes_on(namespace, name).await;
        patch(namespace, name, &note).await.object();
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
    let of_spec = [
        json!({"activeDeadlineSeconds": 5}),
        json!({"nodeSelector": {"node": "1"}}),
        json!({"containers": spec["containers"]}),
        json!({"tolerations": spec["tolerations"]}),
    ]
    .map(|change| (json!({"spec": change}), "only schedulingGates"));
    let of_metadata = [
        json!({"labels": {"team": "a"}}),
        json!({"annotations": {"note": "seen"}}),
        json!({"annotations": {"there": null}}),
        json!({"annotations": {"there": "changed"}}),
        json!({"finalizers": ["example.com/kept"]}),
    ]
    .map(|change| (json!({"metadata": change}), "only annotations of podgateway.io/"));
    for (change, saying) in of_spec.iter().chain(&of_metadata) {
        assert_denied(&provisioner.patch(&path, change).await, PROVISIONER, saying);
    }
    let reported = json!({"metadata": {"annotations": {"podgateway.io/reported": "running"}}});
    provisioner.patch(&path, &reported).await.object();
    provisioner.patch(&path, &json!({"spec": {"schedulingGates": []}})).await.object();
}
