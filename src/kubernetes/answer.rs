//! The answers: the object that was asked for, or why there is none.

use std::fmt;

use http::header::RETRY_AFTER;
use http::{Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::outbound::{Answer, NoAnswer};
use crate::pod::Pod;
use crate::text::cut;

/// How much of an API server's message is quoted, in bytes.
const LONGEST_QUOTE: usize = 2_048;

/// Why a call gave nothing to go on with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// Nothing came back, or not the whole of it.
    #[error("no answer from the Kubernetes API: {0}")]
    NoAnswer(NoAnswer),
    /// A success whose body is not what was asked for.
    #[error("the Kubernetes API answered with something else: {0}")]
    Unreadable(String),
    /// The call was refused.
    #[error("{0}")]
    Refused(Refusal),
}

/// An answer that isn't 2xx.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status code.
    pub code: StatusCode,
    /// What the API server says of it. An answer without is somebody else's: of a proxy, or of a load balancer.
    pub status: Option<Box<Status>>,
    /// How many seconds to wait: the header `Retry-After`, or `Status.details.retryAfterSeconds`.
    pub retry_after: Option<u64>,
}

/// Part of a meta/v1 Status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Status {
    kind: String,
    /// `Success` or `Failure`.
    #[serde(default)]
    status: Option<String>,
    /// One word for machines, as in `AlreadyExists`; empty where there is none.
    #[serde(default)]
    pub reason: Option<String>,
    /// What people read.
    #[serde(default)]
    pub message: Option<String>,
    #[serde(default)]
    details: Option<Details>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    retry_after_seconds: Option<u64>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.message(), &self.status) {
            ("", Some(_)) => write!(f, "the Kubernetes API answered {}", self.code.as_u16()),
            ("", None) => write!(
                f,
                "{} without a Status: probably a proxy answered instead of the API server",
                self.code.as_u16()
            ),
            (message, _) => write!(f, "the Kubernetes API answered {}: {message}", self.code.as_u16()),
        }
    }
}

impl Refusal {
    /// Reads an answer that isn't 2xx.
    pub fn new(response: &Response<Vec<u8>>) -> Self {
        let status: Option<Status> = serde_json::from_slice(response.body()).ok();
        let status = status.filter(|status| status.kind == "Status").map(Box::new);
        let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let retry_after = header.or_else(|| status.as_ref()?.details.as_ref()?.retry_after_seconds);
        Self { code: response.status(), status, retry_after }
    }

    /// `Status.reason`, empty where there is none.
    pub fn reason(&self) -> &str {
        self.status.as_ref().and_then(|status| status.reason.as_deref()).unwrap_or_default()
    }

    /// The beginning of `Status.message`, empty where there is none.
    pub fn message(&self) -> &str {
        let message = self.status.as_ref().and_then(|status| status.message.as_deref());
        cut(message.unwrap_or_default(), LONGEST_QUOTE)
    }
}

/// The Pod `name` in an answer to `create`, `get` or `release`.
///
/// # Errors
/// [`ApiError`] for every answer but a 2xx with this very Pod.
pub fn read_pod(answer: Answer, namespace: &str, name: &str) -> Result<Pod, ApiError> {
    let pod: Pod = parse(&success(answer)?)?;
    let metadata = &pod.metadata;
    match metadata.name == name && metadata.namespace == namespace && !metadata.uid.is_empty() {
        true => Ok(pod),
        false => Err(ApiError::Unreadable(format!("it is not the Pod {name}"))),
    }
}

/// The object in an answer to `get_template` or `get_namespace`.
///
/// # Errors
/// [`ApiError`] for every answer but a 2xx with an object of this `kind`.
pub fn read_object(answer: Answer, kind: &str) -> Result<Value, ApiError> {
    let object: Value = parse(&success(answer)?)?;
    match object["kind"] == kind {
        true => Ok(object),
        false => Err(ApiError::Unreadable(format!("it is not a {kind}"))),
    }
}

/// Whether the API server says of itself that it is ready.
///
/// # Errors
/// [`ApiError`] for every answer but a 2xx.
pub fn read_readiness(answer: Answer) -> Result<(), ApiError> {
    success(answer).map(drop)
}

/// What an answer to `delete` says: `None` when the Pod `name` is gone, or how many seconds it has left to end.
///
/// An API server answers with the Pod, or with a `Status` of success. A success that holds neither is somebody else's,
/// and the Pod may still be there.
///
/// # Errors
/// [`ApiError`] for every other answer.
pub fn read_deletion(answer: Answer, name: &str) -> Result<Option<u64>, ApiError> {
    let body = success(answer)?;
    if let Ok(Status { kind, status, .. }) = serde_json::from_slice(&body)
        && kind == "Status"
        && status.as_deref() == Some("Success")
    {
        return Ok(None);
    }
    let Pod { metadata, .. } = parse(&body)?;
    if metadata.name != name {
        return Err(ApiError::Unreadable(format!("it doesn't say that the Pod {name} was removed")));
    }
    let is_held = metadata.finalizers.is_some_and(|finalizers| !finalizers.is_empty());
    Ok(metadata.deletion_grace_period_seconds.filter(|seconds| *seconds > 0).or(is_held.then_some(1)))
}

fn success(answer: Answer) -> Result<Vec<u8>, ApiError> {
    let response = answer.map_err(ApiError::NoAnswer)?;
    match response.status().is_success() {
        true => Ok(response.into_body()),
        false => Err(ApiError::Refused(Refusal::new(&response))),
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body)
        .map_err(|error| ApiError::Unreadable(cut(&error.to_string(), LONGEST_QUOTE).to_owned()))
}
