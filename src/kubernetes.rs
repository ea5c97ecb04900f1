//! The Kubernetes API as values: calls are `http::Request`s, answers become a [`Pod`] or an [`ApiError`].
//!
//! Nothing is sent here. [`verdict`] is the one place that says what heals and what doesn't: by the `Status` object's
//! `reason` first and by the code second, because one code can mean two things (409 is `AlreadyExists` or `Conflict`,
//! and they need opposite treatment). Design, section 6; Kubernetes API conventions, "Response Status Kind".

use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT,
};
use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use crate::config::{BaseUrl, Config};
use crate::fields::parse;
use crate::outbound::{Answer, Bounds, NoAnswer};
use crate::pod::{GATE, MANAGED_BY, Metadata, Pod, Released};
use crate::reason::Reason;

const JSON: &str = "application/json";
const STRATEGIC_MERGE_PATCH: &str = "application/strategic-merge-patch+json";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The largest answer that is read, in bytes: well above the largest object that etcd holds, 1.5 MiB by default.
const LARGEST_ANSWER: usize = 4 << 20;

/// How much of an API server's message is quoted, in characters.
const LONGEST_QUOTE: usize = 1_024;

/// A service account's bearer token. It has no `Debug` and no `Display`, so that it can't be printed by accident.
pub struct Token(HeaderValue, String);

impl Token {
    /// Takes the content of a token file.
    ///
    /// An empty file stands for no token, which is what `kubectl proxy` wants; it is taken over `http` only, since
    /// an API server that is asked without a token answers as if the provisioner had no rights.
    ///
    /// # Errors
    /// What is wrong with the file, for the log.
    pub fn parse(content: &str, url: &BaseUrl) -> Result<Self, String> {
        let token = content.trim();
        if token.is_empty() && url.is_https() {
            return Err("the token file is empty: mount the service account's token".into());
        }
        let header = HeaderValue::try_from(format!("Bearer {token}"));
        let mut header = header.map_err(|_| "the token file holds more than a token".to_owned())?;
        header.set_sensitive(true);
        Ok(Self(header, token.to_owned()))
    }

    /// Takes the token out of a text that came from outside, should somebody have echoed it.
    fn redact(&self, text: &str) -> String {
        if self.1.is_empty() { text.to_owned() } else { text.replace(&self.1, "[redacted]") }
    }
}

/// The Pods of the client namespace, as calls.
pub struct Api<'a> {
    url: &'a BaseUrl,
    namespace: &'a str,
    token: &'a Token,
    trace: HeaderMap,
    bounds: Bounds,
}

impl<'a> Api<'a> {
    /// The API at `kube_api_url`, spoken to with `token`, as part of a `trace`.
    pub fn new(config: &'a Config, token: &'a Token, trace: HeaderMap) -> Self {
        let bounds = Bounds { answer: LARGEST_ANSWER, ..config.bounds() };
        Self { url: &config.kube_api_url, namespace: &config.client_namespace, token, trace, bounds }
    }

    /// `POST pods`.
    pub fn create(&self, pod: &Value) -> Request<Vec<u8>> {
        self.request(Method::POST, "pods", Some((JSON, pod)))
    }

    /// `POST pods?dryRun=All`: the answer is the Pod as it would be, after all admission.
    pub fn rehearse(&self, pod: &Value) -> Request<Vec<u8>> {
        self.request(Method::POST, "pods?dryRun=All", Some((JSON, pod)))
    }

    /// `GET` of the client namespace. The provisioner's Role doesn't allow it; whoever looks for a fault may.
    pub fn get_namespace(&self) -> Request<Vec<u8>> {
        self.request(Method::GET, "", None)
    }

    /// `GET pods/NAME`.
    pub fn get(&self, name: &str) -> Request<Vec<u8>> {
        self.request(Method::GET, &format!("pods/{name}"), None)
    }

