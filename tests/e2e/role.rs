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
        the_provisioner_may_do_five_things_to_pods_and_read_templates_where_its_clients_are,
        the_api_server_refuses_what_the_review_denies,
    ]
}

/// By the list of its rights, so that nothing is forgotten.
async fn the_provisioner_may_do_five_things_to_pods_and_read_templates_where_its_clients_are(cluster: Arc<Cluster>) {
    with_namespace(cluster, "role", &[ROUTED], |namespace| async move {
        let rights: Vec<_> = rights_in(&namespace, &namespace.name).await.into_iter().collect();
        let pods = ["create pods", "delete pods", "get pods", "get podtemplates", "list pods", "patch pods"];
        assert_eq!(rights, pods);
        for other in ["default".to_owned(), "kube-system".to_owned(), rights::service_account().0] {
            assert_eq!(rights_in(&namespace, &other).await, BTreeSet::new(), "{other}");
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
            ("GET", here("pods/x/log")),
            ("PATCH", here("pods/x/status")),
            ("GET", here("secrets")),
            ("POST", here("serviceaccounts/default/token")),
            ("GET", "/api/v1/namespaces/default/pods/x".to_owned()),
            ("POST", "/api/v1/namespaces/default/pods".to_owned()),
            ("GET", "/api/v1/pods".to_owned()),
            ("PATCH", format!("/api/v1/namespaces/{name}")),
        ] {
            let body = (method != "GET").then(|| json!({"metadata": {"name": "x"}}));
            let answer = namespace.provisioners_client().call(method, &path, body.as_ref()).await;
            assert_eq!((answer.code, answer.body["reason"].as_str()), (403, Some("Forbidden")), "{method} {path}");
        }
    })
    .await;
}
