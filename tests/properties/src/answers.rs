//! What every answer looks like: the table of the component's documentation, as assertions.
//!
//! Knative turns a 2xx answer whose body is no event into a 502 and redelivers, and redelivers after every 5xx: so an
//! answer outside the table is an event that comes for ever, or one that is lost.

use std::time::Duration;

use cloudevents::Event;
use http::{HeaderMap, Request, Response};
use provisioner::cloudevents::{Data, Mode, Received, read};
use provisioner::context::{Context, name_based_uuid};
use provisioner::endpoint::Answered;
use provisioner::event::{PENDING, PING, TERMINATION};
use provisioner::log::LONGEST_LINE;
use provisioner::outbound::Answer;
use provisioner::pod::text as text_of;
use provisioner::reason::Reason;
use provisioner::reply;
use provisioner::testing::{context, deliver, now};
use serde_json::{Value, json};

use crate::wire::{check_repeated, structured};

/// The token of every delivery, with what only a token has.
pub const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.s3cret-service-account-token.c2lnbmF0dXJl";

/// So much of the token's beginning tells it from any other word.
const TELLING: &str = TOKEN.split_at(40).0;

/// The sink of a test that has one.
pub const SINK: &str = "http://sink/default";

/// The calls of the longest conversation about one client: template, create, get, release, delete; and then the reply to the sink.
pub const LONGEST_CONVERSATION: usize = 6;

/// What a host takes of headers, in bytes: with more of them the component traps, and the broker redelivers for ever.
const LARGEST_HEADERS: usize = 128 << 10;

