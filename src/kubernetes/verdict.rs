//! Decides what heals: one function of the call and its answer.
//!
//! A refusal is final only if the API server itself made it: a 4xx with a `Status` object. Its `reason` counts before
//! its code, because a code can mean two things: 409 is `AlreadyExists` or `Conflict`, which need opposite treatment.
//! Everything else heals, and the broker redelivers. A test produces every cell of `docs/faults.md`. Source: Kubernetes
//! API conventions, "Response Status Kind".

use super::answer::Refusal;
use crate::outbound::Answer;
use crate::reason::{Failure, Reason};

/// The calls that an event can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `GET podtemplates/NAME`, before anything is created.
    GetTemplate,
    /// `POST pods`.
    Create,
    /// `GET pods/NAME`, if the Pod may exist.
    Get,
    /// `GET pods/NAME` after a forbidden create, which may be forbidden too.
    GetAfterForbidden,
    /// `GET /readyz`, after a call was forbidden.
    Readiness,
    /// `PATCH pods/NAME`, which removes the gate.
    Release,
    /// `DELETE pods/NAME`, of a Pod that must go.
    Delete,
    /// `DELETE pods/NAME`, because an event asks for it.
    End,
    /// `PATCH pods/NAME`, which sets an annotation.
    Annotate,
    /// `GET pods`, a page of them.
    List,
    /// `POST tokenreviews`. A refusal says nothing about the token.
    Review,
}

impl Call {
    /// Whether it changes a Pod.
    fn is_write(self) -> bool {
        matches!(self, Self::Create | Self::Release | Self::Annotate | Self::End)
    }
}

/// What becomes of a delivery after a call without an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It heals: the broker redelivers.
    Heals(Retry),
    /// It heals once the cluster has caught up. If an earlier delivery created the Pod, that Pod is the answer already.
    NotYet(Retry),
    /// A Pod of this name already exists.
    AlreadyExists(Retry),
    /// The Pod doesn't exist.
    NotFound(Retry),
    /// This event will never have a client.
    Terminal(Failure),
}

impl Verdict {
    /// A problem that heals, and of which only the `cause` is known.
    pub fn heals(cause: impl Into<String>) -> Self {
        Self::Heals(Retry::because(cause))
    }
}

impl From<Failure> for Verdict {
    fn from(failure: Failure) -> Self {
        Self::Terminal(failure)
    }
}

/// Splits off the verdicts that are left to the broker; what remains is final.
///
/// # Errors
/// How the broker is to deliver again.
pub fn settled<T>(outcome: Result<T, Verdict>) -> Result<Result<T, Failure>, Retry> {
    match outcome {
        Ok(result) => Ok(Ok(result)),
        Err(Verdict::Terminal(failure)) => Ok(Err(failure)),
        Err(passing) => Err(passing.into()),
    }
}

/// How and why an event is left to the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Whether the API server asked for fewer requests, with 429.
    pub too_many_requests: bool,
    /// The seconds that it asked to wait.
    pub retry_after: Option<u64>,
    /// What is in the way, for the log.
    pub cause: String,
}

impl Retry {
    /// A problem of which only the cause is known.
    pub fn because(cause: impl Into<String>) -> Self {
        Self { too_many_requests: false, retry_after: None, cause: cause.into() }
    }
}

impl From<Verdict> for Retry {
    /// For calls whose failure isn't an answer: every problem is left to the broker.
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Heals(retry) | Verdict::NotYet(retry) => retry,
            Verdict::AlreadyExists(retry) | Verdict::NotFound(retry) => retry,
            Verdict::Terminal(failure) => Self::because(failure.message),
        }
    }
}

/// The body of a successful answer.
///
/// ```
/// use http::Response;
/// use provisioner::kubernetes::{Call, Verdict, verdict};
/// use provisioner::reason::Reason;
///
/// let answer = |body: &str| Ok(Response::builder().status(404).body(body.as_bytes().to_vec()).unwrap());
/// let status = r#"{"kind": "Status", "reason": "NotFound", "message": "namespaces \"x\" not found", "code": 404}"#;
/// let Err(Verdict::Terminal(failure)) = verdict(Call::Create, answer(status)) else { panic!() };
/// assert_eq!(failure.reason, Reason::NamespaceNotFound);
/// assert!(matches!(verdict(Call::Create, answer("<html>")), Err(Verdict::Heals(_))));
/// ```
///
/// # Errors
/// What becomes of the delivery otherwise.
pub fn verdict(call: Call, answer: Answer) -> Result<Vec<u8>, Verdict> {
    match answer {
        Ok(response) if response.status().is_success() => Ok(response.into_body()),
        Ok(response) => Err(refused(call, &Refusal::new(&response))),
        Err(problem) => Err(Verdict::heals(format!("no answer from the Kubernetes API: {problem}"))),
    }
}

