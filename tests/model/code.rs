//! The provisioner in the model is the provisioner: its next step is found by running the real code.
//!
//! A delivery is the list of the answers that it got so far. [`Code::next`] hands the pending event to
//! [`provisioner::endpoint::answer`], gives it these answers one after the other, and catches the call behind the last
//! of them, or the response. So a crash is a list that is thrown away, and nothing of the provisioner is modelled
//! twice. The code has no clock and no state, which is why equal lists lead to equal steps: every list is run once and
//! has a number from then on ([`Run`]).

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use provisioner::endpoint::{self, Surroundings};
use provisioner::event::PENDING;
use provisioner::outbound::{self, NoAnswer, Outbound};
use provisioner::pod::{GATE, name_based_uuid};
use provisioner::reply::{DONE, FAILED};
use serde_json::{Value, json};

const SOURCE: &str = "/model";
const ID: &str = "1";
const SINK: &str = "http://broker-ingress.knative-eventing.svc.cluster.local/client-system/default";
const ADDRESS: &str = "pod-gateway-foo.gateway-system.svc.cluster.local";
/// Resource versions are unique in a cluster: that of a Pod is its uid times this, and how often it was changed.
const VERSIONS: u32 = 100;

/// The Pod of the event, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pod {
    pub uid: u32,
    /// How often it was changed.
    pub changes: u32,
    pub gated: bool,
    /// Whether the gateway's webhook took it.
    pub routed: bool,
    pub deleting: bool,
}

impl Pod {
    pub fn version(&self) -> u32 {
        self.uid * VERSIONS + self.changes
    }
}

/// By which way a delivery comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Route {
    Subscriber,
    DeadLetter,
}

/// What the code asks of the API server and of the sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Call {
    Create {
        gated: bool,
    },
    Get,
    Release {
        uid: Option<u32>,
    },
    Delete {
        uid: Option<u32>,
        version: Option<u32>,
    },
    /// Whether the API server is ready.
    Readiness,
    Reply(Reply),
}

/// The final answer to the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reply {
    Done { uid: u32 },
    Failed,
}

/// What a call got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Answer {
    Created(Pod),
    Found(Pod),
    Deleted,
    AlreadyExists,
    NotFound,
    Conflict,
    Invalid,
    /// Refused for good: 403.
    Forbidden,
    Accepted,
    /// The API server says that it is ready.
    Ready,
    /// Nothing came back.
    Nothing,
}

/// The next step of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Next {
    Call(Call),
    /// The response is an event.
    Replies(Reply),
    /// 202: the sink has the reply.
    Accepted,
    /// 503 or 429: the broker is to deliver again.
    Retry,
}

/// Where the code stops.
enum Stop {
    /// At a call for which there is no answer yet.
    Call(Request<Vec<u8>>),
    Response(Response<Vec<u8>>),
}

/// A delivery as far as it got: the number of a list of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Run(usize);

/// A list of answers, and where it leads.
struct Known {
    route: Route,
    answers: Vec<Answer>,
    next: Next,
}

/// The provisioner as it is built, in front of recorded conversations.
pub struct Code {
    variables: HashMap<String, String>,
    /// The Pod as the code asks for it.
    manifest: Value,
    known: Vec<Known>,
    numbers: HashMap<(Run, Answer), Run>,
}

impl Code {
    pub fn new(has_sink: bool) -> Self {
        let (variables, manifest) = (variables(has_sink), Value::Null);
        let mut code = Self { variables, manifest, known: Vec::new(), numbers: HashMap::new() };
        let Stop::Call(create) = code.run(Route::Subscriber, &[]) else {
            panic!("the first step is to create the Pod")
        };
        code.manifest = serde_json::from_slice(create.body()).unwrap();
        for route in [Route::Subscriber, Route::DeadLetter] {
            code.learn(route, Vec::new());
        }
        code
    }

    /// A delivery that has just come in.
    pub fn start(route: Route) -> Run {
        Run(route as usize)
    }

