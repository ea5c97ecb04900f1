//! End-to-end tests: the built component, in the native host, against a real kube-apiserver and its etcd.
//!
//! `make e2e` builds the two and runs this. One API server serves the whole run; every test has a namespace of its
//! own, and the provisioner in it has the rights of `deploy/rbac.yaml` and no others. The gateways' admission is a real
//! webhook, registered as the gateways' chart does it. What the contract tests script is seen here as it is.
//!
//! Whatever was started is ended by its process id before this ends, and by the kernel should this be killed.

mod certificates;
mod client;
mod cluster;
mod doctor;
mod exactly_once;
mod faults;
mod gateway;
mod harness;
mod killed;
mod manifests;
mod namespace;
mod outage;
mod outcome;
mod refusals;
mod rights;
mod role;
#[path = "../faults/table.rs"]
mod table;
mod token;
mod tokens;
mod webhook;
mod webhooks;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use cluster::Cluster;
use harness::Part;

fn parts() -> Vec<Part> {
    vec![
        ("webhooks", webhooks::tests()),
        ("refusals", refusals::tests()),
        ("tokens", tokens::tests()),
        ("role", role::tests()),
        ("exactly once", exactly_once::tests()),
        ("killed", killed::tests()),
        ("faults", faults::tests()),
        ("doctor", doctor::tests()),
        ("manifests", manifests::tests()),
        // Last and by itself: it takes the API server away.
        ("outage", outage::tests()),
    ]
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().expect("this machine has threads");
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let directory = tempfile::Builder::new().prefix("e2e-").tempdir_in(scratch).expect("target/ can be written");
    let begin = Instant::now();
    let cluster = Arc::new(runtime.block_on(start(directory.path())));
    let started = ("start of the API server", begin.elapsed());
    let (times, all_well) = harness::run(parts(), runtime.handle(), &cluster);
    drop(cluster);
    for (name, time) in [started].iter().chain(&times) {
        println!("{:>6.1} s  {name}", time.as_secs_f32());
    }
    if all_well {
        return ExitCode::SUCCESS;
    }
    println!("the logs of the API server and of etcd are in {}", directory.keep().display());
    ExitCode::FAILURE
}

async fn start(directory: &Path) -> Cluster {
    let cluster = Cluster::start(&binaries(), directory).await;
    rights::create_service_account(cluster.admin()).await;
    cluster
}

/// Where kube-apiserver and etcd are: the variable that Kubernetes' own tests use, or where `make e2e` builds them.
fn binaries() -> PathBuf {
    let own = || tests::provisioner::repository().join("target/kubernetes");
    std::env::var_os("KUBEBUILDER_ASSETS").map_or_else(own, PathBuf::from)
}
