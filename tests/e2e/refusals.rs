//! What the API server itself refuses, and what heals of it.

use std::sync::Arc;

use serde_json::{Value, json};
use tests::cluster::rights;
use tests::cluster::webhook::State;
use tests::cluster::{Cluster, FOO, Namespace, ROUTED, until};
use tests::pending;

use crate::outcome::{assert_pods, deliver, outcome_of};

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

/// Rights in a namespace outlive it in nothing but a ClusterRole: without one, RBAC is asked first.
pub async fn rights_and_a_namespace_that_are_not_there_are_named(cluster: Arc<Cluster>) {
    let namespace = Namespace::create(cluster, "missing", &[ROUTED]).await.with_own_account("everywhere").await;
    let _gateway = FOO.serve(&namespace).await;
    let (here, nowhere) = (namespace.provisioner(&[]), namespace.provisioner(&[("client_namespace", "nowhere")]));
    assert_eq!([deliver(&here, "1").await, deliver(&nowhere, "1").await], [FORBIDDEN; 2]);
    assert_pods(&namespace, 0).await;
    let group = "rbac.authorization.k8s.io";
    let name = &namespace.name;
    let role = json!({"metadata": {"name": name}, "rules": rights::the("Role")["rules"]});
    let binding = json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "namespace": name, "name": "everywhere"}],
    });
    namespace.admin().create(&format!("/apis/{group}/v1/clusterroles"), &role).await;
    namespace.admin().create(&format!("/apis/{group}/v1/clusterrolebindings"), &binding).await;
    until("the rights take effect", || namespace.may("nowhere", "create", ("", "pods"))).await;
    assert_eq!(deliver(&nowhere, "2").await, "`failed`, `NamespaceNotFound`");
    assert_eq!(deliver(&here, "2").await, "`done`");
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

/// API priority and fairness, told to let in one of the provisioner's calls in this namespace at a time.
pub async fn too_many_requests_are_passed_on_with_the_time_to_wait(cluster: Arc<Cluster>) {
    let namespace = Namespace::create(cluster, "fairness", &[ROUTED]).await;
    let gateway = FOO.serve(&namespace).await;
    let provisioner = namespace.provisioner(&[]);
    let_in_one_at_a_time(&namespace).await;
    gateway.set(State::Slow);
    let (first, second) = tokio::join!(deliver(&provisioner, "1"), async {
        gateway.is_asked().await;
        let reply = provisioner.deliver(pending("2", "foo")).await;
        gateway.set(State::Up);
        reply
    });
    assert_eq!((first.as_str(), outcome_of(&second).as_str()), ("`done`", "429"));
    assert_eq!(second.header("retry-after"), "1");
    assert_eq!(deliver(&provisioner, "2").await, "`done`");
    assert_pods(&namespace, 2).await;
}

async fn let_in_one_at_a_time(namespace: &Namespace) {
    let api = "/apis/flowcontrol.apiserver.k8s.io/v1";
    let (home, account) = rights::service_account();
    let name = &namespace.name;
    // With no share at all, one call is let in where none is under way.
    let shares = json!({
        "nominalConcurrencyShares": 0, "lendablePercent": 0, "borrowingLimitPercent": 0, "limitResponse": {"type": "Reject"},
    });
    let level = json!({"metadata": {"name": name}, "spec": {"type": "Limited", "limited": shares}});
    let schema = json!({
        "metadata": {"name": name},
        "spec": {
            "priorityLevelConfiguration": {"name": name},
            "matchingPrecedence": 2,
            "rules": [{
                "subjects": [{"kind": "ServiceAccount", "serviceAccount": {"namespace": home, "name": account}}],
                "resourceRules": [{"verbs": ["*"], "apiGroups": [""], "resources": ["pods"], "namespaces": [name]}],
            }],
        },
    });
    namespace.admin().create(&format!("{api}/prioritylevelconfigurations"), &level).await;
    namespace.admin().create(&format!("{api}/flowschemas"), &schema).await;
    until("the API server takes the flow schema up", || async {
        let schema = namespace.admin().get(&format!("{api}/flowschemas/{name}")).await.object();
        let conditions = schema["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|condition| condition["type"] == "Dangling" && condition["status"] == "False")
    })
    .await;
}
