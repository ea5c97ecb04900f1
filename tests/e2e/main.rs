//! End-to-end tests: the built component, in its host, against a real kube-apiserver and its etcd.
//!
//! `make e2e` builds the two and runs this. One API server serves the whole run; every test has a namespace of its
//! own, and the provisioner in it has the rights of `deploy/rbac.yaml` and no others. The gateways' admission is a real
//! webhook, registered as the gateways' chart does it. What the contract tests script is seen here as it is. A client's life
//! has the rest of a control plane around it: a scheduler, controllers, and a node whose kubelet is played.
//!
//! Whatever was started is ended by its process id before this ends, and by the kernel should this be killed.

mod clients;
mod doctor;
mod embedded;
mod exactly_once;
mod harness;
mod killed;
mod knative;
mod life;
mod manifests;
mod outage;
mod outcome;
mod policy;
mod refusals;
mod role;
mod senders;
mod tokens;
mod webhooks;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use harness::Part;
use tests::cluster;
use tests::cluster::control_plane::ControlPlane;
use tests::cluster::{Cluster, client, gateway, namespace, rights, token, webhook};

fn parts() -> Vec<Part> {
    let plane = life::Plane::default();
    vec![
        ("webhooks", webhooks::tests()),
        ("refusals", refusals::tests()),
        ("tokens", tokens::tests()),
        ("role", role::tests()),
        // It gives the provisioner one right more in the whole cluster, which the part before it would see.
        ("senders", senders::tests()),
        ("killed", killed::tests()),
        ("policy", policy::tests()),
        ("doctor", doctor::tests()),
        ("embedded", embedded::tests()),
        ("manifests", manifests::tests()),
        ("life", life::tests(&plane)),
        ("clients", clients::tests(&plane)),
        // Last and by itself: it takes the API server away.
        ("outage", outage::tests()),
    ]
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().expect("this machine has threads");
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let directory = tempfile::Builder::new().prefix("e2e-").tempdir_in(scratch).expect("target/ can be written");
    let begin = Instant::now();
    let cluster = Arc::new(runtime.block_on(Cluster::start_default(directory.path())));
    let started = ("start of the API server", begin.elapsed());
    let (times, all_well) = harness::run(parts(), runtime.handle(), &cluster);
    drop(cluster);
    for (name, time) in [started].iter().chain(&times) {
        println!("{:>6.1} s  {name}", time.as_secs_f32());
    }
    if !all_well {
        println!("the logs of the API server and of what is around it are in {}", directory.keep().display());
        return ExitCode::FAILURE;
    }
    if let Some(program) = ControlPlane::missing() {
        println!("NOT RUN: the tests of a client's life: there is no {} (make e2e builds it)", program.display());
        // Whoever merges by what CI says must not take this for a success.
        return ExitCode::from(u8::from(std::env::var_os("CI").is_some()));
    }
    ExitCode::SUCCESS
}