    /// The next step of a delivery.
    pub fn next(&self, run: Run) -> Next {
        self.known[run.0].next
    }

    pub fn route(&self, run: Run) -> Route {
        self.known[run.0].route
    }

    /// The delivery that got one answer more.
    pub fn then(&mut self, run: Run, answer: Answer) -> Run {
        if let Some(then) = self.numbers.get(&(run, answer)) {
            return *then;
        }
        let Known { route, answers, .. } = &self.known[run.0];
        let answers = answers.iter().copied().chain([answer]).collect();
        let then = self.learn(*route, answers);
        self.numbers.insert((run, answer), then);
        then
    }

    /// How many conversations were had with the code.
    pub fn conversations(&self) -> usize {
        self.known.len()
    }

    fn learn(&mut self, route: Route, answers: Vec<Answer>) -> Run {
        let next = match self.run(route, &answers) {
            Stop::Call(request) => Next::Call(self.call(&request)),
            Stop::Response(response) => end(&response),
        };
        self.known.push(Known { route, answers, next });
        Run(self.known.len() - 1)
    }

    /// Runs the code on `answers`: its response, or the call for which there is no answer yet.
    fn run(&self, route: Route, answers: &[Answer]) -> Stop {
        let variable = |name: &str| self.variables.get(name).cloned().ok_or_else(|| "unknown".to_owned());
        let token = || Ok("token".to_owned());
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let surroundings = Surroundings { now, variable: &variable, token: &token };
        let answers = answers.iter().map(|answer| self.wire(*answer)).collect();
        let recorded = Recorded { answers: RefCell::new(answers), call: RefCell::new(None) };
        let answered = pin!(endpoint::answer(pending_event(route), &surroundings, &recorded));
        match answered.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answered) => Stop::Response(answered.response),
            Poll::Pending => Stop::Call(recorded.call.take().expect("the code waits for calls only")),
        }
    }

    /// An answer as the API server or the sink writes it.
    fn wire(&self, answer: Answer) -> outbound::Answer {
        let (code, body) = match answer {
            Answer::Created(pod) => (201, self.object(pod)),
            Answer::Found(pod) => (200, self.object(pod)),
            Answer::Deleted => (200, json!({"kind": "Status", "status": "Success"})),
            Answer::AlreadyExists => (409, status("AlreadyExists")),
            Answer::NotFound => (404, status("NotFound")),
            Answer::Conflict => (409, status("Conflict")),
            Answer::Invalid => (422, status("Invalid")),
            Answer::Forbidden => (403, status("Forbidden")),
            Answer::Accepted => (202, json!("")),
            Answer::Ready => (200, json!("ok")),
            Answer::Nothing => return Err(NoAnswer("lost".into())),
        };
        Ok(Response::builder().status(code).body(body.to_string().into_bytes()).unwrap())
    }

    /// A Pod as the API server writes it: what the code asked for, and what was made of it.
    fn object(&self, pod: Pod) -> Value {
        let mut object = self.manifest.clone();
        object["metadata"]["uid"] = json!(pod.uid.to_string());
        object["metadata"]["resourceVersion"] = json!(pod.version().to_string());
        object["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        if pod.deleting {
            object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:30Z");
        }
        if !pod.gated {
            object["spec"]["schedulingGates"] = json!(null);
        }
        if pod.routed {
            let env = json!([{"name": "gateway", "value": ADDRESS}]);
            object["spec"]["initContainers"] = json!([{"name": "gateway-init", "image": "gateway", "env": env}]);
        }
        object
    }

    /// Reads a call; one that the model has no name for is a failure of the model.
    fn call(&self, request: &Request<Vec<u8>>) -> Call {
        if request.uri() == SINK {
            return Call::Reply(reply(request.headers(), request.body()));
        }
        let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let pods = format!("/api/v1/namespaces/{}/pods", self.variables["client_namespace"]);
        let name = self.manifest["metadata"]["name"].as_str().unwrap();
        let (method, path) = (request.method().as_str(), request.uri().path());
        if path == pods && method == "POST" {
            assert_eq!(body["metadata"]["name"], name, "one event, one name");
            return Call::Create { gated: has_gate(&body) };
        }
        if path == "/readyz" {
            return Call::Readiness;
        }
        assert_eq!(path, format!("{pods}/{name}"), "no other object is touched");
        match method {
            "GET" => Call::Get,
            "PATCH" => release(&body),
            "DELETE" => delete(&body["preconditions"]),
            _ => panic!("{method} {path}"),
        }
    }
}

