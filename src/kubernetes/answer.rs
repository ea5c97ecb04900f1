//! Reads the answers: the requested object, or a [`Verdict`].

use std::fmt;

use http::Response;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::verdict::Verdict;
use crate::outbound::retry_after;
use crate::pod::{Metadata, each, text};
use crate::state::Observed;
use crate::text::cut;

/// The longest quotation of an API server's message, in bytes.
const LONGEST_QUOTE: usize = 2_048;

/// The longest `continue` token that is sent back, in bytes. Percent-encoded it still fits into a URL, which has 64 KiB.
const LONGEST_CONTINUE: usize = 16 << 10;

/// An answer that isn't 2xx.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status code.
    pub code: u16,
    /// What the API server says. An answer without it comes from a proxy or a load balancer.
    pub status: Option<Box<Status>>,
    /// How many seconds to wait: the header `Retry-After`, or `Status.details.retryAfterSeconds`.
    pub retry_after: Option<u64>,
}

/// Part of a meta/v1 Status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Status {
    kind: String,
    /// `Success` or `Failure`.
    status: String,
    reason: String,
    message: String,
    details: Value,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code;
        match (self.message(), &self.status) {
            (_, None) => write!(f, "{code} without a Status: probably a proxy answered instead of the API server"),
            ("", _) => write!(f, "the Kubernetes API answered {code}"),
            (message, _) => write!(f, "the Kubernetes API answered {code}: {message}"),
        }
    }
}

impl Refusal {
    /// Reads an answer that isn't 2xx.
    pub fn new(response: &Response<Vec<u8>>) -> Self {
        let status: Option<Status> = serde_json::from_slice(response.body()).ok();
        let status = status.filter(|status| status.kind == "Status").map(Box::new);
        let retry_after = retry_after(response).or_else(|| status.as_ref()?.details["retryAfterSeconds"].as_u64());
        Self { code: response.status().as_u16(), status, retry_after }
    }

    /// `Status.reason`: one word for machines, such as `AlreadyExists`; empty if there is none.
    pub fn reason(&self) -> &str {
        self.status.as_ref().map_or("", |status| &status.reason)
    }

    /// The beginning of `Status.message`, for people; empty if there is none.
    pub fn message(&self) -> &str {
        cut(self.status.as_ref().map_or("", |status| &status.message), LONGEST_QUOTE)
    }
}

/// The Pod `name` in the body of an answer to `create`, `get`, `release` or `annotate`.
///
/// # Errors
/// It heals if this isn't that Pod.
pub fn read_pod<T: DeserializeOwned + AsRef<Metadata>>(body: &[u8], namespace: &str, name: &str) -> Result<T, Verdict> {
    let pod: T = parse(body)?;
    let metadata = pod.as_ref();
    match metadata.name == name && metadata.namespace == namespace && !metadata.uid.is_empty() {
        true => Ok(pod),
        false => Err(unreadable(&format!("it is not the Pod {name}"))),
    }
}

/// Part of a core/v1 PodList: a page of it.
#[derive(Debug, Deserialize)]
pub struct Page {
    /// The Pods. A list without any may be null, as Go writes it.
    #[serde(deserialize_with = "Option::deserialize")]
    pub items: Option<Vec<Observed>>,
    metadata: ListMetadata,
}

#[derive(Debug, Deserialize)]
struct ListMetadata {
    #[serde(default)]
    r#continue: String,
}

impl Page {
    /// Where the next page begins; empty for the last page.
    pub fn next(self) -> String {
        self.metadata.r#continue
    }
}

/// The page in the body of an answer to `list`.
///
/// # Errors
/// It heals if this isn't a list of Pods.
pub fn read_page(body: &[u8]) -> Result<Page, Verdict> {
    let page: Page = parse(body)?;
    match page.metadata.r#continue.len() <= LONGEST_CONTINUE {
        true => Ok(page),
        false => Err(unreadable("its continue token is too long for a URL")),
    }
}

/// The user of the token, in the body of an answer to `review`; `None` if it is invalid or not for `audience`.
///
/// # Errors
/// It heals if this isn't a review.
pub fn read_review(body: &[u8], audience: &str) -> Result<Option<String>, Verdict> {
    let status = read_object(body, "TokenReview")?["status"].take();
    // An API server without support for audiences names none, and reviews the token as its own.
    let is_ours = status["authenticated"] == true && each(&status["audiences"]).any(|named| named == audience);
    match status.is_object() {
        true => Ok(is_ours.then(|| text(&status["user"]["username"]).to_owned())),
        false => Err(unreadable("the review has no status")),
    }
}

/// The object in the body of an answer to `get_template`, `get_namespace` or `get_webhooks`.
///
/// # Errors
/// It heals if this isn't an object of this `kind`.
pub fn read_object(body: &[u8], kind: &str) -> Result<Value, Verdict> {
    let object: Value = parse(body)?;
    if object["kind"] == kind { Ok(object) } else { Err(unreadable(&format!("it is not a {kind}"))) }
}

/// The body of an answer to `delete`: `None` if the Pod `name` is gone, or the seconds that it has left.
///
/// An API server answers with the Pod, or with a `Status` of success. Any other success comes from somebody else, and
/// the Pod may still exist.
///
/// # Errors
/// It heals if this is neither.
pub fn read_deletion(body: &[u8], name: &str) -> Result<Option<u64>, Verdict> {
    let status: Status = serde_json::from_slice(body).unwrap_or_default();
    if status.kind == "Status" && status.status == "Success" {
        return Ok(None);
    }
    let pod: Observed = parse(body)?;
    if pod.metadata.name != name {
        return Err(unreadable(&format!("it doesn't say that the Pod {name} was removed")));
    }
    // A gated Pod never runs, whoever holds its object with a finalizer, as Kueue does.
    let is_held = !pod.is_gated() && pod.metadata.finalizers.is_some_and(|finalizers| !finalizers.is_empty());
    let left = pod.metadata.deletion_grace_period_seconds.and_then(|seconds| seconds.try_into().ok());
    Ok(left.filter(|seconds| *seconds > 0).or(is_held.then_some(1)))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Verdict> {
    serde_json::from_slice(body).map_err(|error| unreadable(cut(&error.to_string(), LONGEST_QUOTE)))
}

fn unreadable(problem: &str) -> Verdict {
    Verdict::heals(format!("the Kubernetes API answered with something else: {problem}"))
}
