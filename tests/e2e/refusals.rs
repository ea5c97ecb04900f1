//! What the API server itself refuses, and what heals of it.

use std::sync::Arc;

use serde_json::{Value, json};
use tests::pending;

use crate::client::until;
use crate::cluster::Cluster;
use crate::gateway::FOO;
use crate::harness::Test;
use crate::namespace::{Namespace, ROUTED, with_namespace};
use crate::outcome::{assert_pods, deliver, note, outcome_of};
use crate::rights;

/// The tests.
pub fn tests() -> Vec<Test> {
    crate::tests![
        a_used_up_quota_is_named,
        what_the_cluster_has_yet_to_make_is_waited_for,
        a_namespace_that_is_not_there_is_named,
        a_namespace_that_is_terminating_takes_no_client,
        pod_security_refuses_the_client,
        rights_that_were_taken_away_are_named_and_come_back,
        too_many_requests_are_passed_on_with_the_time_to_wait,
    ]
}

async fn a_used_up_quota_is_named(cluster: Arc<Cluster>) {
    with_namespace(cluster, "quota", &[ROUTED], |namespace| async move {
        let _gateway = FOO.serve(&namespace).await;
        let provisioner = namespace.provisioner(&[]);
        create_quota(&namespace, 0).await;
        allow_pods(&namespace, 0).await;
        assert_eq!(deliver(&provisioner, "1").await, "`failed`, `QuotaExceeded`");
        assert_pods(&namespace, 0).await;
        allow_pods(&namespace, 1).await;
        assert_eq!(deliver(&provisioner, "2").await, "`done`");
        assert_eq!(deliver(&provisioner, "3").await, "`failed`, `QuotaExceeded`");
        // What is there stays there, and answers as before.
        assert_eq!(deliver(&provisioner, "2").await, "`done`");
        assert_pods(&namespace, 1).await;
    })
    .await;
}

async fn create_quota(namespace: &Namespace, hard: usize) {
    let quota = json!({"metadata": {"name": "clients"}, "spec": {"hard": {"pods": hard.to_string()}}});
    namespace.admin().create(&namespace.path("resourcequotas"), &quota).await;
}

/// Sets the quota's status, which admission compares with and adds to; there is no controller manager to do so.
async fn set_quota_status(namespace: &Namespace, status: Value) {
    let path = namespace.path("resourcequotas/clients/status");
    namespace.admin().call("PATCH", &path, Some(&json!({"status": status}))).await.object();
}

async fn allow_pods(namespace: &Namespace, hard: usize) {
    set_quota_status(namespace, json!({"hard": {"pods": hard.to_string()}, "used": {"pods": "0"}})).await;
    until("the quota counts", || async {
        let (code, message) = try_out(namespace).await;
        message.contains("exceeded quota") == (hard == 0) && (hard == 0 || code == 201)
    })
    .await;
}

/// What the API server says to a Pod that it isn't to keep: the code, and the message of a refusal.
async fn try_out(namespace: &Namespace) -> (u16, String) {
    let answer = namespace.try_out().await;
    (answer.code, answer.body["message"].as_str().unwrap_or_default().to_owned())
}

/// There is no controller manager, so what it would make within moments is missing for as long as a test wants.
async fn what_the_cluster_has_yet_to_make_is_waited_for(cluster: Arc<Cluster>) {
    with_namespace(cluster, "new", &[ROUTED], |namespace| async move {
        let _gateway = FOO.serve(&namespace).await;
        let provisioner = namespace.provisioner(&[]);
        let refused_with = |saying| {
            let namespace = &namespace;
            until(saying, move || async move { try_out(namespace).await.1.contains(saying) })
        };
        let account = namespace.path("serviceaccounts/default");
        namespace.admin().delete(&account).await.object();
        refused_with("serviceaccount \"default\" not found").await;
        assert_eq!(deliver(&provisioner, "1").await, "503");
        assert!(provisioner.logs().text().contains("error looking up service account"));
        namespace.create_account("default").await;
        create_quota(&namespace, 1).await;
        set_quota_status(&namespace, json!({"hard": {"pods": "1"}})).await;
        refused_with("status unknown for quota").await;
        assert_eq!(deliver(&provisioner, "1").await, "503");
        assert!(provisioner.logs().text().contains("status unknown for quota"));
        allow_pods(&namespace, 1).await;
        assert_eq!(deliver(&provisioner, "1").await, "`done`");
        assert_pods(&namespace, 1).await;
    })
    .await;
}

async fn a_namespace_that_is_not_there_is_named(cluster: Arc<Cluster>) {
    with_namespace(cluster, "missing", &[ROUTED], |namespace| async move {
        // Rights in a namespace outlive it in nothing but a ClusterRole: without one, RBAC is asked first.
        let namespace = namespace.with_own_account("everywhere").await;
        let provisioner = namespace.provisioner(&[("client_namespace", "nowhere")]);
        assert_eq!(deliver(&provisioner, "1").await, "`failed`, `Forbidden`");
        grant_everywhere(&namespace, "everywhere").await;
        until("the rights take effect", || namespace.may_in("nowhere", "create", ("", "pods"), "")).await;
        assert_eq!(deliver(&provisioner, "2").await, "`failed`, `NamespaceNotFound`");
    })
    .await;
}

