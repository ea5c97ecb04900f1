//! A peer whose answers are scripted.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use serde_json::{Value, json};

use super::{now, variable};
use crate::endpoint::{self, Answered, Body, Surroundings};
use crate::outbound::{Answer, Bounds, NoAnswer, Outbound};

/// An answer with this body.
///
/// # Panics
/// If the code is invalid.
pub fn answer(code: u16, body: impl Into<Vec<u8>>) -> Answer {
    Ok(Response::builder().status(code).body(body.into()).expect("it is a status code"))
}

/// An answer with an object.
pub fn object(code: u16, object: &Value) -> Answer {
    answer(code, object.to_string())
}

/// A refusal as an API server makes it.
pub fn status(code: u16, reason: &str, message: &str) -> Answer {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    object(code, &status)
}

/// The look at the Pod of the event (`/test`, `1`).
pub const GET: &str = "GET /pods/6ae65cff-3704-5f31-ae9d-cd15c7833b0c";

/// A call that is refused.
pub fn refused(call: &'static str, code: u16, reason: &str) -> (&'static str, Answer) {
    (call, status(code, reason, "as the server says"))
}

/// A look at that Pod that finds none.
pub fn absent() -> (&'static str, Answer) {
    refused(GET, 404, "NotFound")
}

/// A look at that Pod that finds this one.
pub fn found(pod: &Value) -> (&'static str, Answer) {
    (GET, object(200, pod))
}

/// No answer: the connection was cut.
pub fn cut() -> Answer {
    Err(NoAnswer::CutOff)
}

/// A conversation: the expected calls in order, with their answers. A missing or an extra call is a failure.
pub struct Script(RefCell<VecDeque<(&'static str, Answer)>>, RefCell<Vec<Request<Vec<u8>>>>);

impl Script {
    /// The calls, each with its answer. A call is its method, and the end of its URI where that matters: `GET /readyz`.
    pub fn new(calls: Vec<(&'static str, Answer)>) -> Self {
        Self(RefCell::new(calls.into()), RefCell::default())
    }

    /// Every request that was sent, in their order.
    pub fn sent(&self) -> Vec<Request<Vec<u8>>> {
        self.1.borrow().clone()
    }
}

impl Outbound for Script {
    async fn send(&self, request: Request<Vec<u8>>, _: Bounds) -> Answer {
        let (call, answer) = self.0.borrow_mut().pop_front().expect("a call that is not in the script");
        let (method, end) = call.split_once(' ').unwrap_or((call, ""));
        assert_eq!(request.method(), method, "for {}", request.uri());
        assert!(request.uri().to_string().ends_with(end), "{} and not {end}", request.uri());
        self.1.borrow_mut().push(request);
        answer
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.0.borrow().is_empty(), "calls that were not made: {:?}", self.0.borrow());
        }
    }
}

/// A peer that gives these answers to whatever comes, in their order, and none after the last.
struct Prepared(RefCell<VecDeque<Answer>>, RefCell<Vec<Request<Vec<u8>>>>);

impl Outbound for Prepared {
    async fn send(&self, request: Request<Vec<u8>>, _: Bounds) -> Answer {
        self.1.borrow_mut().push(request);
        self.0.borrow_mut().pop_front().unwrap_or_else(cut)
    }
}

/// Delivers a request to the endpoint, with `changes` of its variables: what becomes of it, and its calls, which get
/// these answers in their order, and none after the last.
pub fn deliver(
    request: Request<Body>,
    changes: &[(&str, &str)],
    token: &str,
    answers: impl IntoIterator<Item = Answer>,
) -> (Answered, Vec<Request<Vec<u8>>>) {
    let (variable, token) = (|name: &str| variable(changes, name), || Ok(token.to_owned()));
    let surroundings = Surroundings { now: now(), variable: &variable, token: &token, sink_token: &|| Ok(None) };
    let peer = Prepared(RefCell::new(answers.into_iter().collect()), RefCell::default());
    let answered = run(endpoint::answer(request, &surroundings, &peer));
    (answered, peer.1.into_inner())
}

/// Runs a future that never waits, because its peer is scripted.
///
/// # Panics
/// If it waits.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing here waits"),
    }
}
