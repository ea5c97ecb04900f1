//! What heals and what doesn't: one function of the call and of its answer, which nothing corrects elsewhere.
//!
//! The rule: only the API server's own word is final, which is a 4xx that carries a `Status` object. Its `reason`
//! comes before its code, because one code can mean two things: 409 is `AlreadyExists` or `Conflict`, and they need
//! opposite treatment. Everything else heals, and the broker redelivers. `docs/faults.md` is printed from the test that
//! walks this table. Source: Kubernetes API conventions, "Response Status Kind".

use super::answer::Refusal;
use crate::outbound::Answer;
use crate::reason::{Failure, Reason};

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
    /// `PATCH pods/NAME`, which writes an annotation.
    Annotate,
    /// `GET pods`, a page of them.
    List,
    /// `POST tokenreviews`, of which no refusal says anything about the token.
    Review,
}

impl Call {
    /// Whether a Pod is refused by it, as opposed to a look at one.
    fn is_write(self) -> bool {
        matches!(self, Self::Create | Self::Release | Self::Annotate)
    }
}

/// What becomes of a delivery after a call that gave no object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It heals: the broker redelivers.
    Heals(Retry),
    /// It heals by itself once the cluster has caught up. Until then an earlier delivery's Pod is this event's answer.
    NotYet(Retry),
    /// A Pod of this name is there already.
    AlreadyExists(Retry),
    /// The Pod isn't there.
    NotFound(Retry),
    /// There will never be a client of this event.
    Terminal(Failure),
}

impl Verdict {
    /// Something in the way that heals, of which no more is known than `cause`.
    pub fn heals(cause: impl Into<String>) -> Self {
        Self::Heals(Retry::because(cause))
    }
}

impl From<Failure> for Verdict {
    fn from(failure: Failure) -> Self {
        Self::Terminal(failure)
    }
}

/// Parts what is final, a result or a failure, from what is left to the broker.
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

impl From<Verdict> for Retry {
    /// Of a call on which nothing ends: what is in the way may be taken out of it.
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Heals(retry) | Verdict::NotYet(retry) => retry,
            Verdict::AlreadyExists(retry) | Verdict::NotFound(retry) => retry,
            Verdict::Terminal(failure) => Self::because(failure.message),
        }
    }
}

/// The body of a call's answer where it is a success.
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
    let terminal = |reason| Failure::new(reason, format!("{refusal}{}", advice(refusal))).into();
    match (call, refusal.meaning()) {
        (Call::Readiness, _) => readiness(refusal, retry),
        _ if refusal.status.is_none() || refusal.is_passing() => Verdict::Heals(retry),
        _ if call.is_write() && refusal.is_denied_by_webhook() => terminal(Reason::PodRejected),
        (Call::Create, _) if is_not_yet(refusal.why_forbidden()) => Verdict::NotYet(retry),
        _ if is_not_yet(refusal.why_forbidden()) => Verdict::Heals(retry),
        (Call::Create, "AlreadyExists") => Verdict::AlreadyExists(retry),
        (Call::Create, "NotFound") => terminal(Reason::NamespaceNotFound),
        (Call::Get | Call::GetAfterForbidden | Call::Delete | Call::Annotate, "NotFound") => Verdict::NotFound(retry),
        // What is to be released was removed meanwhile: the next delivery sees what came of it.
        (_, "AlreadyExists") | (Call::Release, "NotFound") => Verdict::Heals(retry),
        (_, "Forbidden") => forbidden(call, refusal.why_forbidden(), retry, terminal),
        (Call::GetTemplate, _) => terminal(Reason::PodTemplateInvalid),
        _ if call.is_write() => terminal(Reason::PodRejected),
        // A Pod of the event may be left, so nothing is final before it was seen.
        _ => Verdict::Heals(retry),
    }
}

/// An API server that has just started refuses everybody, as if nobody had rights. It says itself, to anybody, whether
/// it is ready. An answer that says neither is no reason to doubt its refusal.
fn readiness(refusal: &Refusal, retry: Retry) -> Verdict {
    let cause = "the Kubernetes API is not ready and refuses everybody";
    match refusal.code {
        401 | 403 | 429 | 500.. => Verdict::Heals(Retry { cause: cause.to_owned(), ..retry }),
        _ => Verdict::Terminal(Failure::new(Reason::Forbidden, refusal.to_string())),
    }
}

fn forbidden(call: Call, why: &str, retry: Retry, terminal: impl Fn(Reason) -> Verdict) -> Verdict {
    let is_quota = why.starts_with("exceeded quota: ") || why.starts_with("failed quota: ");
    match call {
        Call::Get | Call::Delete | Call::List | Call::Review => Verdict::Heals(retry),
        _ if call.is_write() && is_quota => terminal(Reason::QuotaExceeded),
        _ => terminal(Reason::Forbidden),
    }
}

/// Whether the API server refuses an object only because something isn't there yet that the cluster makes by itself: the
/// count of what a quota is about, the service account of a new namespace, what its own admission has to know, or the
/// annotations that OpenShift's controller gives a new namespace. Or because an admission policy lacks its parameter,
/// which an API server that has just started hasn't read yet, or which somebody has to put back.
///
/// What comes first in the message is the API server's own; further on it may quote what others wrote.
fn is_not_yet(why: &str) -> bool {
    let lacks_account = why.starts_with("error looking up service account ");
    let lacks_range = why.starts_with("error fetching namespace ");
    why.starts_with("status unknown for quota: ")
        || why == "not yet ready to handle request"
        || why.starts_with("ValidatingAdmissionPolicy ") && why.contains("' denied request: failed to configure ")
        || lacks_account && why.ends_with(": serviceaccount \"default\" not found")
        || lacks_range && why.contains(": unable to find annotation openshift.io/sa.scc")
}

impl Refusal {
    /// What it means, as a reason: `AlreadyExists`, `NotFound`, `Forbidden`, or empty for any other. A code counts where
    /// the reason doesn't say.
    fn meaning(&self) -> &str {
        match (self.reason(), self.code) {
            (reason @ ("AlreadyExists" | "NotFound" | "Forbidden"), _) => reason,
            (_, 403) => "Forbidden",
            ("", 404) => "NotFound",
            _ => "",
        }
    }

    /// Whether it will pass whatever its reason says, a webhook's denial with such a code included: webhooks deny with
    /// 5xx when they can't reach what they need.
    fn is_passing(&self) -> bool {
        let is_conflict = self.reason() != "AlreadyExists" || self.is_denied_by_webhook();
        matches!(self.code, 401 | 408 | 425 | 429)
            || !(400..500).contains(&self.code)
            || self.code == 409 && is_conflict
    }

    /// Whether an admission webhook said no, as opposed to not saying anything.
    fn is_denied_by_webhook(&self) -> bool {
        self.message().contains("admission webhook ") && self.message().contains(" denied the request")
    }

    fn why_forbidden(&self) -> &str {
        self.message().split_once(" is forbidden: ").map_or("", |(_, why)| why)
    }
}

/// What to do about it, where the API server's message doesn't say so.
fn advice(refusal: &Refusal) -> &'static str {
    match refusal.why_forbidden().starts_with("failed quota: ") {
        true => "; give the client namespace a LimitRange with defaults, for the gateway's containers have none",
        false => "",
    }
}