    /// `GET podtemplates/NAME`.
    pub fn get_template(&self, name: &str) -> Request<Vec<u8>> {
        self.request(Method::GET, &format!("podtemplates/{name}"), None)
    }

    /// `PATCH pods/NAME`: takes our gate away and nothing else. Idempotent; the uid pins the object.
    pub fn release(&self, pod: &Pod) -> Request<Vec<u8>> {
        let patch = json!({
            "metadata": { "uid": pod.metadata.uid },
            "spec": { "schedulingGates": [{ "$patch": "delete", "name": GATE }] },
        });
        self.request(Method::PATCH, &format!("pods/{}", pod.metadata.name), Some((STRATEGIC_MERGE_PATCH, &patch)))
    }

    /// `DELETE pods/NAME`, at once, and only the very object that was judged.
    ///
    /// For a gated Pod the resource version is a precondition beside the uid: should another delivery of the event have
    /// released it in the meantime, it must not be taken away from under its `done`. A Pod without its gate has been
    /// judged for good, and the scheduler and the kubelet change it at once: a version would only let it run on.
    pub fn delete(&self, pod: &Pod) -> Request<Vec<u8>> {
        let mut preconditions = json!({ "uid": pod.metadata.uid });
        if let Some(version) = pod.metadata.resource_version.as_ref().filter(|_| pod.is_gated()) {
            preconditions["resourceVersion"] = json!(version);
        }
        let options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "gracePeriodSeconds": 0,
            "preconditions": preconditions,
        });
        self.request(Method::DELETE, &format!("pods/{}", pod.metadata.name), Some((JSON, &options)))
    }

    fn request(&self, method: Method, path: &str, body: Option<(&'static str, &Value)>) -> Request<Vec<u8>> {
        let path = format!("/api/v1/namespaces/{}/{path}", self.namespace);
        let uri = self.url.join(path.trim_end_matches('/'));
        let bytes = body.and_then(|(_, value)| serde_json::to_vec(value).ok()).unwrap_or_default();
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .extension(self.bounds)
            .header(ACCEPT, JSON)
            // The API server takes the part before the slash as the field manager.
            .header(USER_AGENT, format!("{MANAGED_BY}/{VERSION}"));
        if !self.token.1.is_empty() {
            request = request.header(AUTHORIZATION, self.token.0.clone());
        }
        if let Some((content_type, _)) = body {
            request = request.header(CONTENT_TYPE, content_type).header(CONTENT_LENGTH, bytes.len());
        }
        let mut request = request.body(bytes).expect("every part of the request was parsed when it came in");
        request.headers_mut().extend(self.trace.clone());
        request
    }

    /// `GET /readyz`, which the API server answers to everybody.
    pub fn get_readiness(&self) -> Request<Vec<u8>> {
        let mut request = self.request(Method::GET, "", None);
        *request.uri_mut() = self.url.join("/readyz").parse().expect("a base URL and a path make a URI");
        request
    }

    /// What an API server says of itself; one that has not loaded its roles refuses even this.
    pub fn read_readiness(&self, answer: Answer) -> Readiness {
        match answer.map(|response| response.status().as_u16()) {
            Ok(200) => Readiness::Ready,
            Err(NoAnswer(_)) | Ok(401 | 403 | 429 | 500..) => Readiness::Unready,
            Ok(_) => Readiness::Unknown,
        }
    }

    /// The Pod `name` in an answer to `create` or `get`.
    ///
    /// # Errors
    /// [`ApiError`] for every answer but a 2xx with this very Pod.
    pub fn read_pod(&self, answer: Answer, name: &str) -> Result<Pod, ApiError> {
        let pod = Pod::parse(&self.read_success(answer)?).map_err(ApiError::Unreadable)?;
        self.check_identity(&pod.metadata, name).map(|()| pod)
    }

    /// The Pod `name` in an answer to `release`.
    ///
    /// # Errors
    /// [`ApiError`] for every answer but a 2xx with this very Pod.
    pub fn read_released(&self, answer: Answer, name: &str) -> Result<Released, ApiError> {
        let released = Released::parse(&self.read_success(answer)?).map_err(ApiError::Unreadable)?;
        self.check_identity(&released.metadata, name).map(|()| released)
    }

    fn check_identity(&self, metadata: &Metadata, name: &str) -> Result<(), ApiError> {
        if metadata.name != name || metadata.namespace != self.namespace || metadata.uid.is_empty() {
            return Err(ApiError::Unreadable(format!("it is not the Pod {name}")));
        }
        Ok(())
    }

    /// The object in an answer to `get_template` or `get_namespace`.
    ///
    /// # Errors
    /// [`ApiError`] for every answer but a 2xx with an object of this `kind`.
    pub fn read_object(&self, answer: Answer, kind: &str) -> Result<Value, ApiError> {
        let body = self.read_success(answer)?;
        let object = json(&body)?;
        if object["kind"] != kind {
            return Err(ApiError::Unreadable(format!("it is not a {kind}")));
        }
        Ok(object)
    }

    /// Whether an answer to `delete` says that the Pod `name` is gone or going. That it was gone already is as good.
    ///
    /// An API server answers with the Pod, or with a `Status` of success. A success that holds neither is somebody
    /// else's, and the Pod may still be there.
    ///
    /// # Errors
    /// [`ApiError`] for every other answer.
    pub fn read_deletion(&self, answer: Answer, name: &str) -> Result<(), ApiError> {
        let body = match self.read_success(answer) {
            Err(ApiError::Refused(refusal)) if refusal.is_not_found() => return Ok(()),
            other => other?,
        };
        let object = json(&body)?;
        let is_success = object["kind"] == "Status" && object["status"] == "Success";
        if !is_success && object["metadata"]["name"] != name {
            return Err(ApiError::Unreadable(format!("it doesn't say that the Pod {name} was removed")));
        }
        Ok(())
    }

    fn read_success(&self, answer: Answer) -> Result<Vec<u8>, ApiError> {
        let response = answer.map_err(|NoAnswer(problem)| ApiError::NoAnswer(self.token.redact(&problem)))?;
        if response.status().is_success() {
            return Ok(response.into_body());
        }
        Err(ApiError::Refused(self.read_refusal(response)))
    }

    fn read_refusal(&self, response: Response<Vec<u8>>) -> Refusal {
        // Whatever isn't a `Status` object (meta/v1), or not in all of its fields, says the less.
        let status = json(response.body()).unwrap_or_default();
        let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let retry_after = header.or(status["details"]["retryAfterSeconds"].as_u64());
        let word = |field: &str| status[field].as_str().unwrap_or_default();
        Refusal {
            code: response.status(),
            reason: word("reason").to_owned(),
            message: self.token.redact(word("message")).chars().take(LONGEST_QUOTE).collect(),
            retry_after,
        }
    }
}

