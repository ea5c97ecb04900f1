//! A configuration, an event and a peer, for tests that make up everything else.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use chrono::{DateTime, Utc};
use cloudevents::{EventBuilder, EventBuilderV10};
use http::{Request, Response};
use provisioner::config::{Config, ConfigError};
use provisioner::event::{PENDING, PendingClient};
use provisioner::outbound::{Answer, NoAnswer, Outbound};
use serde_json::{Value, json};

static MANIFEST: LazyLock<toml::Table> =
    LazyLock::new(|| include_str!("../../../spin.toml").parse().expect("the manifest is TOML"));

/// The root of the repository.
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A variable's value: of `changes`, or else the default of `spin.toml`.
pub fn variable(changes: &[(&str, &str)], name: &str) -> Result<String, String> {
    if let Some((_, value)) = changes.iter().find(|(changed, _)| *changed == name) {
        return Ok((*value).to_owned());
    }
    let default = MANIFEST["variables"].get(name).and_then(|variable| variable["default"].as_str());
    default.map(str::to_owned).ok_or_else(|| format!("{name} has no default"))
}

/// The configuration of the defaults with `changes` laid over them.
///
/// # Errors
/// Which of the changes can't be used.
pub fn config(changes: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::from_variables(|name| variable(changes, name))
}

/// The client of an event of this identity.
pub fn client(source: &str, id: &str, gateway: &str) -> PendingClient {
    let data = json!({ "gateway_name": gateway });
    let event = EventBuilderV10::new().id(id).source(source).ty(PENDING).data("application/json", data).build();
    let config = config(&[]).expect("the defaults can be used");
    PendingClient::from_event(&event.expect("the event is complete"), &config).expect("the gateway has a good name")
}

/// The time of every delivery.
pub fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH
}

/// What every API server adds to a Pod.
pub fn stored(mut pod: Value) -> Value {
    pod["metadata"]["uid"] = json!("uid-1");
    pod["metadata"]["resourceVersion"] = json!("7");
    pod["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
    pod
}

/// A Pod that the gateway at `address` took.
pub fn routed(pod: Value, address: &str) -> Value {
    let mut pod = stored(pod);
    let env = json!([{"name": "gateway", "value": address}]);
    pod["spec"]["initContainers"] = json!([{"name": "gateway-init", "image": "gateway", "env": env}]);
    pod
}

/// An answer with this body.
pub fn answer(code: u16, body: impl Into<Vec<u8>>) -> Answer {
    Response::builder().status(code).body(body.into()).map_err(|error| NoAnswer(error.to_string()))
}

/// A peer that gives prepared answers to whatever comes, in their order, and none after the last.
#[derive(Default)]
pub struct Scripted {
    answers: RefCell<Vec<Answer>>,
    calls: Cell<usize>,
}

impl Scripted {
    /// A peer with these answers.
    pub fn new(mut answers: Vec<Answer>) -> Self {
        answers.reverse();
        Self { answers: RefCell::new(answers), calls: Cell::new(0) }
    }

    /// How many calls have come.
    pub fn calls(&self) -> usize {
        self.calls.get()
    }
}

impl Outbound for Scripted {
    async fn send(&self, _: Request<Vec<u8>>) -> Answer {
        self.calls.set(self.calls.get() + 1);
        self.answers.borrow_mut().pop().unwrap_or_else(|| Err(NoAnswer("the script has ended".into())))
    }
}

/// Runs a future that never waits, as everything does whose peer is [`Scripted`].
///
/// # Panics
/// When it waits.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing here waits"),
    }
}
