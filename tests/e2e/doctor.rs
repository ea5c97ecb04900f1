//! `--check` on a real API server: a server-side dry run, which tells what would become of a client and makes none.

use std::process::Output;
use std::sync::Arc;

use tests::command::program;
use tests::provisioner::repository;

use crate::cluster::Cluster;
use crate::gateway::{FOO, FOO_ADDRESS};
use crate::harness::Test;
use crate::namespace::{Namespace, ROUTED, with_namespace};

/// The tests.
pub fn tests() -> Vec<Test> {
    crate::tests![a_check_tells_gateways_that_work_from_those_that_do_not, a_check_sees_that_a_label_is_missing]
}

async fn a_check_tells_gateways_that_work_from_those_that_do_not(cluster: Arc<Cluster>) {
    with_namespace(cluster, "doctor", &[ROUTED], |namespace| async move {
        let mut webhook = FOO.serve(&namespace).await;
        let well = check(&namespace, "foo").await;
        assert_eq!((well.status.code(), text(&well).contains(FOO_ADDRESS)), (Some(0), true), "{}", text(&well));
        let mixed = check(&namespace, "foo,nope").await;
        assert_eq!(mixed.status.code(), Some(1));
        assert!(text(&mixed).contains("no webhook acts on setGateway"), "{}", text(&mixed));
        webhook.go_down().await;
        let down = check(&namespace, "foo").await;
        assert_eq!(down.status.code(), Some(1));
        assert!(
            text(&down).contains("events would wait") && text(&down).contains("failed calling webhook"),
            "{}",
            text(&down)
        );
        assert!(namespace.pods().await.is_empty(), "a check makes nothing");
    })
    .await;
}

async fn a_check_sees_that_a_label_is_missing(cluster: Arc<Cluster>) {
    with_namespace(cluster, "doctor", &[], |namespace| async move {
        let output = check(&namespace, "foo").await;
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output).contains("is not labelled routed-gateway"), "{}", text(&output));
    })
    .await;
}

fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

/// Runs the command as `make doctor` does, as the administrator.
async fn check(namespace: &Namespace, gateways: &str) -> Output {
    let mut command = std::process::Command::new(program());
    command
        .arg("--check")
        .arg(format!("--from={}", repository().join("spin.toml").display()))
        .arg(format!("--kubeconfig={}", namespace.cluster.kubeconfig().display()))
        .arg(format!("--client-namespace={}", namespace.name))
        .args(["--variable", &format!("gateways={gateways}")]);
    tokio::task::spawn_blocking(move || command.output()).await.expect("it runs").expect("the command is built")
}
