//! The provisioner in the model is the provisioner: its next step is found by running the real code.
//!
//! A delivery is the list of the answers that it got so far. [`Code::next`] hands the pending event to
//! [`provisioner::endpoint::answer`], gives it these answers one after the other, and catches the call behind the last
//! of them, or the response. So a crash is a list that is thrown away, and nothing of the provisioner is modelled
//! twice. The code has no clock and no state, which is why equal lists lead to equal steps: every list is run once and
//! has a number from then on ([`Run`]).

use std::collections::HashMap;

use http::{Request, Response};
use provisioner::context::name_based_uuid;
use provisioner::event::PENDING;
use provisioner::outbound;
use provisioner::pod::GATE;
use provisioner::reply::{DONE, FAILED};
use provisioner::testing::{self, deleting, released, routed, stored};
use serde_json::{Value, json};

use crate::run::{Stop, run};

const SOURCE: &str = "/test";
const ID: &str = "1";
pub const SINK: &str = "http://broker-ingress.knative-eventing.svc.cluster.local/client-system/default";
const NAMESPACE: &str = "default";
/// Resource versions are unique in a cluster: that of a Pod is its uid times this, and how often it was changed.
const VERSIONS: u32 = 100;
/// How many seconds a Pod has to end, where nobody says otherwise.
pub const GRACE: u64 = 30;

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
        /// With the grace period 0, whatever the Pod says itself.
        at_once: bool,
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
    /// It is on its way out, and has so many seconds left.
    Ending(Pod, u64),
    /// With a `Status` of this code and reason.
    Refused(u16, &'static str),
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
    variables: Vec<(&'static str, &'static str)>,
    /// The Pod as the code asks for it.
    manifest: Value,
    known: Vec<Known>,
    numbers: HashMap<(Run, Answer), Run>,
}

impl Code {
    pub fn new(has_sink: bool) -> Self {
        let variables = has_sink.then_some(("k_sink", SINK)).into_iter().collect();
        let mut code = Self { variables, manifest: Value::Null, known: Vec::new(), numbers: HashMap::new() };
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
        let path = if route == Route::Subscriber { "/" } else { "/dead-letter" };
        let request = testing::event(path, PENDING, r#"{"gateway_name":"foo"}"#);
        run(request, &self.variables, answers.iter().map(|answer| self.wire(*answer)).collect())
    }

    /// An answer as the API server or the sink writes it.
    fn wire(&self, answer: Answer) -> outbound::Answer {
        match answer {
            Answer::Created(pod) => testing::object(201, &self.object(pod)),
            Answer::Found(pod) => testing::object(200, &self.object(pod)),
            Answer::Ending(pod, grace) => testing::object(200, &self.ending(pod, grace)),
            Answer::Refused(code, reason) => testing::status(code, reason, "as the model says"),
            Answer::Accepted => testing::answer(202, ""),
            Answer::Ready => testing::answer(200, "ok"),
            Answer::Nothing => testing::cut(),
        }
    }

    /// A Pod as the API server writes it: what the code asked for, and what was made of it.
    fn object(&self, pod: Pod) -> Value {
        let made = if pod.routed { routed } else { stored };
        let mut object = made(self.manifest.clone());
        object["metadata"]["uid"] = json!(pod.uid.to_string());
        object["metadata"]["resourceVersion"] = json!(pod.version().to_string());
        if !pod.gated {
            object = released(object);
        }
        if pod.deleting { deleting(object) } else { object }
    }

    /// A Pod that has so many seconds left.
    fn ending(&self, pod: Pod, grace: u64) -> Value {
        let mut object = self.object(Pod { deleting: true, ..pod });
        object["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
        object
    }

    /// Reads a call; one that the model has no name for is a failure of the model.
    fn call(&self, request: &Request<Vec<u8>>) -> Call {
        if request.uri() == SINK {
            return Call::Reply(reply(request.headers(), request.body()));
        }
        let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let pods = format!("/api/v1/namespaces/{NAMESPACE}/pods");
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
            "DELETE" => delete(&body),
            _ => panic!("{method} {path}"),
        }
    }
}

fn has_gate(pod: &Value) -> bool {
    pod["spec"]["schedulingGates"].as_array().is_some_and(|gates| gates.contains(&json!({"name": GATE})))
}

fn release(patch: &Value) -> Call {
    assert_eq!(patch["spec"], json!({"schedulingGates": [{"$patch": "delete", "name": GATE}]}));
    Call::Release { uid: number(&patch["metadata"]["uid"]) }
}

fn delete(options: &Value) -> Call {
    let preconditions = &options["preconditions"];
    let at_once = match &options["gracePeriodSeconds"] {
        Value::Null => false,
        grace => *grace == 0,
    };
    Call::Delete { uid: number(&preconditions["uid"]), version: number(&preconditions["resourceVersion"]), at_once }
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
