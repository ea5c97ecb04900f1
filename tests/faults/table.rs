//! The table: what can go wrong with each outbound call, and what the delivery then ends in.
//!
//! It is written from what is promised, not from the code under test. `matrix` proves every cell of it and `document`
//! prints it as docs/faults.md.

use http::StatusCode;
use provisioner::reason::Reason;
use provisioner::testing::{deleting, stored, wanted};
use tests::fault::{Call, Fault, Spoken};
use tests::peer::status_object;

/// What is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A pending event.
    Pending,
    /// An ApiServerSource's, about a client that runs.
    Update,
    /// A PingSource's, which finds that client.
    Ping,
    /// One that asks for a client's end.
    Termination,
}

/// A call, and the event for which it is made.
pub type Step = (Event, Call);

/// What a pending event takes, each call as the document names it.
pub const BEGINNING: [(Step, &str); 6] = [
    ((Event::Pending, Call::Create), "`POST pods`"),
    ((Event::Pending, Call::Get), "`GET pods/…`"),
    ((Event::Pending, Call::Release), "`PATCH pods/…`"),
    ((Event::Pending, Call::Delete), "`DELETE pods/…`"),
    ((Event::Pending, Call::Template), "`GET podtemplates/…`"),
    ((Event::Pending, Call::Sink), "`POST` to the sink"),
];

/// What a client's life takes, and its sender's token.
pub const LIFE: [(Step, &str); 6] = [
    ((Event::Update, Call::Get), "change: `GET pods/…`"),
    ((Event::Update, Call::Note), "change: `PATCH pods/…`"),
    ((Event::Ping, Call::List), "sweep: `GET pods`"),
    ((Event::Termination, Call::Terminate), "end: `PATCH pods/…`"),
    ((Event::Termination, Call::Delete), "end: `DELETE pods/…`"),
    ((Event::Pending, Call::Review), "`POST tokenreviews`"),
];

/// Every call.
pub fn steps() -> impl Iterator<Item = Step> {
    BEGINNING.into_iter().chain(LIFE).map(|(step, _)| step)
}

/// Something that goes wrong with a call.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// Its row in the document. Rows in which every cell is the same are printed as one.
    pub label: String,
    /// What it is.
    pub kind: Kind,
}

/// The kinds of trouble.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Nobody listens.
    Refused,
    /// The host's name can't be resolved.
    Unresolved,
    /// The server's certificate isn't trusted.
    Untrusted,
    /// The connection is never ready for the call: the TLS handshake doesn't end.
    NeverConnected,
    /// On the wire.
    Wire(Fault),
    /// The Pod is not gone yet: a removal's answer that says so.
    Ending,
    /// Somebody before the server says no, with a page of HTML.
    Page(Spoken),
    /// The server itself says no, with a `Status`: why a Pod is refused for good; nothing where that can heal.
    Status(Spoken, Option<Reason>),
}

/// What a delivery ends in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// 202, and nothing is told.
    Ignored,
    /// 503, or for true 429: the broker redelivers.
    Retry(bool),
    /// `failed`, for this reason, and no Pod is left.
    Failed(Reason),
    /// What it ends in when nothing goes wrong.
    AsUsual,
    /// The call never meets this trouble: the one before it goes to the same host, and has met it already.
    NotMet,
}

/// The table.
pub fn expected(step: Step, kind: &Kind) -> Expected {
    let (_, call) = step;
    let follows = before(step).is_some();
    match kind {
        Kind::Unresolved | Kind::Untrusted | Kind::NeverConnected if follows => Expected::NotMet,
        Kind::Wire(Fault::Twice) => Expected::AsUsual,
        // Of a sink's answer only the head is read: a success is all there is to know.
        Kind::Wire(Fault::CutBody | Fault::DripBody | Fault::Huge | Fault::Replace(_)) if call == Call::Sink => {
            Expected::AsUsual
        }
        // The sweep asks for fewer clients at a time.
        Kind::Wire(Fault::Huge) if call == Call::List => Expected::AsUsual,
        // To end is all that was asked of it.
        Kind::Ending if step == (Event::Termination, Call::Delete) => Expected::AsUsual,
        Kind::Ending if call != Call::Delete => Expected::NotMet,
        // Only the API server's own word is final.
        Kind::Page(spoken) => Expected::Retry(spoken.code == 429 && !matches!(call, Call::Sink | Call::Review)),
        Kind::Status(spoken, reason) => refused(step, spoken.code, *reason),
        _ => Expected::Retry(false),
    }
}

