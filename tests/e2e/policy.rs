//! The admission policies of `deploy/`, on a real API server: they refuse what the provisioner's own check refuses, and
//! whoever may change Pods gets around neither.
//!
//! Each test has the policies for its own namespace, unchanged but for their names and the namespace.

mod account;
mod marks;
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
    CLIENTS, DRY, assert_status_goes_on, client, create, denied, patch, take_addresses, unrouted, with_policies,
};

const SECURITY: &str = "securityContext";

/// The tests.
pub fn tests() -> Vec<Test> {
    let release = crate::tests![
        the_policy_refuses_what_the_provisioner_would_not_release,
        the_policy_knows_each_clients_own_gateway,
        the_policy_lets_be_what_never_starts,
        a_debugging_container_is_judged_like_any_other,
        without_the_addresses_no_client_is_made_and_the_kubelet_goes_on,
        a_webhook_that_injects_anothers_gateway_gets_no_client_released,
        the_largest_clients_are_judged_within_the_budget,
    ];
    release.into_iter().chain(marks::tests()).chain(account::tests()).collect()
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

/// Clients that are not behind their own gateway, and what is said of each.
fn astray() -> Vec<(&'static str, Value)> {
    let mut early = unrouted("x");
    add_init_container(&mut early);
    FOO.inject(&mut early);
    let of_nobody = changed(|pod| {
        let named = json!({"labels": {"setGateway": "nope"}, "annotations": {"setGateway": "nope"}});
        pod["metadata"] = merged(pod["metadata"].take(), &named);
    });
    // The client is none of the gateway's containers, whatever its environment says.
    let disguised = changed(|pod| {
        for field in ["env", SECURITY] {
            pod["spec"]["containers"][0][field] = pod["spec"]["initContainers"][0][field].clone();
        }
    });
    let variable = json!([{"name": "gateway", "value": "other"}]);
    vec![
        ("needs the scheduling gate", unrouted("x")),
        ("needs the scheduling gate", early),
        ("its gateway is pod-gateway-bar", of_gateway(BAR_ADDRESS, "", unrouted("x"))),
        ("has \"\" for nope", of_nobody),
        ("different gateways", changed(|pod| pod["metadata"]["labels"]["setGateway"] = json!("bar"))),
        ("a second gateway", of_gateway(BAR_ADDRESS, "-bar", client("x"))),
        ("a second gateway", changed(|pod| pod["spec"]["containers"][0]["env"] = variable)),
        ("restartPolicy Always", changed(|pod| pod["spec"]["initContainers"][0]["restartPolicy"] = json!("Always"))),
        ("capabilities.add", disguised),
    ]
}

async fn the_policy_knows_each_clients_own_gateway(cluster: Arc<Cluster>) {
    with_policies(cluster, |namespace| async move {
        for (saying, pod) in astray() {
            let refusal = judge(&namespace, &pod).await.expect_err(saying);
            assert!(refusal.contains(saying) && !is_releasable(&pod), "{saying}: {refusal}");
        }
    })
    .await;
}

/// The provisioner alone says no to these, and what doesn't start leaks nothing.
async fn the_policy_lets_be_what_never_starts(cluster: Arc<Cluster>) {
    let init = |context: Value| {
        changed(|pod| pod["spec"]["initContainers"][0] = merged(pod["spec"]["initContainers"][0].take(), &context))
    };
    let blocked = changed(|pod| {
        let sidecar = pod["spec"]["containers"].as_array_mut().and_then(Vec::pop);
        pod["spec"]["initContainers"].as_array_mut().expect("it has a gateway").extend(sidecar);
    });
    let powerless = init(json!({SECURITY: {"capabilities": {"add": ["NET_RAW"]}}}));
    let of_users =
        [json!({"runAsUser": 65534}), json!({"runAsNonRoot": true})].map(|user| init(json!({ SECURITY: user })));
    let cases = [powerless, blocked].into_iter().chain(of_users);
    with_policies(cluster, |namespace| async move {
        for pod in cases {
            assert_eq!((judge(&namespace, &pod).await, is_releasable(&pod)), (Ok(()), false), "{pod}");
        }
    })
    .await;
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
            let context =
                &merged(json!({"capabilities": {"drop": ["ALL"]}}), &change["spec"]["containers"][0][SECURITY]);
            // What the Pod says for all can't be changed any more, and a debugging container has no ports or limits.
            if change["spec"][SECURITY].is_null() && field.starts_with(SECURITY) {
                let answer = patch(&namespace, &path, &debugger(context)).await;
                assert!(denied(&answer, CLIENTS).is_some(), "{field}: {}", answer.body["message"]);
            }
        }
        patch(&namespace, &path, &debugger(&json!({"capabilities": {"drop": ["ALL"]}}))).await.object();
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
        assert_status_goes_on(&namespace, &name).await;
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
