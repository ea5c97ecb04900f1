//! The provisioner in the model is the provisioner: its next step is found by running the real code.
//!
//! A delivery is the list of the answers that it got so far ([`Run`]). [`Code::next`] hands its event to
//! [`provisioner::endpoint::answer`], gives it these answers one after the other, and takes the call behind the last of
//! them, or the response. So a crash is a list that is thrown away, and nothing of the provisioner is modelled twice. The
//! code has no clock and no state, which is why equal lists lead to equal steps, and every list is run once.

use std::collections::HashMap;
use std::hash::Hash;
use std::rc::Rc;

use http::{HeaderMap, Request, Response};
use provisioner::context::name_based_uuid;
use provisioner::outbound;
use provisioner::pod::{GATE, REPORTED};
use provisioner::reply::{DONE, ENDED, FAILED, RUNNING};
use provisioner::testing::{self, deleting, wanted};
use serde_json::{Value, json};

const SOURCE: &str = "/test";
const ID: &str = "1";
const SINK: &str = "http://broker-ingress.knative-eventing.svc.cluster.local/client-system/default";

/// What comes to the provisioner.
pub trait Event: Copy + Eq + Hash {
    fn request(self) -> Request<Vec<u8>>;
}

/// The Pod of the event, as far as it matters in a world.
pub trait Pod: Copy + Eq + Hash {
    /// The Pod as the API server writes it.
    fn object(self) -> Value;
}

/// What the code asks of the API server and of the sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Call {
    Create {
        gated: bool,
    },
    Get,
    List,
    Release {
        uid: Option<u32>,
    },
    /// Notes on the Pod that this was told of it.
    Note(&'static str),
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

/// What is told of a client: the final answer to its event, and a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reply {
    Done { uid: u32 },
    Failed,
    Running,
    Ended { reason: &'static str },
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Answered,
    AnswerLost,
    Lost,
    Delayed,
    Refused,
}

/// What a call got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Answer<P> {
    Created(P),
    Found(P),
    Listed(Option<P>),
    /// It is on its way out, and has so many seconds left.
    Ending(P, u64),
    /// With a `Status` of this code and reason.
    Refused(u16, &'static str),
    /// The API server is ready, or the sink has the event.
    Taken,
    /// Nothing came back.
    Nothing,
}

/// The next step of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Next {
    Call(Call),
    /// The response is an event.
    Replies(Reply),
    /// 202: there is nothing more to tell.
    Accepted,
    /// 503 or 429: the broker is to deliver again.
    Retry,
}

/// A delivery as far as it got.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Run<E, P> {
    pub event: E,
    answers: Rc<[Answer<P>]>,
}

/// The provisioner as it is built, in front of recorded conversations.
pub struct Code<E, P> {
    pub has_sink: bool,
    known: HashMap<Run<E, P>, Next>,
}

impl<E, P: Copy> Run<E, P> {
    /// A delivery that has just come in.
    pub fn start(event: E) -> Self {
        Self { event, answers: Rc::new([]) }
    }

    /// The delivery that got one answer more.
    pub fn then(self, answer: Answer<P>) -> Self {
        Self { answers: self.answers.iter().copied().chain([answer]).collect(), ..self }
    }
}

impl<P: Pod> Answer<P> {
    /// As the API server or the sink writes it.
    fn wire(&self) -> outbound::Answer {
        match *self {
            Self::Created(pod) => testing::object(201, &pod.object()),
            Self::Found(pod) => testing::object(200, &pod.object()),
            Self::Listed(pod) => {
                let items: Vec<_> = pod.map(P::object).into_iter().collect();
                testing::object(200, &json!({"metadata": {}, "items": items}))
            }
            Self::Ending(pod, grace) => {
                let mut object = deleting(pod.object());
                object["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
                testing::object(200, &object)
            }
            Self::Refused(code, reason) => testing::status(code, reason, "as the model says"),
            Self::Taken => testing::answer(200, "ok"),
            Self::Nothing => testing::cut(),
        }
    }
}

impl<E: Event, P: Pod> Code<E, P> {
    pub fn new(has_sink: bool) -> Self {
        Self { has_sink, known: HashMap::new() }
    }

