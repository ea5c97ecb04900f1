//! What makes a cluster of an API server: a scheduler, the controllers that a client's life needs, and nodes whose kubelet
//! is played by kwok, by the stages of `tests/kwok/stages.yaml`.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::cluster::client::until;
use crate::cluster::{Cluster, binaries, run};
use crate::process::Process;

/// Those controllers that tests look at. The namespaces' default service accounts are made by the tests themselves.
const CONTROLLERS: &str =
    "node-lifecycle-controller,pod-garbage-collector-controller,resourcequota-controller,taint-eviction-controller";
const STAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/kwok/stages.yaml");
/// The programs, with their flags besides the kubeconfig.
const PROGRAMS: [(&str, &[(&str, &str)]); 3] = [
    ("kube-scheduler", &[("leader-elect", "false"), ("secure-port", "0")]),
    ("kube-controller-manager", &[("leader-elect", "false"), ("secure-port", "0"), ("controllers", CONTROLLERS)]),
    // There is an address for each of some thousand Pods.
    ("kwok", &[("config", STAGES), ("manage-all-nodes", "true"), ("cidr", "10.128.0.1/12")]),
];

/// A program that isn't there; then there can be no control plane.
pub fn missing() -> Option<PathBuf> {
    PROGRAMS.map(|(name, _)| binaries().join(name)).into_iter().find(|program| !program.exists())
}

/// Starts the programs, and waits until a node is ready.
pub(super) async fn start(cluster: &Cluster) -> [Process; 3] {
    let kubeconfig = ("kubeconfig", cluster.file("kubeconfig").display().to_string());
    let processes = PROGRAMS.map(|(name, flags)| {
        let flags = flags.iter().map(|(flag, value)| (*flag, value.to_string()));
        run(&cluster.directory, name, flags.chain([kubeconfig.clone()]))
    });
    add_node(cluster, "node-1", None).await;
    processes
}

/// Adds a node, and waits until Pods are given to it. One with a taint, and the label of the same name, is left to the Pods
/// that ask for it.
pub async fn add_node(cluster: &Cluster, name: &str, taint: Option<&str>) {
    let taints: Vec<_> = taint.iter().map(|key| json!({"key": key, "effect": "NoSchedule"})).collect();
    let labels: Value = taint.iter().map(|key| (key.to_string(), json!("true"))).collect();
    let node = json!({"metadata": {"name": name, "labels": labels}, "spec": {"taints": taints}});
    cluster.admin.create("/api/v1/nodes", &node).await;
    until("the node is ready", || async {
        let node = cluster.admin.get(&format!("/api/v1/nodes/{name}")).await.body;
        // Until it is ready, a controller has it tainted.
        let found = node["spec"]["taints"].as_array().map_or(0, Vec::len);
        node["status"]["phase"] == "Running" && found == taints.len()
    })
    .await;
}