fn json(body: &[u8]) -> Result<Value, ApiError> {
    parse(body).map_err(|e| ApiError::Unreadable(e.to_string()))
}

/// Whether an API server knows enough to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It says so.
    Ready,
    /// It says that it is not, or says nothing.
    Unready,
    /// It was not asked the right way: there is something else in between.
    Unknown,
}

/// Why a call gave nothing to go on with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// Nothing came back, or not the whole of it.
    #[error("no answer from the Kubernetes API: {0}")]
    NoAnswer(String),
    /// A success whose body is not what was asked for.
    #[error("the Kubernetes API answered with something else: {0}")]
    Unreadable(String),
    /// The API server said no.
    #[error("{0}")]
    Refused(Refusal),
}

/// An answer that isn't 2xx.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status code.
    pub code: StatusCode,
    /// `Status.reason`, empty where there is none.
    pub reason: String,
    /// `Status.message`, empty where there is none.
    pub message: String,
    /// How many seconds to wait: the header `Retry-After`, or `Status.details.retryAfterSeconds`.
    pub retry_after: Option<u64>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.message.as_str() {
            "" => write!(f, "the Kubernetes API answered {}", self.code.as_u16()),
            message => write!(f, "the Kubernetes API answered {}: {message}", self.code.as_u16()),
        }
    }
}

