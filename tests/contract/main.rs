//! Contract tests: the built component, in its host, against a scripted peer.

mod answers;
mod command;
mod command_output;
mod components;
mod crash;
mod doors;
mod exactly_once;
mod healing;
mod identity;
mod image;
mod layout;
mod life;
mod lives;
mod load;
mod manifests;
mod memory;
mod network;
mod operator;
mod pods;
mod policies;
mod readme;
mod redelivery;
mod scripts;
mod secrets;
mod settling;
mod sink_token;
mod surface;
mod templates;
mod timeouts;
mod triggers;
mod vectors;

use tests::events::Delivery;
use tests::peer::{Call, Step};
use tests::{Peer, Provisioner, Reply};

/// How a delivery is expected to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Problem(u16),
    Empty(u16),
    Failed(&'static str),
    Done,
}

/// One delivery: what arrives, the conversation with the API server that it leads to, and its end.
struct Case {
    /// The row of the documented table that it belongs to.
    row: &'static str,
    name: &'static str,
    variables: Vec<(&'static str, &'static str)>,
    token_is_mounted: bool,
    request: Delivery,
    script: Vec<Step>,
    end: End,
    /// What its message, its problem or, where it has neither, its log line says.
    says: Vec<String>,
}

impl Case {
    fn new(row: &'static str, name: &'static str, request: Delivery, script: Vec<Step>, end: End) -> Self {
        Self { row, name, variables: Vec::new(), token_is_mounted: true, request, script, end, says: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.variables.push((name, value));
        self
    }

    fn saying(mut self, text: impl Into<String>) -> Self {
        self.says.push(text.into());
        self
    }

    fn without_token(mut self) -> Self {
        self.token_is_mounted = false;
        self
    }
}

/// Gives the answer, and the calls that were made for it.
async fn run(case: Case) -> (Reply, Vec<Call>) {
    let peer = Peer::start(case.script).await;
    let provisioner = Provisioner::start(&peer.url(), &case.variables);
    if !case.token_is_mounted {
        std::fs::remove_file(provisioner.token_file()).unwrap();
    }
    let reply = provisioner.deliver(case.request).await;
    assert_eq!(end_of(&reply), case.end, "{}: {}: {:?}", case.row, case.name, String::from_utf8_lossy(&reply.body));
    let calls = peer.finish();
    let logged = assert_one_log_line(&provisioner, &reply, case.name);
    let (answered, logged) = (reply.json(), logged["message"].as_str().unwrap_or_default().to_owned());
    let told = answered["message"].as_str().or(answered["detail"].as_str()).unwrap_or(&logged);
    for text in case.says {
        assert!(told.contains(&text), "{}: {}: no {text:?} in {told:?}", case.row, case.name);
    }
    (reply, calls)
}

fn end_of(reply: &Reply) -> End {
    let code = reply.status.as_u16();
    match reply.outcome() {
        "done" if code == 200 => End::Done,
        "failed" if code == 200 => End::Failed(known_reason(reply)),
        _ if reply.header("content-type") == "application/problem+json" => End::Problem(code),
        _ if reply.body.is_empty() => End::Empty(code),
        outcome => panic!("{code} with the event {outcome:?} and the body {:?}", reply.body),
    }
}

fn known_reason(reply: &Reply) -> &'static str {
    let word = reply.json()["reason"].as_str().unwrap_or_default().to_owned();
    let known = provisioner::reason::Reason::ALL.map(|reason| serde_json::to_value(reason).unwrap());
    let known = known.iter().find(|reason| reason.as_str() == Some(&word));
    known.unwrap_or_else(|| panic!("{word:?} is not in the closed list")).as_str().unwrap().to_owned().leak()
}

/// Every delivery leaves one line, a JSON object of its own, in one write.
fn assert_one_log_line(provisioner: &Provisioner, reply: &Reply, name: &str) -> serde_json::Value {
    let writes = provisioner.logs().writes();
    assert_eq!(writes.len(), 1, "{name}: {}", provisioner.logs().text());
    let line = std::str::from_utf8(&writes[0]).unwrap();
    assert!(line.ends_with('\n') && line.len() <= 4096, "{name}: {line}");
    let entry: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(entry["status"], reply.status.as_u16(), "{name}: {line}");
    entry
}

/// Every row of a documented table has a case, and every case a row.
#[track_caller]
fn assert_rows_are_covered(path: &str, heading: &str, cases: &[Case]) {
    let documented = tests::table::first_column(path, heading);
    for row in &documented {
        assert!(cases.iter().any(|case| case.row == row), "no case for the row {row:?} of {path}");
    }
    for case in cases {
        assert!(documented.iter().any(|row| row == case.row), "{path} has no row {:?}", case.row);
    }
}
