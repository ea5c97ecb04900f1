//! Makes the calls, as requests that are not sent yet.

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use http::{Method, Request};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::config::Config;
use crate::pod::{GATE, MANAGED_BY, MANAGED_BY_LABEL, Metadata, OWED};
use crate::url::BaseUrl;

const JSON: &str = "application/json";
const STRATEGIC_MERGE_PATCH: &str = "application/strategic-merge-patch+json";
/// The component as a product, as in RFC 9110, section 10.1.5: [`MANAGED_BY`] and the version.
const PRODUCT: &str = concat!("cloudevents-podgateway-client-provisioner/", env!("CARGO_PKG_VERSION"));

/// A service account's bearer token. It has no `Debug` and no `Display`, so that nothing prints it by accident.
pub struct Token(String, HeaderValue);

/// Why a token is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There is none, and the API server is called over https.
    #[error("the token file is empty: mount the service account's token")]
    Empty,
    /// It has more than one line, or bytes that no token contains.
    #[error("the token file holds more than a token")]
    NoToken,
}

impl Token {
    /// Parses the content of a token file.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn bearer(content: &str) -> Result<Self, TokenError> {
        let token = content.trim();
        let mut header = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| TokenError::NoToken)?;
        header.set_sensitive(true);
        Ok(Self(token.to_owned(), header))
    }

    /// The same for calls to the API server at `url`.
    ///
    /// An empty file means no token, as `kubectl proxy` needs. It is only accepted over `http`, because an API server
    /// without a token answers as if the provisioner had no rights.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn parse(content: &str, url: &BaseUrl) -> Result<Self, TokenError> {
        let token = Self::bearer(content)?;
        if token.0.is_empty() && url.is_https() { Err(TokenError::Empty) } else { Ok(token) }
    }

    /// The token itself, so that it can be removed from what leaves.
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// The value of the header `Authorization`.
    pub fn header(&self) -> &HeaderValue {
        &self.1
    }
}

/// Makes calls about the Pods of the client namespace.
pub struct Api<'a> {
    url: &'a BaseUrl,
    namespace: &'a str,
    token: &'a Token,
    trace: HeaderMap,
}

impl<'a> Api<'a> {
    /// The API at `kube_api_url`, called with `token` as part of a `trace`.
    pub fn new(config: &'a Config, token: &'a Token, trace: HeaderMap) -> Self {
        Self { url: &config.kube_api_url, namespace: &config.client_namespace, token, trace }
    }

    /// `POST pods`: creates a Pod.
    pub fn create(&self, pod: &Value) -> Request<Vec<u8>> {
        self.namespaced(Method::POST, "pods", Some((JSON, pod)))
    }

    /// The same as a dry run: the answer is the Pod after all admission, and nothing is stored.
    pub fn rehearse(&self, pod: &Value) -> Request<Vec<u8>> {
        self.namespaced(Method::POST, "pods?dryRun=All", Some((JSON, pod)))
    }

    /// `GET pods/NAME`.
    pub fn get(&self, name: &str) -> Request<Vec<u8>> {
        self.namespaced(Method::GET, &format!("pods/{name}"), None)
    }

    /// `GET podtemplates/NAME`.
    pub fn get_template(&self, name: &str) -> Request<Vec<u8>> {
        self.namespaced(Method::GET, &format!("podtemplates/{name}"), None)
    }

    /// `GET` of the client namespace. The provisioner's Role doesn't allow it; a person's may.
    pub fn get_namespace(&self) -> Request<Vec<u8>> {
        self.namespaced(Method::GET, "", None)
    }

    /// `GET mutatingwebhookconfigurations`: all of the cluster's. The provisioner's Role doesn't allow it.
    pub fn get_webhooks(&self) -> Request<Vec<u8>> {
        let path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
        self.request(Method::GET, path, None)
    }

    /// `GET /readyz`, which the API server answers to everybody.
    pub fn get_readiness(&self) -> Request<Vec<u8>> {
        self.request(Method::GET, "/readyz", None)
    }