impl Refusal {
    /// Whether there is an object of that name already.
    pub fn is_already_exists(&self) -> bool {
        self.code == StatusCode::CONFLICT && self.reason == "AlreadyExists"
    }

    /// Whether the object, or its namespace, isn't there.
    pub fn is_not_found(&self) -> bool {
        self.reason == "NotFound" || (self.reason.is_empty() && self.code == StatusCode::NOT_FOUND)
    }

    /// Whether the API server refuses an object only because something isn't there yet that the cluster makes by itself:
    /// the count of what a quota is about, the service account of a new namespace, or what its own admission has to know.
    ///
    /// What comes first in the message is named by the API server; further on it may quote what others wrote.
    pub fn is_not_yet(&self) -> bool {
        let Some((_, why)) = self.message.split_once(" is forbidden: ") else { return false };
        let lacks_account = why.starts_with("error looking up service account ");
        why.starts_with("status unknown for quota: ")
            || why == "not yet ready to handle request"
            || lacks_account && why.ends_with(": serviceaccount \"default\" not found")
    }

    /// Whether an admission webhook said no, as opposed to not saying anything.
    fn is_denied_by_webhook(&self) -> bool {
        self.message.contains("admission webhook ") && self.message.contains(" denied the request")
    }
}

/// What becomes of a delivery after a failed call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It can heal: the broker redelivers.
    Retry {
        /// Whether the API server asked for less, with 429.
        too_many_requests: bool,
        /// How many seconds it asked to wait.
        retry_after: Option<u64>,
    },
    /// It can't heal.
    Terminal(Reason),
}

/// Decides what heals and what doesn't: design section 6, "What heals and what does not".
pub fn verdict(error: &ApiError) -> Verdict {
    let ApiError::Refused(refusal) = error else {
        return Verdict::Retry { too_many_requests: false, retry_after: None };
    };
    let retry = Verdict::Retry { too_many_requests: is_too_many_requests(refusal), retry_after: refusal.retry_after };
    if refusal.is_denied_by_webhook() {
        return Verdict::Terminal(Reason::PodRejected);
    }
    match refusal.reason.as_str() {
        "Unauthorized" | "Timeout" | "ServerTimeout" | "TooManyRequests" | "Conflict" | "AlreadyExists"
        | "InternalError" | "ServiceUnavailable" => retry,
        "Forbidden" if refusal.is_not_yet() => retry,
        "Forbidden" => Verdict::Terminal(forbidden(refusal)),
        "NotFound" => Verdict::Terminal(Reason::NamespaceNotFound),
        "BadRequest" | "Invalid" | "RequestEntityTooLarge" => Verdict::Terminal(Reason::PodRejected),
        _ => by_code(refusal, retry),
    }
}

/// For answers that are not the API server's own, or of a reason that nobody knew when this was written.
fn by_code(refusal: &Refusal, retry: Verdict) -> Verdict {
    match refusal.code.as_u16() {
        401 | 408 | 409 | 425 | 429 => retry,
        403 => Verdict::Terminal(forbidden(refusal)),
        404 => Verdict::Terminal(Reason::NamespaceNotFound),
        400..=499 => Verdict::Terminal(Reason::PodRejected),
        _ => retry,
    }
}

fn is_too_many_requests(refusal: &Refusal) -> bool {
    refusal.code == StatusCode::TOO_MANY_REQUESTS
}

