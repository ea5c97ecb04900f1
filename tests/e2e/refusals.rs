//! What the API server itself refuses, and what heals of it.

use std::sync::Arc;

use serde_json::{Value, json};
use tests::cluster::{ADMIN, Cluster, FOO, Namespace, ROUTED, until};

use crate::outcome::{assert_pods, deliver};

const FORBIDDEN: &str = "`failed`, `Forbidden`";

/// There is no controller manager, so what it would make within moments is missing for as long as a test wants.
pub async fn what_the_cluster_has_yet_to_make_is_waited_for_and_a_used_up_quota_is_named(cluster: Arc<Cluster>) {
    let namespace = Namespace::create(cluster, "new", &[ROUTED]).await;
    let _gateway = FOO.serve(&namespace).await;
    let provisioner = namespace.provisioner(&[]);
    let admin = namespace.admin();
    let waits_for = async |saying: &str, logged: &str| {
        until(saying, || async { namespace.try_out(None).await.message().contains(saying) }).await;
        assert_eq!(deliver(&provisioner, "1").await, "503");
        assert!(provisioner.logs().text().contains(logged));
    };
    admin.delete(&namespace.path("serviceaccounts/default")).await;
    waits_for("serviceaccount \"default\" not found", "error looking up service account").await;
    namespace.create_account("default").await;
    let quota = json!({"metadata": {"name": "clients"}, "spec": {"hard": {"pods": "1"}}});
    admin.create(&namespace.path("resourcequotas"), &quota).await;
    // Admission compares with the status.
    let set_status = async |status: Value| {
        admin.patch(&namespace.path("resourcequotas/clients/status"), &json!({"status": status})).await.object();
    };
    set_status(json!({"hard": {"pods": "1"}})).await;
    waits_for("status unknown for quota", "status unknown for quota").await;
    set_status(json!({"hard": {"pods": "1"}, "used": {"pods": "0"}})).await;
    until("the quota counts", || async { namespace.try_out(None).await.code == 201 }).await;
    assert_eq!(deliver(&provisioner, "1").await, "`done`");
    assert_eq!(deliver(&provisioner, "2").await, "`failed`, `QuotaExceeded`");
    // What is there stays there, and answers as before.
    assert_eq!(deliver(&provisioner, "1").await, "`done`");
    assert_pods(&namespace, 1).await;
}

/// Rights in a namespace end with it, so it is an administrator who finds none.
pub async fn rights_and_a_namespace_that_are_not_there_are_named(cluster: Arc<Cluster>) {
    let namespace = Namespace::create(cluster, "missing", &[ROUTED]).await;
    let nobody = namespace.with_own_account("nobody").await;
    assert_eq!(deliver(&nobody.provisioner(&[]), "1").await, FORBIDDEN);
    let admin = Namespace { token: ADMIN.to_owned(), ..nobody };
    let nowhere = admin.provisioner(&[("client_namespace", "nowhere")]);
    assert_eq!(deliver(&nowhere, "1").await, "`failed`, `NamespaceNotFound`");
    assert_pods(&namespace, 0).await;
}

pub async fn pod_security_and_the_end_of_a_namespace_refuse_the_client(cluster: Arc<Cluster>) {
    let labels = [ROUTED, ("pod-security.kubernetes.io/enforce", "restricted")];
    let namespace = Namespace::create(cluster, "closed", &labels).await;
    let _gateway = FOO.serve(&namespace).await;
    let provisioner = namespace.provisioner(&[]);
    assert_eq!(deliver(&provisioner, "1").await, FORBIDDEN);
    assert!(provisioner.logs().text().contains("violates PodSecurity"));
    namespace.admin().delete(&format!("/api/v1/namespaces/{}", namespace.name)).await;
    assert_eq!(deliver(&provisioner, "2").await, FORBIDDEN);
    assert!(provisioner.logs().text().contains("it is being terminated"));
    assert_pods(&namespace, 0).await;
}
