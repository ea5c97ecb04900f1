//! `--check` on a real API server: a server-side dry run, which tells what would become of a client and makes none.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use tests::cluster::gateway::{BAR, FOO, FOO_ADDRESS};
use tests::cluster::webhook::{Registration, State};
use tests::cluster::{Cluster, Namespace, ROUTED};
use tests::command::program;
use tests::provisioner::repository;

pub async fn a_check_sees_that_a_label_is_missing(cluster: Arc<Cluster>) {
    let namespace = Namespace::create(cluster, "doctor", &[]).await;
    let (code, text) = check(&namespace, "foo", &namespace.cluster.file("kubeconfig"));
    assert_eq!((code, text.contains("is not labelled routed-gateway")), (Some(1), true), "{text}");
}

pub async fn a_check_tells_what_would_become_of_clients_and_whom_each_webhook_is_asked_for(cluster: Arc<Cluster>) {
    let namespace = Namespace::create(cluster, "doctor", &[ROUTED]).await;
    let _foo = FOO.serve_as(&namespace, Registration::selective("foo")).await;
    let bar = BAR.serve(&namespace).await;
    let admin = namespace.cluster.file("kubeconfig");
    let provisioner = namespace.cluster.file("kubeconfig-of-the-provisioner");
    namespace.cluster.write_kubeconfig("kubeconfig-of-the-provisioner", &namespace.token);
    let of_every = "is asked for the clients of every gateway";

    let (code, text) = check(&namespace, "foo,bar", &admin);
    assert_eq!((code, text.contains(FOO_ADDRESS)), (Some(0), true), "{text}");
    let advice: Vec<&str> = text.lines().filter(|line| line.contains(of_every)).collect();
    assert_eq!(advice.len(), 1, "each advice stands there once: {text}");
    assert!(advice[0].contains("the webhook bar.gateway.example of bar-doctor"), "{text}");

    let (code, text) = check(&namespace, "foo,nope", &admin);
    assert_eq!((code, text.contains("no webhook acts on this value of setGateway")), (Some(1), true), "{text}");

    let (code, text) = check(&namespace, "foo", &provisioner);
    assert!(text.contains("the rights to list mutatingwebhookconfigurations"), "{text}");
    assert!(text.contains(FOO_ADDRESS) && !text.contains(of_every), "{text}");
    assert_eq!((code, text.contains(&namespace.token)), (Some(0), false), "{text}");

    bar.set(State::Down);
    let (code, text) = check(&namespace, "foo", &admin);
    assert!(text.contains("events would wait") && text.contains("failed calling webhook"), "{text}");
    assert_eq!((code, text.contains(of_every)), (Some(1), true), "{text}");
    assert!(namespace.pods().await.is_empty(), "a check makes nothing");
}

/// Runs the command as `make doctor` does; gives its exit code and all that it says.
fn check(namespace: &Namespace, gateways: &str, kubeconfig: &Path) -> (Option<i32>, String) {
    let output = Command::new(program())
        .arg("--check")
        .arg(format!("--from={}", repository().join("spin.toml").display()))
        .arg(format!("--kubeconfig={}", kubeconfig.display()))
        .arg(format!("--client-namespace={}", namespace.name))
        .args(["--variable", &format!("gateways={gateways}")])
        .output()
        .expect("the command is built");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}
