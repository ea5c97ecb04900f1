//! Least privilege: what `deploy/rbac.yaml` lets the provisioner do, and what it doesn't, by the API server's word.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::harness::Test;
use crate::namespace::{Namespace, ROUTED, with_namespace};
use crate::rights;

/// The tests.
pub fn tests() -> Vec<Test> {
    crate::tests![
        the_provisioner_may_do_five_things_to_pods,
        the_provisioner_may_do_nothing_else_where_its_clients_are,
        the_provisioner_may_do_nothing_anywhere_else,
        the_api_server_refuses_what_the_review_denies,
    ]
}

/// All that the design asks for.
const NEEDED: [&str; 5] = ["create", "delete", "get", "list", "patch"];

const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

async fn the_provisioner_may_do_five_things_to_pods(cluster: Arc<Cluster>) {
    with_namespace(cluster, "role", &[ROUTED], |namespace| async move {
        for verb in VERBS {
            assert_eq!(namespace.may(verb, "pods", "").await, NEEDED.contains(&verb), "{verb} pods");
        }
    })
    .await;
}

/// By the list of its rights, so that nothing is forgotten.
async fn the_provisioner_may_do_nothing_else_where_its_clients_are(cluster: Arc<Cluster>) {
    with_namespace(cluster, "role", &[ROUTED], |namespace| async move {
        let rights = rights_in(&namespace, &namespace.name).await;
        let pods = NEEDED.map(|verb| format!("{verb} pods"));
        assert!(pods.iter().all(|right| rights.contains(right)), "{rights:?}");
        let others: Vec<_> = rights.iter().filter(|right| !pods.contains(right)).collect();
        assert_eq!(others, ["get podtemplates"]);
    })
    .await;
}

async fn the_provisioner_may_do_nothing_anywhere_else(cluster: Arc<Cluster>) {
    with_namespace(cluster, "role", &[ROUTED], |namespace| async move {
        for other in ["default", "kube-system", rights::service_account().0] {
            assert_eq!(rights_in(&namespace, other).await, BTreeSet::new(), "{other}");
        }
        for verb in VERBS {
            assert!(!namespace.may_in("", verb, ("", "pods"), "").await, "{verb} pods of all namespaces");
            assert!(!namespace.may_in("", verb, ("", "nodes"), "").await, "{verb} nodes");
            assert!(!namespace.may_in("", verb, ("", "namespaces"), "").await, "{verb} namespaces");
        }
    })
    .await;
}

/// What the provisioner may do in a namespace, beyond what every service account may do to learn about itself.
async fn rights_in(namespace: &Namespace, place: &str) -> BTreeSet<String> {
    let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let review = namespace.provisioners_client().create(path, &json!({"spec": {"namespace": place}})).await;
    let rules = review["status"]["resourceRules"].as_array().cloned().unwrap_or_default();
    rules.iter().flat_map(rights_of).filter(|right| !right.contains(" selfsubject")).collect()
}

fn rights_of(rule: &Value) -> Vec<String> {
    let texts = |field: &str| -> Vec<String> {
        let values = rule[field].as_array().into_iter().flatten();
        values.map(|value| value.as_str().unwrap_or_default().to_owned()).collect()
    };
    let resources = texts("resources");
    texts("verbs").iter().flat_map(|verb| resources.iter().map(move |what| format!("{verb} {what}"))).collect()
}

async fn the_api_server_refuses_what_the_review_denies(cluster: Arc<Cluster>) {
    with_namespace(cluster, "role", &[ROUTED], |namespace| async move {
        let name = &namespace.name;
        let here = |rest: &str| format!("/api/v1/namespaces/{name}/{rest}");
        for (method, path) in [
            ("GET", here("pods?watch=1")),
            ("DELETE", here("pods")),
            ("PUT", here("pods/x")),
            ("POST", here("pods/x/exec?command=sh")),
            ("GET", here("pods/x/exec?command=sh")),
            ("GET", here("pods/x/log")),
            ("POST", here("pods/x/binding")),
            ("POST", here("pods/x/eviction")),
            ("PATCH", here("pods/x/ephemeralcontainers")),
            ("PATCH", here("pods/x/status")),
            ("GET", here("secrets")),
            ("GET", here("secrets/x")),
            ("GET", here("configmaps/x")),
            ("POST", here("serviceaccounts/default/token")),
            ("GET", "/api/v1/namespaces/default/pods/x".to_owned()),
            ("POST", "/api/v1/namespaces/default/pods".to_owned()),
            ("GET", "/api/v1/pods".to_owned()),
            ("GET", "/api/v1/nodes".to_owned()),
            ("PATCH", format!("/api/v1/namespaces/{name}")),
        ] {
            let body = (method != "GET").then(|| json!({"metadata": {"name": "x"}}));
            let answer = namespace.provisioners_client().call(method, &path, body.as_ref()).await;
            assert_eq!((answer.code, answer.body["reason"].as_str()), (403, Some("Forbidden")), "{method} {path}");
        }
    })
    .await;
}
