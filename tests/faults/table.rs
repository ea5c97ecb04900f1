//! docs/faults.md as a table: what can go wrong with each outbound call, and what the delivery then ends in.
//!
//! The document is written from what is promised, not from the code under test, and `matrix` proves every cell of it.

use http::StatusCode;
use provisioner::testing::{deleting, stored, wanted};
use tests::fault::{Call, Fault, Spoken};
use tests::markdown::Page;
use tests::peer::status_object;

const PATH: &str = "docs/faults.md";

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

/// The columns of the document: what a pending event takes.
const BEGINNING: [Call; 6] = [Call::Create, Call::Get, Call::Release, Call::Delete, Call::Template, Call::Sink];

/// What a client's life takes, and its sender's token.
const LIFE: [Step; 6] = [
    (Event::Update, Call::Get),
    (Event::Update, Call::Note),
    (Event::Ping, Call::List),
    (Event::Termination, Call::Terminate),
    (Event::Termination, Call::Delete),
    (Event::Pending, Call::Review),
];

/// Every call, in the order of the columns.
pub fn steps() -> [[Step; 6]; 2] {
    [BEGINNING.map(|call| (Event::Pending, call)), LIFE]
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
    /// On the wire, or a refusal: by the server itself, or by somebody before it.
    Wire(Fault),
}

/// A cell of the document, and what it says.
#[derive(Clone, Debug)]
pub struct Cell {
    pub step: Step,
    /// What stands in its row's beginning, or one of the codes there.
    pub label: String,
    pub kind: Kind,
    /// What the delivery ends in, in the document's words.
    pub end: String,
}

/// The cells of every table: two of a client's beginning, and two of its life.
pub fn cells() -> Vec<Cell> {
    let [beginning, life] = steps();
    let mut cells = Vec::new();
    for ((heading, rows), steps) in Page::read(PATH).tables.into_iter().zip([beginning, beginning, life, life]) {
        let found: Vec<_> = rows.iter().flat_map(|row| cells_of(row, steps)).collect();
        let wanted = if heading == "Refusals" { codes() } else { faults().map(|(label, _)| label.to_owned()).to_vec() };
        for label in wanted {
            assert!(found.iter().any(|cell| cell.label == label), "{PATH} has no row {label:?} below {heading:?}");
        }
        cells.extend(found);
    }
    cells
}

/// The cells of a row, once for each code that it begins with. Where it is about refusals, what a page of any call ends in
/// comes first.
fn cells_of(row: &[String], steps: [Step; 6]) -> Vec<Cell> {
    let (head, ends) = row.split_at(row.len() - steps.len());
    let mut cells = Vec::new();
    for label in labels(&head[0]) {
        let mut add = |step, kind, end: &str| {
            let cell = Cell { step, label: label.clone(), kind, end: end.to_owned() };
            cells.extend(Some(cell).filter(|cell| cell.end != "–"));
        };
        for (step, end) in steps.into_iter().zip(ends) {
            let Some(page) = head.get(1) else {
                add(step, fault(&label), end);
                continue;
            };
            add(step, Kind::Wire(Fault::Refuse(refusal(&label))), end);
            // Only a 429 of the API server stays one.
            let is_of_others = matches!(step.1, Call::Sink | Call::Review) && page == "429";
            let end = if is_of_others { "503" } else { page };
            add(step, Kind::Wire(Fault::Refuse(Spoken::page(code(&label)))), end);
        }
    }
    cells
}

/// The labels of a row: itself, or one for each of the codes that it begins with.
fn labels(label: &str) -> Vec<String> {
    let said = label.find(|c: char| !c.is_ascii_digit() && c != ',' && c != ' ').unwrap_or(label.len());
    let (codes, said) = label.split_at(said);
    codes.trim_end().split(", ").map(|code| format!("{code} {said}").trim().to_owned()).collect()
}