fn refused(call: Call, refusal: &Refusal) -> Verdict {
    let retry =
        Retry { too_many_requests: refusal.code == 429, retry_after: refusal.retry_after, cause: refusal.to_string() };
    let terminal = |reason| Failure::new(reason, format!("{refusal}{}", advice(call, reason, refusal))).into();
    match (call, refusal.meaning()) {
        (Call::Readiness, _) => readiness(refusal, retry),
        _ if refusal.status.is_none() || refusal.is_passing() => Verdict::Heals(retry),
        _ if call.is_write() && refusal.is_denied_by_webhook() => terminal(Reason::PodRejected),
        (Call::Create, _) if is_not_yet(refusal.why_forbidden()) => Verdict::NotYet(retry),
        _ if is_not_yet(refusal.why_forbidden()) => Verdict::Heals(retry),
        (Call::Create, "AlreadyExists") => Verdict::AlreadyExists(retry),
        (Call::Create, "NotFound") => terminal(Reason::NamespaceNotFound),
        (Call::Get | Call::GetAfterForbidden | Call::Delete | Call::End | Call::Annotate, "NotFound") => {
            Verdict::NotFound(retry)
        }
        // The Pod to release was removed meanwhile: the next delivery sees why.
        (_, "AlreadyExists") | (Call::Release, "NotFound") => Verdict::Heals(retry),
        (Call::Get | Call::Delete | Call::List | Call::Review, "Forbidden") => Verdict::Heals(retry),
        (_, "Forbidden") if call.is_write() && refusal.is_over_quota() => terminal(Reason::QuotaExceeded),
        (_, "Forbidden") => terminal(Reason::Forbidden),
        (Call::GetTemplate, _) => terminal(Reason::PodTemplateInvalid),
        _ if call.is_write() => terminal(Reason::PodRejected),
        // A Pod of the event may be left, so nothing is final before it was read.
        _ => Verdict::Heals(retry),
    }
}

/// An API server that has just started refuses everybody, as if nobody had rights. `/readyz` says, to everybody,
/// whether it is ready. Any other answer is no reason to doubt the refusal.
fn readiness(refusal: &Refusal, retry: Retry) -> Verdict {
    let cause = "the Kubernetes API is not ready and refuses everybody";
    match refusal.code {
        401 | 403 | 429 | 500.. => Verdict::Heals(Retry { cause: cause.to_owned(), ..retry }),
        _ => Verdict::Terminal(Failure::new(Reason::Forbidden, refusal.to_string())),
    }
}

/// What a refusal only for now begins with: the quota's controller, etcd, the API server itself or a backend has no
/// answer, or admission plugins, those of OpenShift too, have yet to read what they need.
#[rustfmt::skip]
const FOR_NOW: [&str; 12] = [
    "status unknown for quota: ", "etcdserver: ", "storage is ", "rpc error: ", "the server ", "Get \"", "Post \"",
    "not yet ready to handle request", "caches not synchronized", "error fetching namespace ",
    "quota.openshift.io/ClusterResourceQuota: caches ", "securitycontextconstraints.security.openshift.io cache is ",
];

/// Whether the API server refuses an object only for now: the cluster has yet to count a quota, to create the service
/// account or OpenShift's annotations of a new namespace, or to load its admission plugins. Or an admission policy
/// lacks its parameter, which a new API server has yet to read, or somebody has to create again. Or an admission plugin
/// had no answer from etcd, from the API server itself or from a backend: whatever stops a plugin is a 403.
///
/// Only the beginning of the message is the API server's own. The rest may quote a webhook.
fn is_not_yet(why: &str) -> bool {
    let lacks_account = why.starts_with("error looking up service account ")
        && (!why.ends_with(" not found") || why.ends_with(": serviceaccount \"default\" not found"));
    let is_of_policy = why.starts_with("ValidatingAdmissionPolicy ") || why.starts_with("policy ");
    FOR_NOW.iter().any(|beginning| why.starts_with(beginning))
        || is_of_policy && why.contains(" denied request: failed to configure ")
        || why.contains(" at this time because there was an error enforcing ")
        || lacks_account
}

impl Refusal {
    /// The reason, or what the code means without one: `AlreadyExists`, `NotFound`, `Forbidden`, or empty for any
    /// other.
    fn meaning(&self) -> &str {
        match (self.reason(), self.code) {
            (reason @ ("AlreadyExists" | "NotFound" | "Forbidden"), _) => reason,
            (_, 403) => "Forbidden",
            ("", 404) => "NotFound",
            _ => "",
        }
    }

    /// Whether its code alone says that it heals, even if a webhook denied the request: webhooks deny with 5xx when
    /// they can't reach what they need.
    fn is_passing(&self) -> bool {
        let is_conflict = self.reason() != "AlreadyExists" || self.is_denied_by_webhook();
        matches!(self.code, 401 | 408 | 425 | 429)
            || !(400..500).contains(&self.code)
            || self.code == 409 && is_conflict
    }

    /// Whether an admission webhook denied the request, as opposed to not answering.
    fn is_denied_by_webhook(&self) -> bool {
        self.message().contains("admission webhook ") && self.message().contains(" denied the request")
    }

    fn is_over_quota(&self) -> bool {
        ["exceeded quota: ", "failed quota: "].iter().any(|quota| self.why_forbidden().starts_with(quota))
    }

    /// Why it forbids a Pod. A MutatingAdmissionPolicy says nothing else.
    fn why_forbidden(&self) -> &str {
        let message = self.message();
        let whole = if message.starts_with("policy ") { message } else { "" };
        message.split_once(" is forbidden: ").map_or(whole, |(_, why)| why)
    }
}

/// What to do about it: the API server only says what is wrong. Why it rejects a Pod says that too.
fn advice(call: Call, reason: Reason, refusal: &Refusal) -> &'static str {
    match reason {
        // A policy's message says itself what to do.
        Reason::PodRejected if call == Call::Release && !refusal.message().contains("ValidatingAdmissionPolicy ") => {
            "; check which admission webhooks act on updates of Pods"
        }
        Reason::QuotaExceeded if refusal.why_forbidden().starts_with("failed quota: ") => {
            "; give the client namespace a LimitRange with defaults: the gateway's containers set no limits"
        }
        Reason::QuotaExceeded => "; remove clients, or raise the quota",
        Reason::NamespaceNotFound => "; create the namespace, or set client_namespace",
        Reason::Forbidden => "; give the service account its Role, or remove the obstacle that is named",
        Reason::PodTemplateInvalid => "; create it in the client namespace, or set client_pod_template",
        _ => "",
    }
}
