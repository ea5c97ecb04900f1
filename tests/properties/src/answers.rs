//! What every answer looks like: the table of the component's documentation, as assertions.
//!
//! Knative turns a 2xx answer whose body is no event into a 502 and redelivers, and redelivers after every 5xx: so an
//! answer outside the table is an event that comes for ever, or one that is lost.

use std::time::Duration;

use cloudevents::AttributesReader;
use http::{HeaderMap, Method, Request, Response};
use provisioner::endpoint::{self, Answered, Body, Surroundings};
use provisioner::log::LONGEST_LINE;
use provisioner::outbound::Answer;
use provisioner::{binding, reply};
use serde_json::Value;

use crate::setup::{Scripted, now, run, variable};

/// The calls of the longest conversation: template, create, get, release, delete; and then the reply to the sink.
pub const LONGEST_CONVERSATION: usize = 6;

/// What a host takes of headers, in bytes: with more of them the component traps, and the broker redelivers for ever.
const LARGEST_HEADERS: usize = 128 << 10;

/// Delivers a request to a component that is set up with `changes`, whose calls get `answers`, and checks the answer.
///
/// # Panics
/// When the answer, the log line or the conversation is none that the documentation allows.
pub fn check(request: Request<Body>, changes: &[(&str, &str)], token: &str, answers: Vec<Answer>) -> Answered {
    let peer = Scripted::new(answers);
    let (variable, token) = (|name: &str| variable(changes, name), || Ok(token.to_owned()));
    let surroundings = Surroundings { now: now(), variable: &variable, token: &token };
    let is_post = request.method() == Method::POST;
    let answered = run(endpoint::answer(request, &surroundings, &peer));
    check_response(&answered.response, is_post);
    check_log(&answered, peer.calls());
    answered
}

fn check_response(response: &Response<Vec<u8>>, is_post: bool) {
    let (code, headers, body) = (response.status().as_u16(), response.headers(), response.body());
    assert_eq!(headers["content-length"], body.len().to_string());
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    assert!(size < LARGEST_HEADERS, "{size} bytes of headers");
    match code {
        200 if is_post => check_event(headers, body),
        200 | 202 | 429 => assert!(body.is_empty(), "{code} has a body"),
        503 if body.is_empty() => (),
        400 | 404 | 405 | 408 | 413 | 415 | 503 => check_problem(headers, body, code),
        _ => panic!("{code} is in no table"),
    }
}

fn check_event(headers: &HeaderMap, body: &[u8]) {
    let event = binding::read(headers, body).expect("the body of a 200 is an event");
    assert!([reply::DONE, reply::FAILED].contains(&event.ty()), "{} is no reply", event.ty());
    assert_eq!(event.source(), reply::SOURCE);
    let data: Value = serde_json::from_slice(body).expect("a reply's data is JSON");
    assert!(data["message"].is_string() && data["pending_event"]["id"].is_string(), "{data}");
    assert_eq!(event.ty() == reply::FAILED, data["reason"].is_string(), "{data}");
}

fn check_problem(headers: &HeaderMap, body: &[u8], code: u16) {
    assert_eq!(headers["content-type"], "application/problem+json");
    let problem: Value = serde_json::from_slice(body).expect("a problem is JSON");
    assert_eq!(problem["status"], code);
}

fn check_log(answered: &Answered, calls: usize) {
    assert!(calls <= LONGEST_CONVERSATION, "{calls} calls");
    let Some(entry) = &answered.log else {
        return assert_eq!(calls, 0, "calls that nobody hears of");
    };
    assert_eq!(entry.status, answered.response.status().as_u16());
    assert!(entry.api_calls < LONGEST_CONVERSATION as u32, "{} calls to the API", entry.api_calls);
    let line = entry.line(now(), Duration::from_millis(1));
    assert!(line.len() <= LONGEST_LINE && line.ends_with('\n'), "{} bytes", line.len());
    assert!(serde_json::from_str::<Value>(&line).is_ok_and(|line| line.is_object()), "{line}");
}
