//! What heals and what doesn't: one function of the call and of its answer, which nothing corrects elsewhere.
//!
//! The rule: only the API server's own word is final, which is a 4xx that carries a `Status` object. Its `reason`
//! comes before its code, because one code can mean two things: 409 is `AlreadyExists` or `Conflict`, and they need
//! opposite treatment. Everything else heals, and the broker redelivers. `docs/faults.md` is printed from the test that
//! walks this table. Source: Kubernetes API conventions, "Response Status Kind".

use super::answer::{ApiError, Refusal};
use crate::reason::Reason;

/// The calls that are made for an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `GET podtemplates/NAME`, before anything is made.
    GetTemplate,
    /// `POST pods`.
    Create,
    /// `GET pods/NAME`, where the Pod may be there.
    Get,
    /// `GET pods/NAME`, after the create was forbidden: who has no rights can't look either.
    GetAfterForbidden,
    /// `GET /readyz`, after both were forbidden.
    Readiness,
    /// `PATCH pods/NAME`, which takes the gate away.
    Release,
    /// `DELETE pods/NAME`.
    Delete,
}

/// What becomes of a delivery after a call that gave no object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It heals: the broker redelivers.
    Heals(Retry),
    /// It heals by itself once the cluster has caught up. Until then an earlier delivery's Pod is this event's answer.
    NotYet(Retry),
    /// There will never be a client of this event.
    Terminal(Reason),
    /// A Pod of this name is there already.
    AlreadyExists,
    /// The Pod isn't there.
    NotFound,
}

/// How, and why, an event is left to the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Whether the API server asked for less, with 429.
    pub too_many_requests: bool,
    /// How many seconds it asked to wait.
    pub retry_after: Option<u64>,
    /// What is in the way, for the log.
    pub cause: String,
}

impl Retry {
    /// Something in the way of which no more is known than `cause`.
    pub fn because(cause: impl Into<String>) -> Self {
        Self { too_many_requests: false, retry_after: None, cause: cause.into() }
    }
}

/// Decides what becomes of a delivery after `call` ended in `error`.
///
/// ```
/// use http::Response;
/// use provisioner::kubernetes::{ApiError, Call, Refusal, Verdict, verdict};
/// use provisioner::reason::Reason;
///
/// let answer = |body: &str| Response::builder().status(404).body(body.as_bytes().to_vec()).unwrap();
/// let refused = |body: &str| ApiError::Refused(Refusal::new(&answer(body)));
/// let status = r#"{"kind": "Status", "reason": "NotFound", "message": "namespaces \"x\" not found", "code": 404}"#;
/// assert_eq!(verdict(Call::Create, &refused(status)), Verdict::Terminal(Reason::NamespaceNotFound));
/// assert!(matches!(verdict(Call::Create, &refused("<html>")), Verdict::Heals(_)));
/// ```
pub fn verdict(call: Call, error: &ApiError) -> Verdict {
    let retry = retry(error);
    let ApiError::Refused(refusal) = error else { return Verdict::Heals(retry) };
    if call == Call::Readiness {
        return readiness(refusal, retry);
    }
    if refusal.status.is_none() || is_passing(refusal) {
        return Verdict::Heals(retry);
    }
    let is_write = matches!(call, Call::Create | Call::Release);
    match (call, refusal.reason(), refusal.code.as_u16()) {
        _ if is_write && refusal.is_denied_by_webhook() => Verdict::Terminal(Reason::PodRejected),
        (Call::Create, "AlreadyExists", _) => Verdict::AlreadyExists,
        (_, "AlreadyExists", _) => Verdict::Heals(retry),
        (Call::Create, "NotFound", _) | (Call::Create, "", 404) => Verdict::Terminal(Reason::NamespaceNotFound),
        // It was removed meanwhile: the next delivery sees what came of it.
        (Call::Release, "NotFound", _) | (Call::Release, "", 404) => Verdict::Heals(retry),
        (Call::Get | Call::GetAfterForbidden | Call::Delete, "NotFound", _) => Verdict::NotFound,
        (Call::Get | Call::GetAfterForbidden | Call::Delete, "", 404) => Verdict::NotFound,
        (_, "Forbidden", _) | (_, _, 403) => forbidden(call, refusal, retry),
        (Call::GetTemplate, ..) => Verdict::Terminal(Reason::PodTemplateInvalid),
        _ if is_write => Verdict::Terminal(Reason::PodRejected),
        // A Pod of the event may be left, so nothing is final before it was seen.
        _ => Verdict::Heals(retry),
    }
}