async fn grant_everywhere(namespace: &Namespace, account: &str) {
    let group = "rbac.authorization.k8s.io";
    let name = format!("{}-{account}", namespace.name);
    let role = json!({"metadata": {"name": name}, "rules": rights::the("Role")["rules"]});
    let binding = json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "namespace": namespace.name, "name": account}],
    });
    namespace.admin().create(&format!("/apis/{group}/v1/clusterroles"), &role).await;
    namespace.admin().create(&format!("/apis/{group}/v1/clusterrolebindings"), &binding).await;
}

async fn a_namespace_that_is_terminating_takes_no_client(cluster: Arc<Cluster>) {
    with_namespace(cluster, "ending", &[ROUTED], |namespace| async move {
        let path = format!("/api/v1/namespaces/{}", namespace.name);
        namespace.admin().delete(&path).await.object();
        let provisioner = namespace.provisioner(&[]);
        assert_eq!(deliver(&provisioner, "1").await, "`failed`, `Forbidden`");
        assert_pods(&namespace, 0).await;
    })
    .await;
}

async fn pod_security_refuses_the_client(cluster: Arc<Cluster>) {
    let labels = [ROUTED, ("pod-security.kubernetes.io/enforce", "restricted")];
    with_namespace(cluster, "restricted", &labels, |namespace| async move {
        let _gateway = FOO.serve(&namespace).await;
        let provisioner = namespace.provisioner(&[]);
        assert_eq!(deliver(&provisioner, "1").await, "`failed`, `Forbidden`");
        assert_pods(&namespace, 0).await;
    })
    .await;
}

async fn rights_that_were_taken_away_are_named_and_come_back(cluster: Arc<Cluster>) {
    with_namespace(cluster, "rights", &[ROUTED], |namespace| async move {
        let _gateway = FOO.serve(&namespace).await;
        let provisioner = namespace.provisioner(&[]);
        rights::revoke(namespace.admin(), &namespace.name).await;
        namespace.wait_for_rights(false).await;
        assert_eq!(deliver(&provisioner, "1").await, "`failed`, `Forbidden`");
        assert_pods(&namespace, 0).await;
        rights::restore(namespace.admin(), &namespace.name).await;
        namespace.wait_for_rights(true).await;
        assert_eq!(deliver(&provisioner, "2").await, "`done`");
        assert_pods(&namespace, 1).await;
    })
    .await;
}

/// API priority and fairness, told to let in one of the provisioner's calls in this namespace at a time.
async fn too_many_requests_are_passed_on_with_the_time_to_wait(cluster: Arc<Cluster>) {
    with_namespace(cluster, "fairness", &[ROUTED], |namespace| async move {
        let gateway = FOO.serve(&namespace).await;
        let provisioner = namespace.provisioner(&[]);
        let_in_one_at_a_time(&namespace).await;
        gateway.set_slow(true);
        let (first, second) = tokio::join!(deliver(&provisioner, "1"), async {
            gateway.holds().await;
            let reply = provisioner.deliver(pending("2", "foo")).await;
            note("turned away", &reply, &provisioner);
            gateway.set_slow(false);
            reply
        });
        assert_eq!((first.as_str(), outcome_of(&second).as_str()), ("`done`", "429"));
        assert_eq!(second.header("retry-after"), "1");
        assert_eq!(deliver(&provisioner, "2").await, "`done`");
        assert_pods(&namespace, 2).await;
    })
    .await;
}

const FLOW_CONTROL: &str = "/apis/flowcontrol.apiserver.k8s.io/v1";

async fn let_in_one_at_a_time(namespace: &Namespace) {
    let (home, account) = rights::service_account();
    let name = &namespace.name;
    let level = json!({
        "metadata": {"name": name},
        "spec": {
            "type": "Limited",
            "limited": {
                // With no share at all, one call is let in where none is under way.
                "nominalConcurrencyShares": 0, "lendablePercent": 0, "borrowingLimitPercent": 0,
                "limitResponse": {"type": "Reject"},
            },
        },
    });
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
    namespace.admin().create(&format!("{FLOW_CONTROL}/prioritylevelconfigurations"), &level).await;
    namespace.admin().create(&format!("{FLOW_CONTROL}/flowschemas"), &schema).await;
    let path = format!("{FLOW_CONTROL}/flowschemas/{name}");
    until("the API server takes the flow schema up", || async {
        let schema = namespace.admin().get(&path).await.object();
        let conditions = schema["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|condition| condition["type"] == "Dangling" && condition["status"] == "False")
    })
    .await;
}
