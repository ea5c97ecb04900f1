//! Least privilege: what `deploy/rbac.yaml` lets the provisioner do, by the API server's word.

use std::collections::BTreeSet;
use std::sync::Arc;

use provisioner::pod::{each, text};
use serde_json::{Value, json};
use tests::cluster::rights;
use tests::cluster::{Cluster, Namespace, ROUTED};

/// By the list of its rights, so that nothing is forgotten.
pub async fn the_provisioner_may_do_five_things_to_pods_and_read_templates_where_its_clients_are(
    cluster: Arc<Cluster>,
) {
    let namespace = Namespace::create(cluster, "role", &[ROUTED]).await;
    let rights: Vec<_> = rights_in(&namespace, &namespace.name).await.into_iter().collect();
    let pods = ["create pods", "delete pods", "get pods", "get podtemplates", "list pods", "patch pods"];
    assert_eq!(rights, pods);
    for other in ["default".to_owned(), "kube-system".to_owned(), rights::service_account().0] {
        assert_eq!(rights_in(&namespace, &other).await, BTreeSet::new(), "{other}");
    }
}

/// What the provisioner may do in a namespace, beyond what every service account may do to learn about itself.
async fn rights_in(namespace: &Namespace, place: &str) -> BTreeSet<String> {
    let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let review = namespace.provisioners_client().create(path, &json!({"spec": {"namespace": place}})).await;
    let rights = |rule: &Value| {
        let resources = || each(&rule["resources"]).map(text);
        let of_verb = |verb| resources().map(move |what| format!("{verb} {what}"));
        each(&rule["verbs"]).map(text).flat_map(of_verb).collect::<Vec<_>>()
    };
    let rights = each(&review["status"]["resourceRules"]).flat_map(rights);
    rights.filter(|right| !right.contains(" selfsubject")).collect()
}
