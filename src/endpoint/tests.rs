mod senders;

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::event::PENDING;
use crate::log::Kind;
use crate::outbound::Answer;
use crate::reply;
use crate::testing::{
    Script, answer as api_answer, client_ended, client_running, cut, deleting, merged, now, object, pod_template,
    released, routed, run, status, stored, variable, wanted,
};

const SINK: [(&str, &str); 2] = [("k_sink", "http://sink/default"), ("sink_origin", "http://sink")];
const STRUCTURED: &str = "application/cloudevents+json";

/// As long as a real token, so that every quotation cuts it.
fn token() -> String {
    format!("eyJhbGciOiJSUzI1NiJ9.{}.c2lnbmF0dXJl", "eyJpc3MiOiJrOHMifQ".repeat(60))
}

/// The beginning of every part of the token that is long enough to count.
const TOKENS_BEGINNING: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrOHMifQe";

/// A request and its surroundings: a test changes what it is about.
struct Case {
    method: Method,
    path: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Body,
    variables: Vec<(&'static str, &'static str)>,
    token: Result<String, String>,
    sink_token: Result<Option<String>, String>,
    script: Vec<(&'static str, Answer)>,
}

/// The result: the response and the sent requests.
struct Ended {
    answered: Answered,
    requests: Vec<Request<Vec<u8>>>,
}

impl Case {
    fn new(method: Method, path: &'static str) -> Self {
        let (token, script) = (Ok(token()), Vec::new());
        let (headers, variables, sink_token) = (Vec::new(), Vec::new(), Ok(None));
        Self { method, path, headers, body: Ok(Vec::new()), variables, token, sink_token, script }
    }

    fn event(ty: &str, data: &str) -> Self {
        let mut case = Self::new(Method::POST, "/");
        case.headers = vec![
            ("ce-specversion", "1.0".into()),
            ("ce-id", "1".into()),
            ("ce-source", "/test".into()),
            ("ce-type", ty.into()),
            ("content-type", "application/json".into()),
        ];
        case.body = Ok(data.as_bytes().to_vec());
        case
    }