    /// `GET pods`: a page of at most `limit` clients, after the page that ended at `from` (empty for the first).
    pub fn list(&self, limit: usize, from: &str) -> Request<Vec<u8>> {
        let from = utf8_percent_encode(from, NON_ALPHANUMERIC);
        let path = format!("pods?labelSelector={MANAGED_BY_LABEL}%3D{MANAGED_BY}&limit={limit}&continue={from}");
        self.namespaced(Method::GET, &path, None)
    }

    /// `POST tokenreviews`: who has this `token`, if it is for `audience`.
    pub fn review(&self, token: &str, audience: &str) -> Request<Vec<u8>> {
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": { "token": token, "audiences": [audience] },
        });
        self.request(Method::POST, "/apis/authentication.k8s.io/v1/tokenreviews", Some((JSON, &review)))
    }

    /// `PATCH pods/NAME`: removes our gate and nothing else. Idempotent; the uid pins the object. With `is_owed` the same
    /// call records that the answer is still to be sent.
    pub fn release(&self, pod: &Metadata, is_owed: bool) -> Request<Vec<u8>> {
        let mut metadata = json!({ "uid": pod.uid });
        if is_owed {
            metadata["annotations"] = json!({ OWED: "" });
        }
        let gates = json!([{ "$patch": "delete", "name": GATE }]);
        self.patch(&pod.name, &json!({ "metadata": metadata, "spec": { "schedulingGates": gates } }))
    }

    /// `PATCH pods/NAME`: sets one of our annotations, or removes it. A uid, if given, pins the object.
    pub fn annotate(&self, name: &str, uid: Option<&str>, key: &str, value: Option<&str>) -> Request<Vec<u8>> {
        let mut metadata = json!({ "annotations": { key: value } });
        // A null would remove the uid, which the API server refuses.
        if let Some(uid) = uid {
            metadata["uid"] = json!(uid);
        }
        self.patch(name, &json!({ "metadata": metadata }))
    }

    /// `DELETE pods/NAME`, and only the object that was judged.
    ///
    /// A gated Pod never ran, so its grace period is 0. Its version is a precondition beside its uid, because another
    /// delivery may have released it meanwhile. A Pod without its gate may run and gets its own grace period: deleted
    /// at once, its object would be gone while the node still runs it.
    pub fn delete(&self, pod: &Metadata, is_gated: bool) -> Request<Vec<u8>> {
        let mut preconditions = json!({ "uid": pod.uid });
        let mut options = json!({ "apiVersion": "v1", "kind": "DeleteOptions" });
        if is_gated {
            options["gracePeriodSeconds"] = json!(0);
            if let Some(version) = &pod.resource_version {
                preconditions["resourceVersion"] = json!(version);
            }
        }
        options["preconditions"] = preconditions;
        self.namespaced(Method::DELETE, &format!("pods/{}", pod.name), Some((JSON, &options)))
    }

    fn patch(&self, name: &str, patch: &Value) -> Request<Vec<u8>> {
        self.namespaced(Method::PATCH, &format!("pods/{name}"), Some((STRATEGIC_MERGE_PATCH, patch)))
    }

    fn namespaced(&self, method: Method, path: &str, body: Option<(&'static str, &Value)>) -> Request<Vec<u8>> {
        let path = format!("/api/v1/namespaces/{}/{path}", self.namespace);
        self.request(method, path.trim_end_matches('/'), body)
    }

    fn request(&self, method: Method, path: &str, body: Option<(&'static str, &Value)>) -> Request<Vec<u8>> {
        let bytes = body.and_then(|(_, value)| serde_json::to_vec(value).ok()).unwrap_or_default();
        let length = bytes.len();
        let mut request = Request::new(bytes);
        *request.method_mut() = method;
        *request.uri_mut() = self.url.join(path).parse().expect("every part of it was parsed when it came in");
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static(JSON));
        // The API server uses the part before the slash as the field manager.
        headers.insert(USER_AGENT, HeaderValue::from_static(PRODUCT));
        if !self.token.0.is_empty() {
            headers.insert(AUTHORIZATION, self.token.1.clone());
        }
        if let Some((content_type, _)) = body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            headers.insert(CONTENT_LENGTH, length.into());
        }
        headers.extend(self.trace.clone());
        request
    }
}