fn forbidden(refusal: &Refusal) -> Reason {
    if refusal.message.contains("exceeded quota") { Reason::QuotaExceeded } else { Reason::Forbidden }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;
    use crate::event::tests::client;
    use crate::gateway::tests::routed;

    fn config_and_token() -> (Config, Token) {
        let config = config(&[("kube_api_url", "https://api:6443/"), ("client_namespace", "clients")]);
        let token = Token::parse("s3cret\n", &config.kube_api_url).ok().unwrap();
        (config, token)
    }

    fn pod(config: &Config) -> (Value, Pod) {
        let value = routed(&client("foo"), config);
        (value.clone(), serde_json::from_value(value).unwrap())
    }

    #[track_caller]
    fn check_call(call: impl Fn(&Api, &Pod) -> Request<Vec<u8>>, method: Method, path: &str, content_type: &str) {
        let (config, token) = config_and_token();
        let request = call(&Api::new(&config, &token, HeaderMap::new()), &pod(&config).1);
        assert_eq!((request.method(), request.uri().path()), (&method, path));
        assert_eq!(request.uri().authority().unwrap(), "api:6443");
        assert_eq!(request.headers()[AUTHORIZATION], "Bearer s3cret");
        assert_eq!(request.headers().get(CONTENT_TYPE).map_or("", |value| value.to_str().unwrap()), content_type);
        assert_eq!(request.extensions().get::<Bounds>().unwrap().call, config.kube_api_timeout);
        assert!(!format!("{request:?}").contains("s3cret"));
    }

    #[test]
    fn each_call_has_its_verb_path_and_media_type() {
        let (config, _) = config_and_token();
        let name = pod(&config).1.metadata.name;
        let one = format!("/api/v1/namespaces/clients/pods/{name}");
        check_call(|api, _| api.create(&json!({})), Method::POST, "/api/v1/namespaces/clients/pods", JSON);
        check_call(|api, pod| api.get(&pod.metadata.name), Method::GET, &one, "");
        check_call(|api, pod| api.release(pod), Method::PATCH, &one, STRATEGIC_MERGE_PATCH);
        check_call(|api, pod| api.delete(pod), Method::DELETE, &one, JSON);
    }

    #[test]
    fn release_and_delete_are_pinned_to_the_object_that_was_judged() {
        let (config, token) = config_and_token();
        let (api, pod) = (Api::new(&config, &token, HeaderMap::new()), pod(&config).1);
        let patch: Value = serde_json::from_slice(api.release(&pod).body()).unwrap();
        let gate = json!([{"$patch": "delete", "name": GATE}]);
        assert_eq!(patch, json!({"metadata": {"uid": "uid-1"}, "spec": {"schedulingGates": gate}}));
        let options: Value = serde_json::from_slice(api.delete(&pod).body()).unwrap();
        assert_eq!(options["preconditions"], json!({"uid": "uid-1", "resourceVersion": "7"}));
        assert_eq!(options["gracePeriodSeconds"], 0);
    }

    #[test]
    fn a_pod_without_its_gate_is_deleted_however_often_it_has_changed_since() {
        let (config, token) = config_and_token();
        let (api, mut pod) = (Api::new(&config, &token, HeaderMap::new()), pod(&config).1);
        pod.spec.scheduling_gates = None;
        let options: Value = serde_json::from_slice(api.delete(&pod).body()).unwrap();
        assert_eq!(options["preconditions"], json!({"uid": "uid-1"}));
    }

    #[test]
    fn an_empty_token_is_for_a_proxy_on_http_only() {
        let (proxy, https) = (config(&[("kube_api_url", "http://localhost:8001")]), config(&[]));
        let token = Token::parse("\n", &proxy.kube_api_url).ok().unwrap();
        assert_eq!(Api::new(&proxy, &token, HeaderMap::new()).get("x").headers().get(AUTHORIZATION), None);
        assert!(Token::parse("", &https.kube_api_url).is_err());
        assert!(Token::parse("a\nb", &https.kube_api_url).is_err());
    }

    #[test]
    fn only_the_very_pod_is_an_answer() {
        let (config, token) = config_and_token();
        let api = Api::new(&config, &token, HeaderMap::new());
        let (value, pod) = pod(&config);
        let name = &pod.metadata.name;
        let answer = |body: &str| Ok(Response::builder().status(200).body(body.into()).unwrap());
        let read = |body: &str| {
            let (found, released) = (api.read_pod(answer(body), name), api.read_released(answer(body), name));
            [found.map(|pod| pod.is_gated()), released.map(|pod| pod.is_gated)]
        };
        assert_eq!(read(&value.to_string()), [Ok(true), Ok(true)]);
        let mut released = value.clone();
        released["spec"]["schedulingGates"] = json!([{"name": "somebody.else/gate"}]);
        assert_eq!(read(&released.to_string()), [Ok(false), Ok(false)]);
        let unreadable = |result: &Result<bool, ApiError>| matches!(result, Err(ApiError::Unreadable(_)));
        for body in ["", "{", "null", "[]", r#"{"kind":"Status","status":"Success"}"#] {
            assert!(read(body).iter().all(unreadable), "{body}");
        }
        for field in ["name", "namespace", "uid"] {
            let mut other = value.clone();
            other["metadata"][field] = json!("");
            assert!(read(&other.to_string()).iter().all(unreadable), "{field}");
        }
    }

    fn refusal(code: u16, body: &str) -> ApiError {
        let (config, token) = config_and_token();
        let response = Response::builder().status(code).body(body.as_bytes().to_vec()).unwrap();
        Api::new(&config, &token, HeaderMap::new()).read_pod(Ok(response), "x").unwrap_err()
    }

    fn status(code: u16, reason: &str, message: &str) -> ApiError {
        let body = json!({"kind": "Status", "reason": reason, "message": message, "code": code});
        refusal(code, &body.to_string())
    }

    fn is_retry(error: &ApiError) -> bool {
        matches!(verdict(error), Verdict::Retry { .. })
    }

    #[test]
    fn every_code_without_a_status_object_has_its_verdict() {
        for code in 300..=599 {
            let expected = match code {
                401 | 408 | 409 | 425 | 429 => None,
                403 => Some(Reason::Forbidden),
                404 => Some(Reason::NamespaceNotFound),
                400..=499 => Some(Reason::PodRejected),
                _ => None,
            };
            for body in ["", "<html>", "{\"kind\":\"Status\""] {
                let error = refusal(code, body);
                match expected {
                    Some(reason) => assert_eq!(verdict(&error), Verdict::Terminal(reason), "{code}"),
                    None => assert!(is_retry(&error), "{code}"),
                }
            }
        }
    }

    #[test]
    fn the_reason_outweighs_the_code() {
        for reason in ["Unauthorized", "Timeout", "ServerTimeout", "TooManyRequests", "Conflict", "InternalError"] {
            assert!(is_retry(&status(418, reason, "")), "{reason}");
        }
        let rows = [
            ("Forbidden", "", Reason::Forbidden),
            ("Forbidden", "pods \"x\" is forbidden: exceeded quota: q, requested: pods=1", Reason::QuotaExceeded),
            ("NotFound", "namespaces \"x\" not found", Reason::NamespaceNotFound),
            ("BadRequest", "", Reason::PodRejected),
            ("Invalid", "", Reason::PodRejected),
            ("RequestEntityTooLarge", "", Reason::PodRejected),
        ];
        for (reason, message, expected) in rows {
            assert_eq!(verdict(&status(500, reason, message)), Verdict::Terminal(expected), "{reason}");
        }
    }

    #[test]
    fn what_the_cluster_is_about_to_make_is_waited_for() {
        for message in [
            "pods \"x\" is forbidden: status unknown for quota: clients, resources: pods",
            "pods \"x\" is forbidden: error looking up service account clients/default: serviceaccount \"default\" not found",
            "pods \"x\" is forbidden: not yet ready to handle request",
        ] {
            assert!(is_retry(&status(403, "Forbidden", message)), "{message}");
        }
        let quoted = "pods \"x\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: \"y\" is forbidden: status unknown for quota: z";
        assert_eq!(verdict(&status(403, "Forbidden", quoted)), Verdict::Terminal(Reason::Forbidden));
        let typo = "pods \"x\" is forbidden: error looking up service account clients/cralwer: serviceaccount \"cralwer\" not found";
        assert_eq!(verdict(&status(403, "Forbidden", typo)), Verdict::Terminal(Reason::Forbidden));
    }

    #[test]
    fn a_webhook_that_denies_is_terminal_and_one_that_fails_is_not() {
        let denied = "admission webhook \"w.example\" denied the request: no";
        for code in [400, 403, 500] {
            assert_eq!(verdict(&status(code, "", denied)), Verdict::Terminal(Reason::PodRejected));
        }
        let failed = "Internal error occurred: failed calling webhook \"w\": connection refused";
        assert!(is_retry(&status(500, "InternalError", failed)));
    }

    #[test]
    fn conflict_is_retryable_and_already_exists_is_known() {
        let ApiError::Refused(exists) = status(409, "AlreadyExists", "") else { panic!() };
        let ApiError::Refused(conflict) = status(409, "Conflict", "") else { panic!() };
        assert!(exists.is_already_exists() && !conflict.is_already_exists());
        assert!(is_retry(&ApiError::Refused(conflict)));
    }

    #[test]
    fn the_wait_is_the_header_or_the_detail() {
        let retry_after = |header: Option<&str>, detail: Option<u64>| {
            let (config, token) = config_and_token();
            let mut response = Response::builder().status(429);
            if let Some(value) = header {
                response = response.header(RETRY_AFTER, value);
            }
            let body = json!({"details": {"retryAfterSeconds": detail}}).to_string();
            let error = Api::new(&config, &token, HeaderMap::new())
                .read_pod(Ok(response.body(body.into()).unwrap()), "x")
                .unwrap_err();
            match verdict(&error) {
                Verdict::Retry { too_many_requests: true, retry_after } => retry_after,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(retry_after(Some("3"), Some(9)), Some(3));
        assert_eq!(retry_after(None, Some(9)), Some(9));
        assert_eq!(retry_after(Some("Wed, 21 Oct 2026 07:28:00 GMT"), None), None);
    }

    #[test]
    fn an_echoed_token_is_taken_out() {
        let ApiError::Refused(refusal) = status(400, "BadRequest", "bad header: Bearer s3cret") else { panic!() };
        assert_eq!(refusal.message, "bad header: Bearer [redacted]");
        let (config, token) = config_and_token();
        let api = Api::new(&config, &token, HeaderMap::new());
        let error = api.read_deletion(Err(NoAnswer("s3cret".into())), "x").unwrap_err();
        assert_eq!(error, ApiError::NoAnswer("[redacted]".into()));
    }

    #[test]
    fn a_removal_is_believed_when_the_api_server_says_so() {
        let (config, token) = config_and_token();
        let api = Api::new(&config, &token, HeaderMap::new());
        let is_removed = |code: u16, body: &str| {
            let answer = Response::builder().status(code).body(body.as_bytes().to_vec()).unwrap();
            api.read_deletion(Ok(answer), "x").is_ok()
        };
        let (pod, success) = (r#"{"kind":"Pod","metadata":{"name":"x"}}"#, r#"{"kind":"Status","status":"Success"}"#);
        for (code, body) in [(200, pod), (202, pod), (200, success), (404, "")] {
            assert!(is_removed(code, body), "{code} {body}");
        }
        let other = r#"{"kind":"Pod","metadata":{"name":"y"}}"#;
        for (code, body) in [(200, ""), (204, ""), (200, "<html>"), (200, other), (403, pod), (409, ""), (500, "")] {
            assert!(!is_removed(code, body), "{code} {body}");
        }
    }
}
