//! The admission policies of `deploy/`, on a real API server: they refuse what the provisioner's own check refuses, and
//! whoever may change Pods gets around neither.
//!
//! Each test has the policies for its own namespace, unchanged but for their names and the namespace.

pub mod setup;

use std::sync::Arc;

use provisioner::gateway::verify;
use provisioner::pod::Pod;
use provisioner::testing::{config, examples, harmless, merged, moved, released, stored, with_pending};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::gateway::{BAR_ADDRESS, FOO, Gateway, add_init_container};
use crate::harness::Test;
use crate::namespace::Namespace;
use crate::outcome::deliver;
use setup::{
    BINDINGS, CLIENTS, MANAGED_BY, MARKS, PROVISIONER, client, denied, take_addresses, unrouted, with_policies,
};

const DRY: &str = "?dryRun=All";
const ROUTES: &str = "securityContext";

/// The tests.
pub fn tests() -> Vec<Test> {
    crate::tests![
        the_policy_refuses_what_the_provisioner_would_not_release,
        the_policy_knows_each_clients_own_gateway,
        a_debugging_container_is_judged_like_any_other,
        nobody_takes_a_clients_gate_or_its_marks,
        whatever_writes_a_status_goes_on_as_before,
        the_provisioners_account_makes_clients_alone,
        the_provisioners_account_changes_a_gate_and_its_own_annotations_alone,
        without_the_addresses_no_client_is_made_and_the_kubelet_goes_on,
        a_webhook_that_injects_anothers_gateway_gets_no_client_released,
        the_largest_clients_are_judged_within_the_budget,
    ]
}

/// Tries to have an ungated Pod made, and gives the policy's refusal.
async fn judge(namespace: &Namespace, pod: &Value) -> Result<(), String> {
    let answer =
        namespace.admin().call("POST", &namespace.path(&format!("pods{DRY}")), Some(&released(pod.clone()))).await;
    match denied(&answer, CLIENTS) {
        Some(message) => Err(message),
        None => {
            answer.object();
            Ok(())
        }
    }
}

/// What the provisioner's own check says of the gated Pod.
fn is_releasable(pod: &Value) -> bool {
    let address = "pod-gateway-{gateway}.gateway-system.svc.cluster.local";
    let mut pod = stored(pod.clone());
    pod["metadata"]["namespace"] = json!("x");
    let pod: Pod = serde_json::from_value(pod).expect("it is a Pod");
    with_pending(|pending| verify(&pod, pending, &config(&[("gateway_address", address)]))).is_ok()
}

/// The change of the container `client`, made to further containers too.
fn everywhere(change: &Value) -> Vec<Value> {
    let further = |list: &'static str| {
        let hardened = json!({"name": "further", "image": "x", "securityContext": {"capabilities": {"drop": ["ALL"]}}});
        moved(change, list, "further").map(|change| merged(json!({"spec": {list: [hardened]}}), &change))
    };
    ["containers", "initContainers"].into_iter().filter_map(further).chain([change.clone()]).collect()
}

async fn the_policy_refuses_what_the_provisioner_would_not_release(cluster: Arc<Cluster>) {
    with_policies(cluster, |namespace| async move {
        for (field, change) in harmless().into_iter().chain([("", json!({}))]) {
            let pod = merged(client("x"), &change);
            assert_eq!((judge(&namespace, &pod).await, is_releasable(&pod)), (Ok(()), true), "{field}: {change}");
        }
        for (field, change) in examples() {
            for change in everywhere(&change) {
                let pod = merged(client("x"), &change);
                let refusal = judge(&namespace, &pod).await.expect_err(&change.to_string());
                let word = field.trim_start_matches("securityContext.");
                assert!(refusal.contains(word), "{field}: {refusal}");
                assert!(!is_releasable(&pod), "{change}");
            }
        }
    })
    .await;
}

/// A Pod that a change was made to.
fn changed(change: impl FnOnce(&mut Value)) -> Value {
    let mut pod = client("x");
    change(&mut pod);
    pod
}

fn of_gateway(address: &'static str, suffix: &'static str, mut pod: Value) -> Value {
    Gateway { value: "foo", address, suffix }.inject(&mut pod);
    pod
}