/// The call to the same host that comes before, where there is one.
pub fn before(step: Step) -> Option<Call> {
    match step {
        (Event::Pending, Call::Get | Call::Release | Call::Delete) => Some(Call::Create),
        (Event::Update, Call::Note) => Some(Call::Get),
        (Event::Termination, Call::Delete) => Some(Call::Terminate),
        _ => None,
    }
}

fn refused(step: Step, code: u16, reason: Option<Reason>) -> Expected {
    let (_, call) = step;
    let retry = Expected::Retry(code == 429);
    match (call, reason) {
        // Whatever the API server says of its own caller, it says nothing of the sender.
        (Call::Sink | Call::Review, _) => Expected::Retry(false),
        // Of a client that isn't there, there is nothing to tell.
        (Call::Get, _) if code == 404 && step == (Event::Update, Call::Get) => Expected::Ignored,
        // What is to be removed, or noted on, is gone.
        (Call::Delete | Call::Note | Call::Terminate, _) if code == 404 => Expected::AsUsual,
        // Whoever asks for an end is told that it can't be had.
        (Call::Delete, Some(reason)) if step == (Event::Termination, Call::Delete) => Expected::Failed(reason),
        (Call::Get | Call::Delete | Call::Note | Call::List, _) => retry,
        // What is to be released has gone: the next delivery sees why.
        (Call::Release, _) if code == 404 => retry,
        (Call::Create | Call::Release | Call::Terminate, Some(reason)) => Expected::Failed(reason),
        (Call::Template, Some(_)) if code == 403 => Expected::Failed(Reason::Forbidden),
        (Call::Template, Some(_)) => Expected::Failed(Reason::PodTemplateInvalid),
        (_, None) => retry,
    }
}

/// Why a Pod is refused for good with this code and nothing more.
fn reason(code: u16) -> Option<Reason> {
    match code {
        401 | 408 | 409 | 425 | 429 | 500.. => None,
        403 => Some(Reason::Forbidden),
        404 => Some(Reason::NamespaceNotFound),
        _ => Some(Reason::PodRejected),
    }
}

