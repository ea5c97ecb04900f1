//! Tokens of service accounts, as the API server issues them.

use serde_json::json;

use crate::cluster::Cluster;
use crate::cluster::rights;

/// Asks for a token of the provisioner's service account, as the kubelet does.
pub async fn request(cluster: &Cluster) -> String {
    let (namespace, name) = rights::service_account();
    request_for(cluster, (&namespace, &name), None).await
}

/// The same for any service account, given by its namespace and its name, and for an audience other than the API server.
pub async fn request_for(cluster: &Cluster, (namespace, name): (&str, &str), audience: Option<&str>) -> String {
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": 3600, "audiences": Vec::from_iter(audience)},
    });
    let answer = cluster.admin.create(&path, &request).await;
    answer["status"]["token"].as_str().expect("a TokenRequest is answered with a token").to_owned()
}
