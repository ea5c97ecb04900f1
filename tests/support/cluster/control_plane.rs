//! What makes a cluster of an API server: a scheduler, the controllers that a client's life needs, and nodes whose kubelet
//! is played by kwok, by the stages of `tests/kwok/stages.yaml`.

use std::path::PathBuf;

use serde_json::json;

use crate::cluster::client::until;
use crate::cluster::{Cluster, binaries};
use crate::process::Process;
use crate::provisioner::repository;

const PROGRAMS: [&str; 3] = ["kube-scheduler", "kube-controller-manager", "kwok"];
const STAGES: &str = "tests/kwok/stages.yaml";
/// Those that tests look at. The namespaces' default service accounts are made by the tests themselves.
const CONTROLLERS: &str =
    "node-lifecycle-controller,pod-garbage-collector-controller,resourcequota-controller,taint-eviction-controller";

/// A running control plane. Its processes end when it is dropped.
pub struct ControlPlane {
    _processes: [Process; 3],
}

impl ControlPlane {
    /// A program that isn't there; then there can be none.
    pub fn missing() -> Option<PathBuf> {
        PROGRAMS.map(|name| binaries().join(name)).into_iter().find(|program| !program.exists())
    }

    /// Starts the programs, and waits until a node is ready.
    pub async fn start(cluster: &Cluster) -> Self {
        let _processes = PROGRAMS.map(|name| {
            let log = cluster.directory().join(format!("{name}.log"));
            Process::start(&binaries().join(name), &flags(name, cluster), log)
        });
        add_node(cluster, "node-1", None).await;
        Self { _processes }
    }
}

fn flags(program: &str, cluster: &Cluster) -> Vec<String> {
    let own: &[(&str, String)] = match program {
        "kwok" => &[
            ("config", repository().join(STAGES).display().to_string()),
            ("manage-all-nodes", "true".to_owned()),
            ("node-lease-duration-seconds", "40".to_owned()),
            // An address for each of some thousand Pods.
            ("cidr", "10.128.0.1/12".to_owned()),
        ],
        "kube-scheduler" => &[("leader-elect", "false".to_owned()), ("secure-port", "0".to_owned())],
        _ => &[
            ("leader-elect", "false".to_owned()),
            ("secure-port", "0".to_owned()),
            ("controllers", CONTROLLERS.to_owned()),
        ],
    };
    let kubeconfig = [("kubeconfig", cluster.kubeconfig().display().to_string())];
    kubeconfig.iter().chain(own).map(|(flag, value)| format!("--{flag}={value}")).collect()
}

/// Adds a node, and waits until Pods are given to it. One with a taint, and the label of the same name, is left to the Pods
/// that ask for it.
pub async fn add_node(cluster: &Cluster, name: &str, taint: Option<&str>) {
    let taints: Vec<_> = taint.iter().map(|key| json!({"key": key, "effect": "NoSchedule"})).collect();
    let labels: serde_json::Value = taint.iter().map(|key| (key.to_string(), json!("true"))).collect();
    let node = json!({"metadata": {"name": name, "labels": labels}, "spec": {"taints": taints}});
    cluster.admin().create("/api/v1/nodes", &node).await;
    until("the node is ready", || async {
        let node = cluster.admin().get(&format!("/api/v1/nodes/{name}")).await.body;
        // Until it is ready, a controller has it tainted.
        let found = node["spec"]["taints"].as_array().map_or(0, Vec::len);
        node["status"]["phase"] == "Running" && found == taint.iter().len()
    })
    .await;
}
