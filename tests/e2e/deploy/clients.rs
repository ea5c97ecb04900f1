//! What may be released.

use provisioner::gateway::verify;
use provisioner::pod::Pod;
use provisioner::testing::{config, examples, harmless, merged, moved, released, stored, with_pending};
use serde_json::{Value, json};
use tests::cluster::Namespace;
use tests::cluster::gateway::{ASTRAY, FOO, FOO_ADDRESS, add_gateway, add_init_container};

use super::{CLIENTS, assert_denied, client, create, patch, try_out, unrouted};

/// What the provisioner's own check says of the gated Pod.
fn is_releasable(pod: Value) -> bool {
    let address = FOO_ADDRESS.replace("foo", "{gateway}");
    let pod: Pod = serde_json::from_value(stored(pod)).expect("it is a Pod");
    with_pending(|pending| verify(&pod, pending, &config(&[("gateway_address", &address)]))).is_ok()
}

/// The change of the container `client`, made to further containers too.
fn everywhere(change: &Value) -> Vec<Value> {
    let further = |list: &'static str| {
        let hardened = json!({"name": "further", "image": "x", "securityContext": {"capabilities": {"drop": ["ALL"]}}});
        moved(change, list, "further").map(|change| merged(json!({"spec": {list: [hardened]}}), &change))
    };
    ["containers", "initContainers"].into_iter().filter_map(further).chain([change.clone()]).collect()
}

/// A Pod that a change was made to.
fn changed(change: impl FnOnce(&mut Value)) -> Value {
    let mut pod = client("x");
    change(&mut pod);
    pod
}

/// Clients that are not behind their own gateway, and what is said of each.
fn astray() -> Vec<(&'static str, Value)> {
    let [mut early, mut of_another] = [unrouted("x"), unrouted("x")];
    add_init_container(&mut early);
    FOO.inject(&mut early);
    ASTRAY.inject(&mut of_another);
    let named = json!({"metadata": {"labels": {"setGateway": "nope"}, "annotations": {"setGateway": "nope"}}});
    // The client is none of the gateway's containers, whatever its environment says.
    let disguised = changed(|pod| {
        for field in ["env", "securityContext"] {
            pod["spec"]["containers"][0][field] = pod["spec"]["initContainers"][0][field].clone();
        }
    });
    let variable = json!([{"name": "gateway", "value": "other"}]);
    vec![
        ("needs the scheduling gate", unrouted("x")),
        ("needs the scheduling gate", early),
        ("its gateway is pod-gateway-bar", of_another),
        ("has \"\" for nope", merged(client("x"), &named)),
        ("different gateways", changed(|pod| pod["metadata"]["labels"]["setGateway"] = json!("bar"))),
        ("a second gateway", changed(add_gateway)),
        ("a second gateway", changed(|pod| pod["spec"]["containers"][0]["env"] = variable)),
        ("restartPolicy Always", changed(|pod| pod["spec"]["initContainers"][0]["restartPolicy"] = json!("Always"))),
        ("capabilities.add", disguised),
    ]
}

pub async fn the_policy_refuses_what_the_provisioner_would_not_release(namespace: &Namespace) {
    let harmless = harmless().into_iter().map(|(_, change)| (String::new(), true, merged(client("x"), &change)));
    let leading = examples().into_iter().flat_map(|(field, change)| {
        let word = field.trim_start_matches("securityContext.").to_owned();
        everywhere(&change).into_iter().map(move |change| (word.clone(), false, merged(client("x"), &change)))
    });
    let astray = astray().into_iter().map(|(saying, pod)| (saying.to_owned(), false, pod));
    for (saying, is_harmless, pod) in harmless.chain(leading).chain(astray) {
        let answer = try_out(namespace, &pod).await;
        match is_harmless {
            true => drop(answer.object()),
            false => assert_denied(&answer, CLIENTS, &saying),
        }
        assert_eq!(is_releasable(pod.clone()), is_harmless, "{pod}");
    }
}

pub async fn a_debugging_container_is_judged_like_any_other(namespace: &Namespace) {
    create(namespace, &merged(released(client("debugged")), &json!({"spec": {"hostUsers": false}}))).await;
    let debug = async |context: &Value| {
        let env = json!([{"name": "gateway", "value": FOO.address}]);
        let debugger = json!({"name": "debugger", "image": "x", "env": env, "securityContext": context});
        let change = json!({"spec": {"ephemeralContainers": [debugger]}});
        patch(namespace, "debugged/ephemeralcontainers?dryRun=All", &change).await
    };
    let hardened = json!({"capabilities": {"drop": ["ALL"]}});
    for (field, change) in examples() {
        let Some(change) = moved(&change, "containers", "debugger") else { continue };
        // What the Pod says for all can't be changed any more, and a debugging container has no ports or limits.
        if change["spec"]["securityContext"].is_null() && field.starts_with("securityContext") {
            let context = merged(hardened.clone(), &change["spec"]["containers"][0]["securityContext"]);
            assert_denied(&debug(&context).await, CLIENTS, "");
        }
    }
    debug(&hardened).await.object();
}

/// Kubernetes 1.34 takes a device from a resize where there were no resources.
pub async fn a_device_that_a_resize_adds_is_judged_like_any_other(namespace: &Namespace) {
    let limit = |name: &str, amount: &str| json!({"spec": {"containers": [{"name": "client", "resources": {"limits": {name: amount}}}]}});
    let resize = async |name: &str, pod: Value, change: &Value| {
        create(namespace, &pod).await;
        let containers = json!({"spec": {"containers": merged(pod, change)["spec"]["containers"]}});
        patch(namespace, &format!("{name}/resize?dryRun=All"), &containers).await
    };
    let device = limit("deviceclass.resource.kubernetes.io/x", "1");
    assert_denied(&resize("resized", released(client("resized")), &device).await, CLIENTS, "resources.limits");
    let limited = merged(released(client("limited")), &limit("memory", "1Gi"));
    resize("limited", limited, &limit("memory", "2Gi")).await.object();
}

/// An API server stops judging what costs too much, and refuses it. Pods of some 1 MB are the largest that etcd takes.
pub async fn the_largest_clients_are_judged_within_the_budget(namespace: &Namespace) {
    let env: Vec<Value> = (0..8000).map(|n| json!({"name": format!("V{n}"), "value": "x".repeat(60)})).collect();
    let further = (0..100).map(|n| {
        let context = json!({"capabilities": {"drop": ["ALL"]}});
        let ports: Vec<Value> = (1..=20).map(|port| json!({"containerPort": port})).collect();
        json!({"name": format!("further-{n}"), "image": "x", "ports": ports, "securityContext": context})
    });
    let mut pod = client("largest");
    pod["spec"]["containers"][0]["env"] = json!(env);
    pod["spec"]["containers"].as_array_mut().expect("it has containers").extend(further);
    let provisioner = namespace.provisioners_client();
    provisioner.create(&namespace.path("pods"), &pod).await;
    let gates = json!({"spec": {"schedulingGates": []}});
    provisioner.patch(&namespace.path("pods/largest"), &gates).await.object();
}