/// The way out: recorded answers, then a call that is caught and never answered.
struct Recorded {
    answers: RefCell<VecDeque<outbound::Answer>>,
    call: RefCell<Option<Request<Vec<u8>>>>,
}

impl Outbound for Recorded {
    async fn send(&self, request: Request<Vec<u8>>) -> outbound::Answer {
        if let Some(answer) = self.answers.borrow_mut().pop_front() {
            return answer;
        }
        *self.call.borrow_mut() = Some(request);
        std::future::pending().await
    }
}

/// The defaults of `spin.toml`, and a sink where there is to be one.
fn variables(has_sink: bool) -> HashMap<String, String> {
    let manifest: toml::Table = toml::from_str(include_str!("../../spin.toml")).unwrap();
    let defaults = manifest["variables"].as_table().unwrap().iter();
    let text = |value: &toml::Value| value["default"].as_str().unwrap().to_owned();
    let mut variables: HashMap<_, _> = defaults.map(|(name, value)| (name.clone(), text(value))).collect();
    if has_sink {
        variables.insert("k_sink".into(), SINK.into());
    }
    variables
}

fn pending_event(route: Route) -> Request<endpoint::Body> {
    let path = match route {
        Route::Subscriber => "/",
        Route::DeadLetter => "/dead-letter",
    };
    Request::post(path)
        .header("ce-specversion", "1.0")
        .header("ce-id", ID)
        .header("ce-source", SOURCE)
        .header("ce-type", PENDING)
        .header("content-type", "application/json")
        .body(Ok(br#"{"gateway_name":"foo"}"#.to_vec()))
        .unwrap()
}

fn status(reason: &str) -> Value {
    json!({"kind": "Status", "status": "Failure", "reason": reason, "message": "as the model says"})
}

fn has_gate(pod: &Value) -> bool {
    pod["spec"]["schedulingGates"].as_array().is_some_and(|gates| gates.contains(&json!({"name": GATE})))
}

fn release(patch: &Value) -> Call {
    assert_eq!(patch["spec"], json!({"schedulingGates": [{"$patch": "delete", "name": GATE}]}));
    Call::Release { uid: number(&patch["metadata"]["uid"]) }
}

fn delete(preconditions: &Value) -> Call {
    Call::Delete { uid: number(&preconditions["uid"]), version: number(&preconditions["resourceVersion"]) }
}

fn number(text: &Value) -> Option<u32> {
    text.as_str().map(|text| text.parse().unwrap())
}

fn reply(headers: &http::HeaderMap, body: &[u8]) -> Reply {
    let ty = headers["ce-type"].to_str().unwrap();
    let id = name_based_uuid(&[SOURCE, ID, ty]).to_string();
    assert_eq!(headers["ce-id"], id, "equal answers are the same event");
    let data: Value = serde_json::from_slice(body).unwrap();
    match ty {
        DONE => Reply::Done { uid: number(&data["pod_uid"]).unwrap() },
        FAILED => Reply::Failed,
        other => panic!("{other}"),
    }
}

fn end(response: &Response<Vec<u8>>) -> Next {
    match response.status().as_u16() {
        200 => Next::Replies(reply(response.headers(), response.body())),
        202 => Next::Accepted,
        429 | 503 => Next::Retry,
        other => panic!("an end that the model does not know: {other}"),
    }
}
