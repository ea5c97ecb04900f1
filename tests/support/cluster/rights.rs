//! The rights of the provisioner, as `deploy/rbac.yaml` gives them: read from there and from nowhere else.
//!
//! The service account is made once in a cluster. The Role and the RoleBinding are made again in the namespace of each
//! test, unchanged but for the namespace.

use std::sync::OnceLock;

use crate::provisioner::repository;
use serde_json::{Value, json};

use crate::cluster::client::Client;

/// The file that gives the provisioner its rights.
pub const FILE: &str = "deploy/rbac.yaml";

/// The objects of the file.
pub fn objects() -> &'static [Value] {
    static OBJECTS: OnceLock<Vec<Value>> = OnceLock::new();
    OBJECTS.get_or_init(|| {
        let path = repository().join(FILE);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{FILE}: {error}"));
        serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{FILE}: {error}"))
    })
}

/// The one object of a kind.
///
/// # Panics
/// When there is none, or a second.
pub fn the(kind: &str) -> &'static Value {
    let mut found = objects().iter().filter(|object| object["kind"] == kind);
    let object = found.next().unwrap_or_else(|| panic!("{FILE} has no {kind}"));
    assert!(found.next().is_none(), "{FILE} has more than one {kind}");
    object
}

/// The namespace and the name of the provisioner's service account.
pub fn service_account() -> (&'static str, &'static str) {
    let metadata = &the("ServiceAccount")["metadata"];
    (text(&metadata["namespace"]), text(&metadata["name"]))
}

fn text(value: &'static Value) -> &'static str {
    value.as_str().unwrap_or_else(|| panic!("{FILE} lacks a name or a namespace: {value}"))
}

/// Makes the service account, and its namespace.
pub async fn create_service_account(admin: &Client) {
    let (namespace, _) = service_account();
    admin.create("/api/v1/namespaces", &json!({"metadata": {"name": namespace}})).await;
    admin.create(&format!("/api/v1/namespaces/{namespace}/serviceaccounts"), the("ServiceAccount")).await;
}

/// Gives the service account its rights in `namespace`.
pub async fn grant(admin: &Client, namespace: &str) {
    for (kind, plural) in [("Role", "roles"), ("RoleBinding", "rolebindings")] {
        let mut object = the(kind).clone();
        object["metadata"]["namespace"] = json!(namespace);
        admin.create(&path(namespace, plural), &object).await;
    }
}

/// Takes them away again.
pub async fn revoke(admin: &Client, namespace: &str) {
    let name = text(&the("RoleBinding")["metadata"]["name"]);
    admin.delete(&format!("{}/{name}", path(namespace, "rolebindings"))).await.object();
}

/// Gives them back.
pub async fn restore(admin: &Client, namespace: &str) {
    let mut binding = the("RoleBinding").clone();
    binding["metadata"]["namespace"] = json!(namespace);
    admin.create(&path(namespace, "rolebindings"), &binding).await;
}

fn path(namespace: &str, plural: &str) -> String {
    format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/{plural}")
}