/// An API server that has just started refuses everybody, as if nobody had rights. It says itself, to anybody, whether
/// it is ready. An answer that says neither is no reason to doubt its refusal.
fn readiness(refusal: &Refusal, retry: Retry) -> Verdict {
    match refusal.code.as_u16() {
        401 | 403 | 429 | 500.. => {
            Verdict::Heals(Retry { cause: "the Kubernetes API is not ready and refuses everybody".to_owned(), ..retry })
        }
        _ => Verdict::Terminal(Reason::Forbidden),
    }
}

fn retry(error: &ApiError) -> Retry {
    let cause = error.to_string();
    match error {
        ApiError::Refused(refusal) => {
            Retry { too_many_requests: refusal.code.as_u16() == 429, retry_after: refusal.retry_after, cause }
        }
        _ => Retry::because(cause),
    }
}

/// Whether the refusal will pass whatever its reason says, a webhook's denial with such a code included: webhooks deny
/// with 5xx when they can't reach what they need.
fn is_passing(refusal: &Refusal) -> bool {
    let is_conflict = refusal.code.as_u16() == 409 && !refusal.is_already_exists();
    is_conflict || matches!(refusal.code.as_u16(), 401 | 408 | 425 | 429) || !refusal.code.is_client_error()
}

fn forbidden(call: Call, refusal: &Refusal, retry: Retry) -> Verdict {
    let why = refusal.message().split_once(" is forbidden: ").map_or("", |(_, why)| why);
    let is_write = matches!(call, Call::Create | Call::Release);
    match call {
        Call::Create if is_not_yet(why) => Verdict::NotYet(retry),
        _ if is_not_yet(why) => Verdict::Heals(retry),
        _ if is_write && is_quota(why) => Verdict::Terminal(Reason::QuotaExceeded),
        Call::Get | Call::Delete | Call::Readiness => Verdict::Heals(retry),
        _ => Verdict::Terminal(Reason::Forbidden),
    }
}

fn is_quota(why: &str) -> bool {
    why.starts_with("exceeded quota: ") || why.starts_with("failed quota: ")
}

/// Whether the API server refuses an object only because something isn't there yet that the cluster makes by itself: the
/// count of what a quota is about, the service account of a new namespace, what its own admission has to know, or the
/// annotations that OpenShift's controller gives a new namespace.
///
/// What comes first in the message is the API server's own; further on it may quote what others wrote.
fn is_not_yet(why: &str) -> bool {
    let lacks_account = why.starts_with("error looking up service account ");
    let lacks_range = why.starts_with("error fetching namespace ");
    why.starts_with("status unknown for quota: ")
        || why == "not yet ready to handle request"
        || lacks_account && why.ends_with(": serviceaccount \"default\" not found")
        || lacks_range && why.contains(": unable to find annotation openshift.io/sa.scc")
}

impl Refusal {
    fn is_already_exists(&self) -> bool {
        self.reason() == "AlreadyExists" && !self.is_denied_by_webhook()
    }

    /// Whether an admission webhook said no, as opposed to not saying anything.
    fn is_denied_by_webhook(&self) -> bool {
        self.message().contains("admission webhook ") && self.message().contains(" denied the request")
    }
}

/// What to do about it, where the API server's message doesn't say so.
pub fn advice(error: &ApiError) -> &'static str {
    match error {
        ApiError::Refused(refusal) if refusal.message().contains(" is forbidden: failed quota: ") => {
            "; give the client namespace a LimitRange with defaults, for the gateway's containers have none"
        }
        _ => "",
    }
}