async fn the_policy_knows_each_clients_own_gateway(cluster: Arc<Cluster>) {
    let behind = |mut pod: Value| {
        FOO.inject(&mut pod);
        pod
    };
    let early = behind({
        let mut pod = unrouted("x");
        add_init_container(&mut pod);
        pod
    });
    let refused = [
        ("needs the scheduling gate", unrouted("x")),
        ("needs the scheduling gate", early),
        ("its gateway is pod-gateway-bar", of_gateway(BAR_ADDRESS, "", unrouted("x"))),
        (
            "has \"\" for nope",
            changed(|pod| {
                pod["metadata"]["annotations"]["setGateway"] = json!("nope");
                pod["metadata"]["labels"]["setGateway"] = json!("nope");
            }),
        ),
        ("different gateways", changed(|pod| pod["metadata"]["labels"]["setGateway"] = json!("bar"))),
        ("a second gateway", of_gateway(BAR_ADDRESS, "-bar", client("x"))),
        (
            "a second gateway",
            changed(|pod| {
                pod["spec"]["containers"][0]["env"] = json!([{"name": "gateway", "value": "other"}]);
            }),
        ),
        ("restartPolicy Always", changed(|pod| pod["spec"]["initContainers"][0]["restartPolicy"] = json!("Always"))),
        // The client is none of the gateway's containers, whatever its environment says.
        (
            "capabilities.add",
            changed(|pod| {
                let gateways = pod["spec"]["initContainers"][0].clone();
                pod["spec"]["containers"][0]["env"] = gateways["env"].clone();
                pod["spec"]["containers"][0][ROUTES] = gateways[ROUTES].clone();
            }),
        ),
    ];
    // The provisioner alone says no to these: the client never starts, and what doesn't start leaks nothing.
    let let_be = [
        changed(|pod| pod["spec"]["initContainers"][0][ROUTES]["capabilities"] = json!({"add": ["NET_RAW"]})),
        changed(|pod| pod["spec"]["initContainers"][0][ROUTES]["runAsUser"] = json!(65534)),
        changed(|pod| {
            let sidecar = pod["spec"]["containers"][1].clone();
            pod["spec"]["containers"].as_array_mut().expect("it has containers").pop();
            pod["spec"]["initContainers"].as_array_mut().expect("it has a gateway").push(sidecar);
        }),
    ];
    with_policies(cluster, |namespace| async move {
        for (saying, pod) in &refused {
            let refusal = judge(&namespace, pod).await.expect_err(saying);
            assert!(refusal.contains(saying) && !is_releasable(pod), "{saying}: {refusal}");
        }
        for pod in &let_be {
            assert_eq!((judge(&namespace, pod).await, is_releasable(pod)), (Ok(()), false), "{pod}");
        }
    })
    .await;
}

async fn patch(namespace: &Namespace, path: &str, change: &Value) -> crate::client::Answer {
    namespace.admin().call("PATCH", &namespace.path(&format!("pods/{path}")), Some(change)).await
}

async fn create(namespace: &Namespace, pod: &Value) {
    namespace.admin().create(&namespace.path("pods"), pod).await;
}

async fn a_debugging_container_is_judged_like_any_other(cluster: Arc<Cluster>) {
    with_policies(cluster, |namespace| async move {
        let of_its_own_users = json!({"spec": {"hostUsers": false}});
        create(&namespace, &merged(released(client("x")), &of_its_own_users)).await;
        let debugger = |context: &Value| {
            let gateways = json!([{"name": "gateway", "value": FOO.address}]);
            json!({"spec": {"ephemeralContainers": [
                {"name": "debugger", "image": "x", "env": gateways, "securityContext": context},
            ]}})
        };
        let path = format!("x/ephemeralcontainers{DRY}");
        for (field, change) in examples() {
            let Some(change) = moved(&change, "containers", "debugger") else { continue };
            let context = &merged(json!({"capabilities": {"drop": ["ALL"]}}), &change["spec"]["containers"][0][ROUTES]);
            // What the Pod says for all can't be changed any more, and a debugging container has no ports.
            if change["spec"][ROUTES].is_null() && field != "ports.hostPort" {
                let answer = patch(&namespace, &path, &debugger(context)).await;
                assert!(denied(&answer, CLIENTS).is_some(), "{field}: {}", answer.body["message"]);
            }
        }
        patch(&namespace, &path, &debugger(&json!({"capabilities": {"drop": ["ALL"]}}))).await.object();
    })
    .await;
}