/// Everything that can go wrong.
pub fn troubles() -> Vec<Trouble> {
    let trouble = |label: &str, kind| Trouble { label: label.to_owned(), kind };
    let mut troubles = vec![
        trouble("the connection is refused", Kind::Refused),
        trouble("the host's name can't be resolved", Kind::Unresolved),
        trouble("the certificate isn't trusted", Kind::Untrusted),
        trouble("the connection is never ready: the TLS handshake doesn't end", Kind::NeverConnected),
    ];
    let wire = [
        ("the call never arrives, and nobody says so", Fault::HoldCall),
        ("the call never arrives, and the connection is closed", Fault::LoseCall),
        ("the server did the work, and the first byte of its answer never comes", Fault::HoldAnswer),
        ("the server did the work, and the connection is closed in place of its answer", Fault::LoseAnswer),
        ("the answer is cut in its head", Fault::CutHead),
        ("the answer is cut in its body", Fault::CutBody),
        ("the answer comes at one byte a second, from its head on", Fault::Drip),
        ("the answer comes at one byte a second, from its body on", Fault::DripBody),
        ("the answer's body has 100 MB", Fault::Huge),
        ("the answer comes twice", Fault::Twice),
        ("a success that isn't JSON", Fault::Replace(page(200))),
        ("a success that is JSON of another kind", Fault::Replace(json(200, r#"{"kind":"List","items":[]}"#))),
        ("a success without a body", Fault::Replace(json(204, ""))),
    ];
    troubles.extend(wire.map(|(label, fault)| trouble(label, Kind::Wire(fault))));
    troubles.push(trouble("a success that says that the Pod has 30 seconds left", Kind::Ending));
    for code in [301, 302, 303, 307, 308] {
        let header = ("location", "/elsewhere".to_owned());
        let redirect = Fault::Refuse(Spoken { code, header, body: String::new() });
        troubles.push(trouble(&code.to_string(), Kind::Wire(redirect)));
    }
    for code in (400..=418).chain(421..=426).chain([428, 429, 431, 451]).chain(500..=511).chain([599]) {
        troubles.push(trouble(&code.to_string(), Kind::Page(page(code))));
        troubles.push(refusal(&code.to_string(), code, "no", reason(code)));
    }
    troubles.extend(sayings());
    troubles
}

/// What a success of a removal says of the event's Pod (`/test`, `1`), which is on its way out.
pub fn ending() -> Spoken {
    let mut pod = deleting(stored(wanted(&[])));
    pod["metadata"]["deletionGracePeriodSeconds"] = 30.into();
    json(200, &pod.to_string())
}

/// Refusals that mean more than their code.
fn sayings() -> Vec<Trouble> {
    let quota = Some(Reason::QuotaExceeded);
    let account = "error looking up service account default/default: serviceaccount \"default\" not found";
    let range = "error fetching namespace \"default\": unable to find annotation openshift.io/sa.scc.uid-range";
    let policy = "ValidatingAdmissionPolicy 'podgateway-clients' with binding 'podgateway-clients' denied request: failed \
                  to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction";
    let forbidden = [
        (403, "exceeded quota", "exceeded quota: clients, requested: pods=1, used: pods=5, limited: pods=5", quota),
        (
            403,
            "failed quota",
            "failed quota: clients: must specify limits.cpu for: gateway-init,gateway-sidecar",
            quota,
        ),
        (403, "status unknown for quota", "status unknown for quota: clients, resources: pods", None),
        (403, "serviceaccount \"default\" not found", account, None),
        (403, "not yet ready to handle request", "not yet ready to handle request", None),
        (403, "unable to find annotation openshift.io/sa.scc", range, None),
        (422, "failed to configure binding", policy, None),
    ];
    let mut sayings = vec![
        refusal("409 `AlreadyExists`, and there is no Pod", 409, "exists", None),
        refusal("500", 500, "failed calling webhook \"gateway\": connection refused", None),
    ];
    sayings.extend(forbidden.map(|(code, label, why, reason)| {
        refusal(&format!("{code} that says `{label}`"), code, &format!("pods \"x\" is forbidden: {why}"), reason)
    }));
    // A webhook that can't reach what it needs denies with 500.
    for code in [400, 403, 422, 500] {
        let reason = (code < 500).then_some(Reason::PodRejected);
        let label = format!("{code} that says that an admission webhook denied the request");
        sayings.push(refusal(&label, code, "admission webhook \"policy.example\" denied the request: no", reason));
    }
    sayings
}

/// A refusal with a `Status`, whose reason is the code's name unless the label has another.
fn refusal(label: &str, code: u16, message: &str, reason: Option<Reason>) -> Trouble {
    let name = StatusCode::from_u16(code).ok().and_then(|code| code.canonical_reason()).unwrap_or_default();
    let word = if label.contains("`AlreadyExists`") { "AlreadyExists" } else { &name.replace(' ', "") };
    let status = status_object(code, word, message).to_string();
    Trouble { label: label.to_owned(), kind: Kind::Status(json(code, &status), reason) }
}

fn json(code: u16, body: &str) -> Spoken {
    Spoken { code, header: ("content-type", "application/json".to_owned()), body: body.to_owned() }
}

fn page(code: u16) -> Spoken {
    Spoken { code, header: ("content-type", "text/html".to_owned()), body: "<html>no</html>".to_owned() }
}
