//! Contract tests: the built component, in its host, against a scripted peer.

mod answers;
mod command;
mod deploy;
mod eventing;
mod exactly_once;
mod healing;
mod image;
mod layout;
mod memory;
mod network;
mod redelivery;
mod secrets;
mod settling;
mod surface;

use host::RuntimeConfig;
use http::StatusCode;
use provisioner::reason::Reason;
use serde_json::{Value, json};
use tests::events::{Delivery, pending, with_header};
use tests::peer::{Call, Step, accepts};
use tests::{Peer, Provisioner, Reply, TOKEN};

/// How a delivery is expected to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Problem(u16),
    Empty(u16),
    Failed(Reason),
    Done,
}

/// One delivery: what arrives, the conversation with the API server that it leads to, and its end.
struct Case {
    /// The row of the documented table that it belongs to, or how that row begins.
    row: &'static str,
    variables: Vec<(&'static str, &'static str)>,
    token_is_mounted: bool,
    /// Whether the API server is a sink as well, which gets the answer in the last call.
    has_sink: bool,
    /// How much memory the instance may take.
    memory: Option<usize>,
    request: Delivery,
    script: Vec<Step>,
    end: End,
    /// What its message, its problem or, where it has neither, its log line says.
    says: &'static str,
}

impl Case {
    /// Of the pending event (`/test`, `1`) for the gateway `foo`.
    fn new(row: &'static str, script: Vec<Step>, end: End) -> Self {
        let (variables, request) = (Vec::new(), pending("1", "foo"));
        let (token_is_mounted, has_sink, memory, says) = (true, false, None, "");
        Self { row, variables, token_is_mounted, has_sink, memory, request, script, end, says }
    }

    fn of(self, request: Delivery) -> Self {
        Self { request, ..self }
    }

    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.variables.push((name, value));
        self
    }

    fn saying(self, says: &'static str) -> Self {
        Self { says, ..self }
    }

    fn with_sink(self) -> Self {
        Self { has_sink: true, ..self }
    }

    /// Given up by the broker.
    fn given_up(mut self) -> Self {
        *self.request.uri_mut() = "/dead-letter".parse().unwrap();
        self.request = with_header(self.request, "ce-knativeerrorcode", "503");
        self.with_sink()
    }

    fn within(self, memory: usize) -> Self {
        Self { memory: Some(memory), ..self }
    }
}

/// Gives the answer, wherever it went, and the calls that were made for it.
async fn run(mut case: Case) -> (Reply, Vec<Call>) {
    let is_told = case.has_sink && matches!(case.end, End::Done | End::Failed(_));
    case.script.extend(is_told.then(accepts));
    let peer = Peer::start(case.script).await;
    let (url, k_sink) = (peer.url(), format!("{}/sink", peer.url()));
    let mut variables: Vec<(&str, &str)> = case.variables;
    if case.has_sink {
        variables.extend([("k_sink", k_sink.as_str()), ("sink_origin", url.as_str())]);
    }
    let config = RuntimeConfig { max_instance_memory: case.memory, ..RuntimeConfig::default() };
    let provisioner = Provisioner::start_with(&url, &variables, config);
    if !case.token_is_mounted {
        std::fs::remove_file(provisioner.token_file()).unwrap();
    }
    let mut reply = provisioner.deliver(case.request).await;
    let calls = peer.finish();
    let logged = assert_one_log_line(&provisioner, &reply, case.row);
    if is_told {
        assert_eq!(end_of(&reply), End::Empty(202), "{}", case.row);
        let told = calls.last().unwrap();
        reply = Reply::new(StatusCode::OK, told.headers.clone(), told.body.to_string().into());
    }
    assert_eq!(end_of(&reply), case.end, "{}: {:?}", case.row, String::from_utf8_lossy(&reply.body));
    assert!(!format!("{reply:?}{logged}").contains(TOKEN), "{}: {reply:?}{logged}", case.row);
    let answered = reply.json();
    let told = answered["message"].as_str().or(answered["detail"].as_str()).or(logged["message"].as_str());
    assert!(told.unwrap_or_default().contains(case.says), "{}: no {:?} in {told:?}", case.row, case.says);
    (reply, calls)
}

fn end_of(reply: &Reply) -> End {
    let code = reply.status.as_u16();
    match reply.outcome() {
        "done" if code == 200 => End::Done,
        "failed" if code == 200 => {
            let data = reply.json();
            let known = Reason::ALL.into_iter().find(|reason| json!(reason) == data["reason"]);
            End::Failed(known.unwrap_or_else(|| panic!("{data} is not in the closed list")))
        }
        _ if reply.header("content-type") == "application/problem+json" => End::Problem(code),
        _ if reply.body.is_empty() => End::Empty(code),
        outcome => panic!("{code} with the event {outcome:?} and the body {:?}", reply.body),
    }
}

/// Every delivery leaves one line, a JSON object of its own, in one write.
fn assert_one_log_line(provisioner: &Provisioner, reply: &Reply, name: &str) -> Value {
    let writes = provisioner.logs().writes();
    assert_eq!(writes.len(), 1, "{name}: {}", provisioner.logs().text());
    let line = std::str::from_utf8(&writes[0]).unwrap();
    assert!(line.ends_with('\n') && line.len() <= 4096, "{name}: {line}");
    let entry: Value = serde_json::from_str(line).unwrap();
    assert_eq!(entry["status"], reply.status.as_u16(), "{name}: {line}");
    entry
}

/// Every row of a documented table has a case, and every case a row: the shortest that begins so.
#[track_caller]
fn assert_rows_are_covered(heading: &str, cases: &[Case]) {
    let mut documented = tests::markdown::first_column("docs/contract.md", heading);
    let row_of = |case: &Case| documented.iter().filter(|row| row.starts_with(case.row)).min_by_key(|row| row.len());
    let covered: Vec<_> = cases.iter().map(|case| row_of(case).expect(case.row).clone()).collect();
    documented.retain(|row| !covered.contains(row));
    assert!(documented.is_empty(), "rows of {heading} without a case: {documented:#?}");
}