async fn nobody_takes_a_clients_gate_or_its_marks(cluster: Arc<Cluster>) {
    with_policies(cluster, |namespace| async move {
        create(&namespace, &unrouted("gated")).await;
        create(&namespace, &released(client("running"))).await;
        let gates = json!({"spec": {"schedulingGates": []}});
        assert!(denied(&patch(&namespace, "gated", &gates).await, CLIENTS).is_some());
        let mut changes = Vec::new();
        for value in [json!(null), json!("another")] {
            for key in [MANAGED_BY, "app.kubernetes.io/name", "app.kubernetes.io/instance", "setGateway"] {
                changes.push(json!({"metadata": {"labels": {key: value}}}));
            }
            for key in ["setGateway", "podgateway.io/event-source", "podgateway.io/event-id"] {
                changes.push(json!({"metadata": {"annotations": {key: value}}}));
            }
        }
        changes.push(json!({"metadata": {"labels": null}}));
        changes.push(json!({"metadata": {"annotations": {"podgateway.io/correlation-id": "another"}}}));
        changes.push(json!({"metadata": {"annotations": {"k8s.v1.cni.cncf.io/networks": "second"}}}));
        for path in ["gated", "gated/status", "running", "running/status"] {
            for change in &changes {
                let answer = patch(&namespace, path, change).await;
                assert!(denied(&answer, MARKS).is_some(), "{path} {change}: {}", answer.body["message"]);
            }
        }
        nobody_changes_them_by_a_binding(&namespace, &changes).await;
        nobody_makes_a_client_of_another_pod(&namespace).await;
    })
    .await;
}

async fn nobody_changes_them_by_a_binding(namespace: &Namespace, changes: &[Value]) {
    let bind = |metadata: Value, path: &'static str| async move {
        let binding = json!({"metadata": metadata, "target": {"kind": "Node", "name": "node-1"}});
        namespace.admin().call("POST", &namespace.path(path), Some(&binding)).await
    };
    for change in changes.iter().filter(|change| change.to_string().contains(":\"")) {
        let metadata = merged(change["metadata"].clone(), &json!({"name": "running"}));
        for path in ["pods/running/binding", "bindings"] {
            let answer = bind(metadata.clone(), path).await;
            assert!(denied(&answer, BINDINGS).is_some(), "{path} {change}: {}", answer.body["message"]);
        }
    }
    let topology = json!({"name": "running", "labels": {"topology.kubernetes.io/zone": "a"}});
    bind(topology, "pods/running/binding").await.object();
}

async fn nobody_makes_a_client_of_another_pod(namespace: &Namespace) {
    let other = json!({
        "metadata": {"name": "other"},
        "spec": {"hostPID": true, "containers": [{"name": "client", "image": "x"}]},
    });
    create(namespace, &other).await;
    for path in ["other", "other/status"] {
        let label = json!({"metadata": {"labels": {MANAGED_BY: "cloudevents-podgateway-client-provisioner"}}});
        assert!(denied(&patch(namespace, path, &label).await, MARKS).is_some(), "{path}");
    }
}

/// The kubelet, the scheduler, and a network plugin that reports; and whoever notes something on a Pod, or lets it go.
async fn goes_on(namespace: &Namespace, name: &str) {
    let status = format!("{name}/status");
    let condition = json!({"type": "Ready", "status": "True"});
    let started = json!({"status": {"phase": "Running", "podIP": "10.244.0.9", "conditions": [condition]}});
    patch(namespace, &status, &started).await.object();
    let report = json!({"metadata": {"annotations": {"k8s.v1.cni.cncf.io/network-status": "[]"}}});
    patch(namespace, &status, &report).await.object();
}

async fn whatever_writes_a_status_goes_on_as_before(cluster: Arc<Cluster>) {
    with_policies(cluster, |namespace| async move {
        create(&namespace, &unrouted("gated")).await;
        create(&namespace, &client("routed")).await;
        patch(&namespace, "routed", &json!({"spec": {"schedulingGates": []}})).await.object();
        for name in ["gated", "routed"] {
            goes_on(&namespace, name).await;
            let note = json!({"metadata": {"annotations": {"note": "seen"}, "labels": {"team": "a"}}});
            patch(&namespace, name, &note).await.object();
            namespace.admin().delete(&namespace.path(&format!("pods/{name}"))).await.object();
        }
    })
    .await;
}