    fn pending() -> Self {
        Self::event(PENDING, r#"{"gateway_name":"foo"}"#)
    }

    /// The same in structured mode.
    fn structured(id: &str) -> Self {
        let event = json!({
            "specversion": "1.0", "id": id, "source": "/test", "type": PENDING, "data": {"gateway_name": "foo"},
        });
        Self::new(Method::POST, "/").with("content-type", STRUCTURED).with_body(event.to_string())
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(kept, _)| *kept != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    fn with_body(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: Ok(body.into()), ..self }
    }

    fn configured(self, variables: &[(&'static str, &'static str)]) -> Self {
        Self { variables: variables.to_vec(), ..self }
    }

    fn scripted(self, script: Vec<(&'static str, Answer)>) -> Self {
        Self { script, ..self }
    }

    fn without_token(self) -> Self {
        Self { token: Err("the token file can't be read".into()), ..self }
    }

    fn end(self) -> Ended {
        let mut request = Request::builder().method(self.method).uri(self.path);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let (variable, token) = (|name: &str| variable(&self.variables, name), || self.token.clone());
        let sink_token = || self.sink_token.clone();
        let surroundings = Surroundings { now: now(), variable: &variable, token: &token, sink_token: &sink_token };
        let outbound = Script::new(self.script);
        let answered = run(answer(request.body(self.body).unwrap(), &surroundings, &outbound));
        Ended { answered, requests: outbound.sent() }
    }
}

impl Ended {
    fn body(&self) -> &str {
        std::str::from_utf8(self.answered.response.body()).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.answered.response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn log(&self) -> &Entry {
        self.answered.log.as_ref().expect("there is a line in the log")
    }

    /// Everything that leaves: the response, the log line, and the sent requests without `authorization`.
    fn everything(&self) -> String {
        let line = self.answered.log.as_ref().map(|entry| entry.line(now(), Duration::ZERO));
        let sent = self.requests.iter().cloned().map(|mut request| {
            request.headers_mut().remove("authorization");
            format!("{request:?} {}", String::from_utf8_lossy(request.body()))
        });
        let response = format!("{:?} {}", self.answered.response, self.body());
        [response, line.unwrap_or_default()].into_iter().chain(sent).collect::<Vec<_>>().join("\n")
    }
}

#[track_caller]
fn check(case: Case, status: u16, outcome: Option<Kind>) -> Ended {
    let ended = case.end();
    assert_eq!(ended.answered.response.status().as_u16(), status, "{}", ended.body());
    let logged = ended.answered.log.as_ref().map(|entry| (entry.outcome, entry.status));
    assert_eq!(logged, outcome.map(|outcome| (outcome, status)));
    // Knative turns a 202 with a body into a 502.
    let has_body = !matches!(status, 202 | 429) && !ended.header("content-type").is_empty();
    assert_eq!(!ended.body().is_empty(), has_body, "{}", ended.body());
    ended
}

/// A problem says the same in its body and in the log.
#[track_caller]
fn check_problem(case: Case, status: u16, outcome: Kind, detail: &str) -> Ended {
    let ended = check(case, status, Some(outcome));
    assert_eq!(ended.header("content-type"), "application/problem+json");
    let problem: Value = serde_json::from_str(ended.body()).unwrap();
    assert_eq!((&problem["detail"], &problem["status"]), (&json!(detail), &json!(status)));
    assert_eq!(ended.log().message.as_deref(), Some(detail));
    ended
}

/// The answer as its consumer reads it, in binary or structured mode.
#[track_caller]
fn event_of(headers: &HeaderMap, body: &[u8]) -> Value {
    let value: Value = serde_json::from_slice(body).unwrap();
    if headers["content-type"] == STRUCTURED {
        return value;
    }
    assert_eq!(headers["content-type"], "application/json");
    let mut event = json!({ "data": value });
    for (name, value) in headers {
        if let Some(name) = name.as_str().strip_prefix("ce-") {
            event[name] = json!(value.to_str().unwrap());
        }
    }
    event
}

#[track_caller]
fn check_event(ended: &Ended, ty: &str) -> Value {
    let event = event_of(ended.answered.response.headers(), ended.answered.response.body());
    assert_eq!(event["type"], ty);
    event
}

// Other requests.

#[test]
fn probes_touch_nothing_and_say_what_is_missing() {
    for method in [Method::GET, Method::HEAD] {
        check(Case::new(method.clone(), "/healthz").without_token().configured(&[("client_image", "")]), 200, None);
        check(Case::new(method, "/readyz?verbose"), 200, None);
    }
    let readyz = || Case::new(Method::GET, "/readyz");
    let unready = |case, detail| check_problem(case, 503, Kind::Rejected, detail);
    unready(readyz().without_token(), "the token file can't be read");
    unready(Case { token: Ok("\n".into()), ..readyz() }, "the token file is empty: mount the service account's token");
    let problem =
        "the variable client_namespace is \"Not One\", which is not a namespace: use up to 63 of a-z, 0-9 and -";
    unready(readyz().configured(&[("client_namespace", "Not One")]), problem);
}

#[test]
fn the_webhook_handshake_allows_whoever_asks() {
    for path in ["/", "/dead-letter"] {
        let asked = check(Case::new(Method::OPTIONS, path).with("webhook-request-origin", "events.example"), 200, None);
        let names = ["allow", "webhook-allowed-origin", "webhook-allowed-rate"];
        assert_eq!(names.map(|name| asked.header(name)), ["POST, OPTIONS", "events.example", "*"]);
        let unasked = check(Case::new(Method::OPTIONS, path), 200, None);
        assert_eq!(names.map(|name| unasked.header(name)), ["POST, OPTIONS", "", ""]);
    }
}

#[test]
fn other_paths_and_methods_are_told_what_there_is() {
    check_problem(Case::new(Method::POST, "/nope"), 404, Kind::Rejected, "there is no /nope: POST events to /");
    for (path, allowed) in
        [("/", "POST, OPTIONS"), ("/dead-letter", "POST, OPTIONS"), ("/healthz", "GET, HEAD"), ("/readyz", "GET, HEAD")]
    {
        let detail = format!("this method is not allowed here: use {allowed}");
        let ended = check_problem(Case::new(Method::TRACE, path), 405, Kind::Rejected, &detail);
        assert_eq!(ended.header("allow"), allowed);
    }
}

#[test]
fn what_is_no_event_is_a_problem_that_says_what_to_mend() {
    let rejected = |case, status, detail| {
        check_problem(case, status, Kind::Rejected, detail);
    };
    let detail = "not a CloudEvent: there is no ce- header, and the content type is not application/cloudevents+json";
    rejected(Case::new(Method::POST, "/"), 400, detail);
    rejected(Case::pending().with("ce-id", ""), 400, "the attribute id is empty");
    let detail = "application/cloudevents-batch+json is not supported: send one event, as application/cloudevents+json \
                  or in binary mode";
    rejected(Case::pending().with("content-type", "application/cloudevents-batch+json"), 415, detail);
    let detail = "the content encoding \"gzip\" is not supported: send the body as it is";
    rejected(Case::pending().with("content-encoding", "gzip"), 415, detail);
    let structured = || Case::new(Method::POST, "/dead-letter").with("content-type", STRUCTURED);
    rejected(structured().with_body("\u{1f}\u{8b}"), 400, "the body is not JSON: expected value at line 1 column 1");
    rejected(structured().with_body(*b"\x1f\x8b"), 400, "the body is compressed with gzip: send it as it is");
    let unread = |error| Case { body: Err(error), ..Case::pending() };
    rejected(unread(BodyError::TooLarge), 413, "an event may have up to 1 MiB");
    rejected(unread(BodyError::Incomplete), 408, "the body did not arrive whole: send again");
}

#[test]
fn an_event_of_another_type_is_acknowledged_whatever_is_missing() {
    for ty in ["other", reply::DONE, reply::FAILED, "IO.podgateway.client.pending"] {
        for path in ["/", "/dead-letter"] {
            let case = Case { path, ..Case::event(ty, "") };
            let ended = check(case.without_token().configured(&[("client_image", "")]), 202, Some(Kind::Ignored));
            assert_eq!((ended.log().event_type.as_deref(), ended.log().dead_letter), (Some(ty), path != "/"));
        }
    }
}

// Deliveries without an answer, which the broker repeats.

#[test]
fn what_is_missing_here_is_no_reason_to_lose_an_event() {
    let ended = check(Case::pending().without_token(), 503, Some(Kind::Retry));
    assert_eq!(ended.log().message.as_deref(), Some("the token file can't be read"));
    assert_eq!(ended.log().pod.as_deref(), Some("6ae65cff-3704-5f31-ae9d-cd15c7833b0c"));
    let problem = "the variable kube_api_timeout is \"soon\": use a time above 0s and up to 10m, such as 15s or 1m30s";
    check_problem(Case::pending().configured(&[("kube_api_timeout", "soon")]), 503, Kind::Retry, problem);
}

#[test]
fn what_may_heal_is_left_to_the_broker_with_the_wait_that_was_asked_for() {
    let busy = json!({"kind": "Status", "details": {"retryAfterSeconds": 3}});
    let rows = [(object(429, &busy), 429, "3"), (object(503, &busy), 503, "3"), (api_answer(404, "<html>"), 503, "")];
    for (refusal, status, wait) in rows {
        let ended = check(Case::pending().scripted(vec![("POST", refusal)]), status, Some(Kind::Retry));
        assert_eq!(ended.header("retry-after"), wait);
    }
    assert_eq!(
        check(Case::pending().scripted(vec![("POST", cut())]), 503, Some(Kind::Retry)).header("retry-after"),
        ""
    );
}

// Deliveries with an answer.

fn released_by() -> Vec<(&'static str, Answer)> {
    vec![("POST", object(201, &routed(wanted(&[])))), ("PATCH", object(200, &released(routed(wanted(&[])))))]
}

#[test]
fn a_client_is_answered_in_the_mode_of_its_event() {
    let binary = check(Case::pending().scripted(released_by()), 200, Some(Kind::Done));
    let structured = check(Case::structured("1").scripted(released_by()), 200, Some(Kind::Done));
    assert_eq!((binary.header("content-type"), structured.header("content-type")), ("application/json", STRUCTURED));
    let [binary, mut structured] = [&binary, &structured].map(|ended| check_event(ended, reply::DONE));
    structured.as_object_mut().unwrap().remove("datacontenttype");
    assert_eq!(binary, structured, "it is the same event");
    assert_eq!(binary["data"]["pod_name"], "6ae65cff-3704-5f31-ae9d-cd15c7833b0c");
}

/// The Go SDK decodes nothing, so a consumer there would read another id.
#[test]
fn an_answer_that_binary_mode_cannot_say_exactly_is_structured() {
    for (name, value) in [
        ("ce-id", "\"a b\""),
        ("ce-id", "100%25"),
        ("ce-id", "%C3%BC"),
        ("ce-correlationid", "a%20b"),
        ("ce-traceparent", "a%22b"),
        ("ce-tracestate", "k=v, k=w"),
    ] {
        let ended = check(Case::pending().with(name, value).with_body("{}"), 200, Some(Kind::Failed));
        assert_eq!(ended.header("content-type"), STRUCTURED, "{name}: {value}");
        check_event(&ended, reply::FAILED);
    }
}

#[test]
fn an_event_is_answered_however_long_what_its_answer_repeats() {
    let long = "x".repeat(200_000);
    for name in ["ce-id", "ce-source", "ce-correlationid", "ce-traceparent", "ce-tracestate"] {
        let ended = check(Case::pending().with(name, &long).with_body("{}"), 200, Some(Kind::Failed));
        assert!(ended.body().contains(&long), "{name}");
        assert!(ended.answered.response.headers().iter().all(|(_, value)| value.len() < 16_384), "{name}");
        assert!(ended.log().line(now(), Duration::ZERO).len() <= crate::log::LONGEST_LINE);
    }
}

/// Knative's data plane sends the identity verbatim, and all its consumers read it so.
#[test]
fn an_identity_is_what_every_other_consumer_of_the_broker_sees() {
    let answered = |id: &str| {
        let case = Case::pending().with("ce-id", id).with("ce-knativearrivaltime", "2026-01-01T00:00:00Z");
        let ended = check(case.with_body("{}"), 200, Some(Kind::Failed));
        let event = check_event(&ended, reply::FAILED);
        assert_eq!((&event["causationid"], &event["data"]["pending_event"]["id"]), (&json!(id), &json!(id)));
        event["id"].clone()
    };
    // An id and its encoded form are two events.
    for (one, other) in [("a b", "a%20b"), ("100%", "100%25"), ("50%ff", "50\u{fffd}")] {
        assert_ne!(answered(one), answered(other));
    }
    let structured = check(
        Case::structured("a%20b")
            .with_body(json!({"specversion": "1.0", "id": "a%20b", "source": "/test", "type": PENDING}).to_string()),
        200,
        Some(Kind::Failed),
    );
    assert_eq!(check_event(&structured, reply::FAILED)["id"], answered("a%20b"));
}

#[test]
fn an_invalid_wish_fails_without_a_call_and_without_a_token() {
    for (data, reason) in [
        ("", "InvalidEventData"),
        ("{}", "InvalidEventData"),
        (r#"{"gateway_name":7}"#, "InvalidEventData"),
        (r#"{"gateway_name":""}"#, "InvalidGatewayName"),
        (r#"{"gateway_name":"baz"}"#, "GatewayNotAllowed"),
    ] {
        let case = Case::event(PENDING, data).configured(&[("gateways", "foo,bar")]).without_token();
        let ended = check(case, 200, Some(Kind::Failed));
        let event = check_event(&ended, reply::FAILED);
        assert_eq!(event["data"]["reason"], reason);
        assert_eq!((json!(ended.log().reason), ended.log().pod.as_deref()), (json!(reason), None));
        assert_eq!(ended.log().message.as_deref(), event["data"]["message"].as_str());
    }
}

#[test]
fn data_that_is_encoded_in_another_way_says_so() {
    let message = |case: Case| {
        let event = check_event(&check(case, 200, Some(Kind::Failed)), reply::FAILED);
        event["data"]["message"].as_str().unwrap().to_owned()
    };
    assert!(message(Case::pending().with_body(*b"\x1f\x8b\x08")).contains("compressed"));
    assert!(message(Case::event(PENDING, r#""{\"gateway_name\":\"foo\"}""#)).contains("encoded twice"));
    assert!(message(Case::event(PENDING, r#"{"gateway_name":null}"#)).contains("is null"));
    let with_mark = Case::pending().with_body("\u{feff}{\"gateway_name\":\"foo\"}").scripted(released_by());
    check(with_mark, 200, Some(Kind::Done));
}

#[test]
fn an_expired_event_is_looked_for_before_it_fails() {
    let expired = || Case::pending().with("ce-expirytime", "2025-12-31T00:00:00Z");
    let ended = check(expired().scripted(vec![("GET", status(404, "NotFound", ""))]), 200, Some(Kind::Failed));
    assert_eq!(check_event(&ended, reply::FAILED)["data"]["reason"], "EventExpired");
    let running = vec![("GET", object(200, &released(routed(wanted(&[])))))];
    check(expired().scripted(running), 200, Some(Kind::Done));
    let ended = check(Case::pending().with("ce-expirytime", "tomorrow"), 200, Some(Kind::Failed));
    assert_eq!(check_event(&ended, reply::FAILED)["data"]["reason"], "InvalidEventData");
}

// The log.

#[test]
fn the_log_knows_the_event_and_counts_the_calls() {
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let case = Case::pending().with("ce-traceparent", traceparent).scripted(vec![("POST", cut())]);
    let ended = check(case, 503, Some(Kind::Retry));
    assert_eq!(ended.requests[0].headers()["traceparent"], traceparent);
    let line: Value = serde_json::from_str(&ended.log().line(now(), Duration::ZERO)).unwrap();
    let expected = json!({
        "time": "2026-02-02T02:02:02.000Z", "level": "warn", "outcome": "retry", "status": 503,
        "event_source": "/test", "event_id": "1", "event_type": PENDING, "gateway": "foo", "namespace": "default",
        "pod": "6ae65cff-3704-5f31-ae9d-cd15c7833b0c", "milliseconds": 0, "api_calls": 1,
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "message": "no answer from the Kubernetes API: the answer was cut off",
    });
    assert_eq!(line, expected);
    let failed = vec![("POST", object(201, &stored(wanted(&[])))), ("DELETE", object(200, &stored(wanted(&[]))))];
    assert_eq!(check(Case::pending().scripted(failed), 200, Some(Kind::Failed)).log().api_calls, 2);
}

// The sink, and the dead letters.

fn taken() -> (&'static str, Answer) {
    ("POST /default", api_answer(202, ""))
}

/// A refusal that says when to come again.
fn busy() -> Answer {
    let mut refusal = api_answer(429, "")?;
    refusal.headers_mut().insert("retry-after", HeaderValue::from_static("7"));
    Ok(refusal)
}

/// The event that was sent to the sink.
#[track_caller]
fn check_sent(ended: &Ended, ty: &str) -> Value {
    let request = ended.requests.last().expect("something was sent");
    assert_eq!(
        (request.uri().to_string().as_str(), request.headers().get("authorization")),
        ("http://sink/default", None)
    );
    let event = event_of(request.headers(), request.body());
    assert_eq!(event["type"], ty);
    event
}

#[test]
fn with_a_sink_the_answer_goes_there_in_the_mode_of_its_event_and_the_response_is_empty() {
    for (case, content_type) in [
        (Case::pending(), "application/json"),
        (Case::structured("1"), STRUCTURED),
        (Case::pending().with("ce-correlationid", "a%20b"), STRUCTURED),
    ] {
        let script = released_by().into_iter().chain([taken()]).collect();
        let ended = check(case.configured(&SINK).scripted(script), 202, Some(Kind::Done));
        check_sent(&ended, reply::DONE);
        assert_eq!(ended.requests.last().unwrap().headers()["content-type"], content_type);
        assert_eq!(ended.log().api_calls, 2, "the sink is none of the API's");
    }
}

#[test]
fn the_sinks_overrides_are_on_what_it_gets() {
    for (overrides, content_type) in
        [(r#"{"extensions":{"cluster":"a"}}"#, "application/json"), (r#"{"extensions":{"cluster":"a b"}}"#, STRUCTURED)]
    {
        let variables = [SINK[0], SINK[1], ("k_ce_overrides", overrides)];
        let ended =
            check(Case::event(PENDING, "{}").configured(&variables).scripted(vec![taken()]), 202, Some(Kind::Failed));
        assert!(overrides.contains(check_sent(&ended, reply::FAILED)["cluster"].as_str().unwrap()));
        assert_eq!(ended.requests[0].headers()["content-type"], content_type);
    }
}

#[test]
fn a_sink_that_does_not_take_the_answer_keeps_the_event_with_the_broker() {
    for (refusal, expected, wait) in [
        (api_answer(307, ""), "the sink answered 307", ""),
        (api_answer(500, ""), "the sink answered 500", ""),
        (busy(), "the sink answered 429", "7"),
        (cut(), "no answer from the sink: the answer was cut off", ""),
    ] {
        let case = Case::event(PENDING, "{}").configured(&SINK).scripted(vec![("POST", refusal)]);
        let ended = check(case, 503, Some(Kind::Retry));
        assert_eq!((ended.log().message.as_deref(), ended.header("retry-after")), (Some(expected), wait));
    }
}

#[test]
fn a_dead_letter_is_settled_through_the_sink_and_not_without() {
    let dead = || Case { path: "/dead-letter", ..Case::pending() };
    let detail = "set k_sink, which a SinkBinding does: dead letters and sweeps are answered through the sink, because \
                  Knative discards what a dead letter sink answers";
    check_problem(dead(), 503, Kind::Retry, detail);

    let absent = ("GET", status(404, "NotFound", ""));
    let case = dead().with("ce-knativeerrorcode", "503").configured(&SINK).scripted(vec![absent, taken()]);
    let ended = check(case, 202, Some(Kind::Failed));
    let data = &check_sent(&ended, reply::FAILED)["data"];
    assert_eq!(data["reason"], "Undeliverable");
    assert!(data["message"].as_str().unwrap().contains("ended with 503; it has no Pod"), "{data}");
    assert!(ended.log().dead_letter);

    let gated = ("GET", object(200, &routed(wanted(&[]))));
    let patched = ("PATCH", object(200, &released(routed(wanted(&[])))));
    let ended = check(dead().configured(&SINK).scripted(vec![gated, patched, taken()]), 202, Some(Kind::Done));
    check_sent(&ended, reply::DONE);
}

// The token.

/// A peer that puts the token into every text that is quoted.
#[test]
fn no_token_leaves_whatever_quotes_it() {
    let token = token();
    let gated = routed(wanted(&[]));
    let deleted = ("DELETE", object(200, &gated));
    let answered = |pod: &Value| vec![("POST", object(201, pod)), deleted.clone()];
    let changed = |change: Value| answered(&merged(gated.clone(), &change));
    let annotation = |key: &str, value: &str| changed(json!({"metadata": {"annotations": {key: value}}}));
    let label = |key: &str| changed(json!({"metadata": {"labels": {key: token}}}));
    let container = |more: Value| changed(json!({"spec": {"containers": [merged(json!({"name": token}), &more)]}}));
    let refused = |code: u16, reason: &str, message: &str| {
        vec![("POST", status(code, reason, message)), ("GET", status(404, "NotFound", ""))]
    };
    let mut elsewhere = gated.clone();
    elsewhere["spec"]["initContainers"][0]["env"][0]["value"] = json!(token);
    let long = |length: usize| "x".repeat(length) + &token;
    let scripts = [
        label("setGateway"),
        label("app.kubernetes.io/managed-by"),
        annotation("podgateway.io/event-id", &token),
        annotation("podgateway.io/event-source", &long(200)),
        annotation(&format!("k8s.v1.cni.cncf.io/{token}"), "x"),
        container(json!({"env": [{"name": "gateway", "value": "x"}]})),
        container(json!({"securityContext": {"privileged": true}})),
        changed(json!({"spec": {"volumes": [{"name": "v", "hostPath": {"path": token}}]}})),
        answered(&elsewhere),
        refused(422, "Invalid", &format!("bad header: Bearer {token}")),
        // Cut in the middle of the token: at the end of the message, and before its end.
        refused(422, "Invalid", &long(1_950)),
        refused(403, "Forbidden", &format!("pods \"x\" is forbidden: failed quota: {}", long(1_900))),
    ];
    for script in scripts {
        for case in [Case::pending(), Case::structured("1")] {
            check_no_token(&check(case.scripted(script.clone()), 200, Some(Kind::Failed)), true);
        }
        let with_sink = script.into_iter().chain([taken()]).collect();
        check_no_token(&check(Case::pending().configured(&SINK).scripted(with_sink), 202, Some(Kind::Failed)), true);
    }
}

#[test]
fn no_token_leaves_with_what_may_heal() {
    let token = token();
    for fault in [
        status(500, "InternalError", &token),
        status(401, "Unauthorized", &token),
        object(200, &json!({"kind": token})),
    ] {
        check_no_token(&check(Case::pending().scripted(vec![("POST", fault)]), 503, Some(Kind::Retry)), false);
    }
}

/// A producer that sends the token in its event gets it back from nobody. It only reaches the API server, in the Pod,
/// which knows it.
#[test]
fn no_token_leaves_by_what_an_answer_repeats() {
    let token = token();
    let refusal = || vec![("POST", status(422, "Invalid", "")), ("GET", status(404, "NotFound", ""))];
    let to_sink = || refusal().into_iter().chain([taken()]).collect();
    for name in ["ce-id", "ce-source", "ce-correlationid", "ce-tracestate"] {
        let case = || Case::pending().with(name, &token);
        let mut answered = check(case().scripted(refusal()), 200, Some(Kind::Failed));
        answered.requests.clear();
        check_no_token(&answered, true);
        let mut sent = check(case().configured(&SINK).scripted(to_sink()), 202, Some(Kind::Failed));
        sent.requests = sent.requests.split_off(2);
        check_no_token(&sent, true);
    }
}

#[track_caller]
fn check_no_token(ended: &Ended, is_quoted: bool) {
    let everything = ended.everything();
    assert!(!everything.contains(TOKENS_BEGINNING), "{everything}");
    assert!(!is_quoted || everything.contains("[redacted]"), "{everything}");
}

#[test]
fn a_template_that_quotes_the_token_is_no_way_out() {
    let template = pod_template(|spec| spec["containers"][0]["name"] = json!(token()));
    let named = merged(
        template,
        &json!({"template": {"spec": {"containers": [{"name": token(), "ports": [{"hostPort": 1}]}]}}}),
    );
    let script = vec![("GET", object(200, &named)), ("GET", status(404, "NotFound", ""))];
    let case = Case::pending().configured(&[("client_pod_template", "crawler")]).scripted(script);
    check_no_token(&check(case, 200, Some(Kind::Failed)), true);
}

mod life;
