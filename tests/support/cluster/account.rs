//! The provisioner's service account: its rights, as `deploy/rbac.yaml` gives them, and tokens, as the API server issues
//! them.
//!
//! It is made once in a cluster. The Role and the RoleBinding are made again in the namespace of each test, unchanged but
//! for the namespace.

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::cluster::client::Client;
use crate::manifests::object;

/// The one object of a kind in the file that gives the provisioner its rights.
pub fn the(kind: &str) -> Value {
    object("deploy/rbac.yaml", kind)
}

/// The namespace and the name of the provisioner's service account.
///
/// # Panics
/// When it has none.
pub fn service_account() -> (String, String) {
    let account = the("ServiceAccount");
    let part = |field: &str| account["metadata"][field].as_str().expect("it is a text").to_owned();
    (part("namespace"), part("name"))
}

/// Makes the service account, and its namespace.
pub async fn create_service_account(admin: &Client) {
    let (namespace, _) = service_account();
    admin.create("/api/v1/namespaces", &json!({"metadata": {"name": namespace}})).await;
    admin.create(&format!("/api/v1/namespaces/{namespace}/serviceaccounts"), &the("ServiceAccount")).await;
}

/// Gives the service account its rights in `namespace`.
pub async fn grant(admin: &Client, namespace: &str) {
    for (kind, plural) in [("Role", "roles"), ("RoleBinding", "rolebindings")] {
        let mut object = the(kind);
        object["metadata"]["namespace"] = json!(namespace);
        admin.create(&format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/{plural}"), &object).await;
    }
}

/// Asks for a token of a service account, given by its namespace and its name, as the kubelet does: for the API server, or
/// for another audience.
pub async fn request_token(cluster: &Cluster, (namespace, name): (&str, &str), audience: Option<&str>) -> String {
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": 3600, "audiences": Vec::from_iter(audience)},
    });
    let answer = cluster.admin.create(&path, &request).await;
    answer["status"]["token"].as_str().expect("a TokenRequest is answered with a token").to_owned()
}
