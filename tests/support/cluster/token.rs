//! Tokens of the provisioner's service account: those that the API server issues, and such a one after its time.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};

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
    let answer = cluster.admin().create(&path, &request).await;
    answer["status"]["token"].as_str().expect("a TokenRequest is answered with a token").to_owned()
}

/// The same token two hours later: the API server issues none that end within ten minutes, so it is signed anew, with
/// the API server's own key, and every time in it moved into the past.
pub fn expired(token: &str, cluster: &Cluster) -> String {
    let mut parts = token.split('.');
    let (header, claims) = (parts.next().expect("a head"), parts.next().expect("claims"));
    let mut claims: Value = serde_json::from_slice(&decode(claims)).expect("claims are JSON");
    for time in ["iat", "nbf", "exp"] {
        claims[time] = json!(claims[time].as_i64().expect("it is a time") - 7200);
    }
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(sign(&signed, cluster)))
}

fn decode(part: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(part).expect("a token is base64url")
}

fn sign(text: &str, cluster: &Cluster) -> Vec<u8> {
    let random = SystemRandom::new();
    let key = cluster.signing_key.serialize_der();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key, &random).expect("it is such a key");
    key.sign(&random, text.as_bytes()).expect("there is randomness").as_ref().to_vec()
}