async fn the_provisioners_account_makes_clients_alone(cluster: Arc<Cluster>) {
    let with = |change: Value| merged(client("x"), &change);
    let label = |key: &str, value: Value| with(json!({"metadata": {"labels": {key: value}}}));
    let annotation = |key: &str| with(json!({"metadata": {"annotations": {key: null}}}));
    let secured = |name: &str, context: Value| {
        with(json!({"spec": {"containers": [{"name": name, "image": "x", "securityContext": context}]}}))
    };
    let refused = [
        ("makes clients alone", label(MANAGED_BY, json!(null))),
        ("makes clients alone", label("app.kubernetes.io/name", json!("another"))),
        ("makes clients alone", label("app.kubernetes.io/instance", json!("another"))),
        ("makes clients alone", label("setGateway", json!(null))),
        ("makes clients alone", label("setGateway", json!("bar"))),
        ("makes clients alone", annotation("podgateway.io/event-id")),
        ("makes clients alone", annotation("podgateway.io/event-source")),
        ("scheduling gate", changed(|pod| pod["spec"]["schedulingGates"] = json!([{"name": "example.com/later"}]))),
        ("automountServiceAccountToken", with(json!({"spec": {"automountServiceAccountToken": null}}))),
        ("privileged", secured("client", json!({"privileged": true, "allowPrivilegeEscalation": null}))),
        // What anybody may call a gateway's.
        ("privileged", secured("gateway-sidecar", json!({"privileged": true}))),
        ("reaches the node", secured("gateway-sidecar", json!({"capabilities": {"add": ["cap_sys_admin"]}}))),
        ("hardened", secured("client", json!({"capabilities": {"drop": null}}))),
        ("hardened", secured("client", json!({"capabilities": {"add": ["NET_RAW"]}}))),
        ("hardened", changed(|pod| pod["spec"]["containers"][0]["name"] = json!("another"))),
    ];
    with_policies(cluster, |namespace| async move {
        let provisioner = namespace.provisioners_client();
        let path = namespace.path(&format!("pods{DRY}"));
        for (saying, pod) in &refused {
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
        ("schedulingGates alone", json!({"spec": {"activeDeadlineSeconds": 5}})),
        ("schedulingGates alone", json!({"spec": {"nodeSelector": {"node": "1"}}})),
        ("podgateway.io/ alone", json!({"metadata": {"labels": {"team": "a"}}})),
        ("podgateway.io/ alone", json!({"metadata": {"annotations": {"note": "seen"}}})),
        ("podgateway.io/ alone", json!({"metadata": {"annotations": {"there": null}}})),
        ("podgateway.io/ alone", json!({"metadata": {"annotations": {"there": "changed"}}})),
        ("podgateway.io/ alone", json!({"metadata": {"finalizers": ["example.com/kept"]}})),
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

async fn without_the_addresses_no_client_is_made_and_the_kubelet_goes_on(cluster: Arc<Cluster>) {
    with_policies(cluster, |namespace| async move {
        let _gateway = FOO.serve(&namespace).await;
        let provisioner = namespace.provisioner(&[]);
        assert_eq!(deliver(&provisioner, "1").await, "`done`");
        take_addresses(&namespace, true).await;
        assert_eq!(deliver(&provisioner, "1").await, "`done`");
        assert_eq!(deliver(&provisioner, "2").await, "503");
        let name = namespace.pods().await[0]["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        goes_on(&namespace, &name).await;
        let other = json!({"metadata": {"name": "other"}, "spec": {"containers": [{"name": "x", "image": "x"}]}});
        create(&namespace, &other).await;
        namespace.admin().delete(&namespace.path(&format!("pods/{name}"))).await.object();
        take_addresses(&namespace, false).await;
        assert_eq!(deliver(&provisioner, "2").await, "`done`");
    })
    .await;
}

/// A provisioner that is told no address can't tell; the API server can.
async fn a_webhook_that_injects_anothers_gateway_gets_no_client_released(cluster: Arc<Cluster>) {
    with_policies(cluster, |namespace| async move {
        let _astray = Gateway { value: "foo", address: BAR_ADDRESS, suffix: "" }.serve(&namespace).await;
        let provisioner = namespace.provisioner(&[]);
        assert_eq!(deliver(&provisioner, "1").await, "`failed`, `PodRejected`");
        assert_eq!(namespace.pods().await.len(), 0);
    })
    .await;
}

/// An API server stops judging what costs too much, and refuses it. Pods of some 1 MB are the largest that etcd takes.
async fn the_largest_clients_are_judged_within_the_budget(cluster: Arc<Cluster>) {
    let env: Vec<Value> = (0..8000).map(|n| json!({"name": format!("V{n}"), "value": "x".repeat(60)})).collect();
    let further = (0..100).map(|n| {
        let context = json!({"capabilities": {"drop": ["ALL"]}});
        let ports: Vec<Value> = (1..=20).map(|port| json!({"containerPort": port})).collect();
        json!({"name": format!("further-{n}"), "image": "x", "ports": ports, "securityContext": context})
    });
    let mut pod = client("x");
    pod["spec"]["containers"][0]["env"] = json!(env);
    pod["spec"]["containers"].as_array_mut().expect("it has containers").extend(further);
    with_policies(cluster, |namespace| async move {
        let provisioner = namespace.provisioners_client();
        provisioner.create(&namespace.path("pods"), &pod).await;
        let gates = json!({"spec": {"schedulingGates": []}});
        provisioner.call("PATCH", &namespace.path("pods/x"), Some(&gates)).await.object();
    })
    .await;
}