    /// The next step of a delivery.
    pub fn next(&mut self, run: &Run<E, P>) -> Next {
        if let Some(next) = self.known.get(run) {
            return *next;
        }
        let sink = [("k_sink", SINK)];
        let variables = if self.has_sink { &sink[..] } else { &[] };
        let answers = run.answers.iter().map(Answer::wire);
        let (answered, calls) = testing::deliver(run.event.request().map(Ok), variables, "token", answers);
        let next = calls.get(run.answers.len()).map_or_else(|| end(&answered.response), |next| Next::Call(call(next)));
        self.known.insert(run.clone(), next);
        next
    }
}

/// Reads a call; one that the model has no name for is a failure of the model.
fn call(request: &Request<Vec<u8>>) -> Call {
    if request.uri() == SINK {
        return Call::Reply(reply(request.headers(), request.body()));
    }
    let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
    let name = &wanted(&[])["metadata"]["name"];
    match (request.method().as_str(), request.uri().path()) {
        ("GET", "/readyz") => Call::Readiness,
        ("GET", "/api/v1/namespaces/default/pods") => Call::List,
        ("POST", "/api/v1/namespaces/default/pods") => {
            assert_eq!(body["metadata"]["name"], *name, "one event, one name");
            let gates = body["spec"]["schedulingGates"].as_array();
            Call::Create { gated: gates.is_some_and(|gates| gates.contains(&json!({"name": GATE}))) }
        }
        (method, path) => {
            let is_meant = path.strip_prefix("/api/v1/namespaces/default/pods/") == name.as_str();
            assert!(is_meant, "no other object is touched than {name}: {path}");
            of_pod(method, &body)
        }
    }
}

fn of_pod(method: &str, body: &Value) -> Call {
    let told = &body["metadata"]["annotations"][REPORTED];
    match method {
        "GET" => Call::Get,
        "PATCH" if told.is_null() => {
            assert_eq!(body["spec"], json!({"schedulingGates": [{"$patch": "delete", "name": GATE}]}));
            Call::Release { uid: number(&body["metadata"]["uid"]) }
        }
        "PATCH" => {
            assert_eq!(body["metadata"]["uid"], "1", "it is noted on the Pod that it is told of");
            Call::Note(if told == "ended" { "ended" } else { "running" })
        }
        "DELETE" => {
            let [uid, version] = ["uid", "resourceVersion"].map(|of| number(&body["preconditions"][of]));
            Call::Delete { uid, version, at_once: body["gracePeriodSeconds"] == 0 }
        }
        _ => panic!("{method} {body}"),
    }
}

fn number(text: &Value) -> Option<u32> {
    text.as_str().map(|text| text.parse().unwrap())
}

fn reply(headers: &HeaderMap, body: &[u8]) -> Reply {
    let ty = headers["ce-type"].to_str().unwrap();
    let data: Value = serde_json::from_slice(body).unwrap();
    let (reply, of) = match ty {
        DONE => (Reply::Done { uid: number(&data["pod_uid"]).unwrap() }, &[SOURCE, ID][..]),
        FAILED => (Reply::Failed, &[SOURCE, ID][..]),
        RUNNING => (Reply::Running, &["1"][..]),
        ENDED => {
            let reason = ["Completed", "Deleted"].into_iter().find(|reason| data["reason"] == *reason);
            (Reply::Ended { reason: reason.unwrap_or_else(|| panic!("{data}")) }, &["1"][..])
        }
        other => panic!("{other}"),
    };
    assert_eq!(headers["ce-id"], name_based_uuid(&[of, &[ty]].concat()).to_string(), "equal answers are one event");
    reply
}

fn end(response: &Response<Vec<u8>>) -> Next {
    match response.status().as_u16() {
        200 => Next::Replies(reply(response.headers(), response.body())),
        202 => Next::Accepted,
        429 | 503 => Next::Retry,
        other => panic!("an end that the model does not know: {other}"),
    }
}