/// Posts a request to a component that is set up with `changes`, whose calls get `answers`, and checks the answer.
///
/// # Panics
/// When the answer, the log line or the conversation is none that the documentation allows.
pub fn check(request: Request<Vec<u8>>, changes: &[(&str, &str)], answers: Vec<Answer>) {
    let asked = read(request.headers(), request.body());
    if let Ok(event) = &asked {
        check_repeated(event);
    }
    let knows_token = holds_token(&format!("{:?} {}", request.headers(), text(request.body())));
    let has_final_word = answers.iter().any(is_refusal_of_the_api_server);

    let (answered, requests) = deliver(request.clone().map(Ok), changes, TOKEN, answers);

    let response = &answered.response;
    check_response(response);
    let (told, calls): (Vec<_>, Vec<_>) = requests.iter().partition(|request| request.uri().host() == Some("sink"));
    let told: Vec<_> = told.into_iter().map(|request| (request.headers(), request.body())).collect();
    let answer = (response.headers(), response.body());
    for (headers, body) in told.iter().copied().chain((response.status() == 200).then_some(answer)) {
        check_event(headers, body, asked.as_ref().expect("only an event is answered with one"));
    }
    let is_sweep = asked.as_ref().is_ok_and(|event| event.ty == PING);
    assert!(is_sweep || requests.len() <= LONGEST_CONVERSATION, "{requests:?}");
    let line = check_log(&answered, &requests, calls.len());
    for (headers, body) in told.into_iter().chain([answer]) {
        let written = format!("{headers:?} {} {line}", text(body));
        assert!(knows_token || !holds_token(&written), "{written}");
    }
    let reason = answered.log.as_ref().and_then(|entry| entry.reason);
    assert!(has_final_word || !reason.is_some_and(is_of_the_api_server), "{reason:?} without the API server's word");
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Whether a text holds the token, or as much of it as an end that was cut off leaves.
fn holds_token(text: &str) -> bool {
    text.contains(TELLING)
}

/// Whether the API server, and nothing in between, refuses for good: with a 4xx that has a `Status`.
fn is_refusal_of_the_api_server(answer: &Answer) -> bool {
    answer.as_ref().is_ok_and(|response| {
        let status: Value = serde_json::from_slice(response.body()).unwrap_or_default();
        response.status().is_client_error() && status["kind"] == "Status"
    })
}

/// Whether an event fails for this reason only because the API server says so.
fn is_of_the_api_server(reason: Reason) -> bool {
    matches!(reason, Reason::PodRejected | Reason::QuotaExceeded | Reason::Forbidden | Reason::NamespaceNotFound)
}

fn check_response(response: &Response<Vec<u8>>) {
    let (code, headers, body) = (response.status().as_u16(), response.headers(), response.body());
    assert_eq!(headers["content-length"], body.len().to_string());
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    assert!(size < LARGEST_HEADERS, "{size} bytes of headers");
    match code {
        200 => (),
        202 | 429 => assert!(body.is_empty(), "{code} has a body"),
        503 if body.is_empty() => (),
        400 | 415 | 503 => check_problem(headers, body, code),
        _ => panic!("{code} is in no table"),
    }
}

/// An answer says which event it answers, in that event's mode or in one that can say it exactly.
fn check_event(headers: &HeaderMap, body: &[u8], asked: &Received) {
    let event = read(headers, body).expect("it is an event");
    assert!(reply::ALL.contains(&event.ty.as_str()), "{} is nothing that is told", event.ty);
    let Context { source, id, correlation_id, .. } = &asked.context;
    assert_eq!(event.context.source, reply::SOURCE);
    assert!(event.mode == asked.mode || event.mode == Mode::Structured);
    let Data::Json(data) = &event.data else { panic!("{:?} is no data of a reply", event.data) };
    let data: Value = serde_json::from_slice(data).expect("a reply's data is JSON");
    assert!(data["message"].is_string(), "{data}");
    let has_reason = [reply::FAILED, reply::NOT_TERMINATED, reply::ENDED].contains(&event.ty.as_str());
    assert_eq!(has_reason, data["reason"].is_string(), "{data}");
    if ![PENDING, TERMINATION].contains(&asked.ty.as_str()) {
        return check_told(&event, &data);
    }
    assert_eq!(event.context.id, asked.context.answer_id(&event.ty));
    let correlation_id = correlation_id.as_ref().unwrap_or(id);
    // Whoever knows the token may write it into an event, and it is taken out of the answer.
    if [source, id, correlation_id].iter().all(|text| !text.contains(&TOKEN[..40])) {
        if asked.ty == PENDING {
            assert_eq!(data["pending_event"], json!({"source": source, "id": id}));
        }
        assert_eq!(event.context.correlation_id.as_ref(), Some(correlation_id));
        let theirs = structured(headers, body).and_then(|event| serde_json::from_value::<Event>(event).ok());
        let theirs = theirs.expect("the SDK reads it as well");
        assert_eq!(theirs.extension("causationid").map(ToString::to_string).as_ref(), Some(id));
    }
}

/// What is told unasked is told of a Pod's event, under an id that is a function of the Pod or of that event, unless a text
/// of theirs is the token.
fn check_told(event: &Received, data: &Value) {
    let [source, id] = ["source", "id"].map(|name| text_of(&data["pending_event"][name]));
    let pod_uid = text_of(&data["pod_uid"]);
    let expected = match event.ty.as_str() {
        reply::RUNNING | reply::ENDED => name_based_uuid(&[pod_uid, &event.ty]).to_string(),
        _ => context(source, id).answer_id(&event.ty),
    };
    let is_redacted = [source, id, pod_uid].iter().any(|text| text.contains("[redacted]"));
    assert!(is_redacted || event.context.id == expected, "{data}");
}

fn check_problem(headers: &HeaderMap, body: &[u8], code: u16) {
    assert_eq!(headers["content-type"], "application/problem+json");
    let problem: Value = serde_json::from_slice(body).expect("a problem is JSON");
    assert_eq!(problem["status"], code);
}

/// The line for the log, empty where there is none.
fn check_log(answered: &Answered, requests: &[Request<Vec<u8>>], calls: usize) -> String {
    let Some(entry) = &answered.log else {
        assert!(requests.is_empty(), "calls that nobody hears of: {requests:?}");
        return String::new();
    };
    assert_eq!(entry.status, answered.response.status().as_u16());
    assert_eq!(entry.api_calls as usize, calls);
    let line = entry.line(now(), Duration::from_millis(1));
    assert!(line.len() <= LONGEST_LINE && line.ends_with('\n'), "{} bytes", line.len());
    assert!(serde_json::from_str::<Value>(&line).is_ok_and(|line| line.is_object()), "{line}");
    line
}