/// What can go wrong on the way, by the label of its row. Redirects are in a row of their codes.
fn faults() -> [(&'static str, Kind); 18] {
    [
        ("the connection is refused", Kind::Refused),
        ("the host's name can't be resolved", Kind::Unresolved),
        ("the certificate isn't trusted", Kind::Untrusted),
        ("the connection is never ready: the TLS handshake doesn't end", Kind::NeverConnected),
        ("the call never arrives, and nobody says so", Kind::Wire(Fault::HoldCall)),
        ("the call never arrives, and the connection is closed", Kind::Wire(Fault::LoseCall)),
        ("the server did the work, and the first byte of its answer never comes", Kind::Wire(Fault::HoldAnswer)),
        ("the server did the work, and the connection is closed in place of its answer", Kind::Wire(Fault::LoseAnswer)),
        ("the answer is cut in its head", Kind::Wire(Fault::CutHead)),
        ("the answer is cut in its body", Kind::Wire(Fault::CutBody)),
        ("the answer comes at one byte a second, from its head on", Kind::Wire(Fault::Drip)),
        ("the answer comes at one byte a second, from its body on", Kind::Wire(Fault::DripBody)),
        ("the answer's body has 100 MB", Kind::Wire(Fault::Huge)),
        ("the answer comes twice", Kind::Wire(Fault::Twice)),
        ("a success that isn't JSON", Kind::Wire(Fault::Replace(Spoken::page(200)))),
        ("a success that is JSON of another kind", succeeds(200, r#"{"kind":"List","items":[]}"#)),
        ("a success without a body", succeeds(204, "")),
        ("a success that says that the Pod has 30 seconds left", succeeds(200, &ending())),
    ]
}

fn fault(label: &str) -> Kind {
    if let Ok(code) = label.parse() {
        let header = ("location", "/elsewhere".to_owned());
        return Kind::Wire(Fault::Refuse(Spoken { code, header, body: String::new() }));
    }
    let fault = faults().into_iter().find(|(known, _)| *known == label);
    fault.unwrap_or_else(|| panic!("{PATH}: nobody knows how to bring about {label:?}")).1
}

/// The codes of which the document has to say something.
fn codes() -> Vec<String> {
    let codes = (400..=418).chain(421..=426).chain([428, 429, 431, 451]).chain(500..=511).chain([599]);
    codes.map(|code: u16| code.to_string()).collect()
}

/// The code that a label begins with.
fn code(label: &str) -> u16 {
    let code = label.get(..3).and_then(|code| code.parse().ok());
    code.unwrap_or_else(|| panic!("{PATH}: {label:?} begins with no code"))
}

/// What an API server says, by what its row's label holds.
const SAYINGS: [(&str, &str); 10] = [
    ("AlreadyExists", "exists"),
    ("admission webhook denied", "admission webhook \"policy.example\" denied the request: no"),
    ("exceeded quota", "exceeded quota: clients, requested: pods=1, used: pods=5, limited: pods=5"),
    ("failed quota", "failed quota: clients: must specify limits.cpu for: gateway-init,gateway-sidecar"),
    ("status unknown for quota", "status unknown for quota: clients, resources: pods"),
    ("account", "error looking up service account default/default: serviceaccount \"default\" not found"),
    ("not yet ready to handle request", "not yet ready to handle request"),
    ("sa.scc", "error fetching namespace \"default\": unable to find annotation openshift.io/sa.scc.uid-range"),
    ("configure", "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: failed to configure binding: no"),
    ("etcdserver", "etcdserver: request timed out"),
];

/// A refusal with a `Status`, whose reason is the code's name unless the label has another.
fn refusal(label: &str) -> Spoken {
    let code = code(label);
    let name = StatusCode::from_u16(code).ok().and_then(|code| code.canonical_reason()).unwrap_or_default();
    let word = if label.contains("`AlreadyExists`") { "AlreadyExists" } else { &name.replace(' ', "") };
    let said = SAYINGS.into_iter().find(|(part, _)| label.contains(part));
    let (_, why) =
        said.or((label.len() == 3).then_some(("", "no"))).unwrap_or_else(|| panic!("{PATH}: who says {label:?}?"));
    Spoken::json(code, status_object(code, word, &format!("pods \"x\" is forbidden: {why}")))
}

/// What a success of a removal says of the event's Pod (`/test`, `1`), which is on its way out.
fn ending() -> String {
    let mut pod = deleting(stored(wanted(&[])));
    pod["metadata"]["deletionGracePeriodSeconds"] = 30.into();
    pod.to_string()
}

fn succeeds(code: u16, body: &str) -> Kind {
    Kind::Wire(Fault::Replace(Spoken::json(code, body)))
}
