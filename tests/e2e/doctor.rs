//! `--check` on a real API server: a server-side dry run, which tells what would become of a client and makes none.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use tests::command::program;
use tests::provisioner::repository;

use crate::cluster::Cluster;
use crate::gateway::{BAR, FOO, FOO_ADDRESS};
use crate::harness::Test;
use crate::namespace::{Namespace, ROUTED, with_namespace};
use crate::webhook::Registration;

/// The tests.
pub fn tests() -> Vec<Test> {
    crate::tests![
        a_check_tells_gateways_that_work_from_those_that_do_not,
        a_check_sees_that_a_label_is_missing,
        a_check_sees_whose_clients_each_webhook_is_asked_for,
        a_check_that_may_not_look_at_webhooks_says_so_and_goes_on,
    ]
}

async fn a_check_tells_gateways_that_work_from_those_that_do_not(cluster: Arc<Cluster>) {
    with_namespace(cluster, "doctor", &[ROUTED], |namespace| async move {
        let mut webhook = FOO.serve(&namespace).await;
        let (code, text) = check(&namespace, "foo").await;
        assert_eq!((code, text.contains(FOO_ADDRESS)), (Some(0), true), "{text}");
        let (code, text) = check(&namespace, "foo,nope").await;
        assert_eq!((code, text.contains("no webhook acts on setGateway")), (Some(1), true), "{text}");
        webhook.go_down().await;
        let (code, text) = check(&namespace, "foo").await;
        assert!(text.contains("events would wait") && text.contains("failed calling webhook"), "{text}");
        assert_eq!(code, Some(1));
        assert!(namespace.pods().await.is_empty(), "a check makes nothing");
    })
    .await;
}

async fn a_check_sees_that_a_label_is_missing(cluster: Arc<Cluster>) {
    with_namespace(cluster, "doctor", &[], |namespace| async move {
        let (code, text) = check(&namespace, "foo").await;
        assert_eq!((code, text.contains("is not labelled routed-gateway")), (Some(1), true), "{text}");
    })
    .await;
}

const OF_EVERY: &str = "is asked for the clients of every gateway";

async fn a_check_sees_whose_clients_each_webhook_is_asked_for(cluster: Arc<Cluster>) {
    with_namespace(cluster.clone(), "doctor", &[ROUTED], |namespace| async move {
        let mut bar = BAR.serve(&namespace).await;
        let _foo = FOO.serve_as(&namespace, Registration::selective("foo")).await;
        let (code, text) = check(&namespace, "foo,bar").await;
        let advice: Vec<&str> = text.lines().filter(|line| line.contains(OF_EVERY)).collect();
        assert_eq!((code, advice.len()), (Some(0), 1), "each advice stands there once: {text}");
        assert!(advice[0].contains("the webhook bar.gateway.example of bar-doctor"), "{text}");
        bar.go_down().await;
        let (_, text) = check(&namespace, "foo").await;
        assert!(text.contains("events would wait") && text.contains(OF_EVERY), "{text}");
    })
    .await;
    with_namespace(cluster, "doctor", &[ROUTED], |namespace| async move {
        let mut bar = BAR.serve_as(&namespace, Registration::selective("bar")).await;
        let _foo = FOO.serve_as(&namespace, Registration::selective("foo")).await;
        let (code, text) = check(&namespace, "foo,bar").await;
        assert_eq!((code, text.contains("webhook")), (Some(0), false), "{text}");
        bar.go_down().await;
        let (_, text) = check(&namespace, "foo,bar").await;
        assert!(text.contains("1 of 2 gateways can't take clients") && !text.contains(OF_EVERY), "{text}");
    })
    .await;
}

async fn a_check_that_may_not_look_at_webhooks_says_so_and_goes_on(cluster: Arc<Cluster>) {
    with_namespace(cluster, "doctor", &[ROUTED], |namespace| async move {
        let _foo = FOO.serve(&namespace).await;
        let (code, text) = check_by(&namespace, "foo", provisioners_kubeconfig(&namespace)).await;
        assert!(text.contains("the rights to list mutatingwebhookconfigurations"), "{text}");
        assert!(text.contains(FOO_ADDRESS) && !text.contains(OF_EVERY), "{text}");
        assert_eq!((code, text.contains(&namespace.token)), (Some(0), false), "{text}");
    })
    .await;
}

/// Runs the command as `make doctor` does, as the administrator; gives its exit code and all that it says.
async fn check(namespace: &Namespace, gateways: &str) -> (Option<i32>, String) {
    check_by(namespace, gateways, namespace.cluster.kubeconfig()).await
}

async fn check_by(namespace: &Namespace, gateways: &str, kubeconfig: PathBuf) -> (Option<i32>, String) {
    let mut command = std::process::Command::new(program());
    command
        .arg("--check")
        .arg(format!("--from={}", repository().join("spin.toml").display()))
        .arg(format!("--kubeconfig={}", kubeconfig.display()))
        .arg(format!("--client-namespace={}", namespace.name))
        .args(["--variable", &format!("gateways={gateways}")]);
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("it runs");
    let output = output.expect("the command is built");
    let said = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat();
    (output.status.code(), said)
}

/// A kubeconfig of whoever has the provisioner's token.
fn provisioners_kubeconfig(namespace: &Namespace) -> PathBuf {
    let text = std::fs::read_to_string(namespace.cluster.kubeconfig()).expect("it was just written");
    let mut config: Value = serde_json::from_str(&text).expect("it is JSON");
    config["users"][0]["user"] = json!({"token": namespace.token});
    let path = namespace.cluster.directory().join(format!("kubeconfig-{}", namespace.name));
    std::fs::write(&path, config.to_string()).expect("a file can be written");
    path
}
