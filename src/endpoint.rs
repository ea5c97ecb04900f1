//! The HTTP surface: which request gets which answer, and what the log says of it.
//!
//! Everything that the core needs comes in here as an argument ([`Surroundings`], [`Outbound`]); out go a response
//! and a log entry. The configuration is read when an event needs it and not before: an event of another type is
//! acknowledged even where nothing is set up. Design, sections 3 and 4.

use std::cell::Cell;

use chrono::{DateTime, Utc};
use cloudevents::{AttributesReader, Event};
use http::header::{ALLOW, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};

use crate::binding::{self, BindingError};
use crate::config::Config;
use crate::event::{Context, PENDING, PendingClient, requested_gateway, undeliverable};
use crate::kubernetes::{Api, Token};
use crate::log::{Entry, Kind};
use crate::outbound::{Answer, Outbound};
use crate::pod;
use crate::provision::{Delivery, Outcome, Retry};
use crate::reason::{Failure, Reason};
use crate::reply;
use crate::sink::Sink;

/// How many bytes of a request's body are taken, at most.
pub const LARGEST_BODY: usize = 1 << 20;

const DEAD_LETTER: &str = "/dead-letter";
const NO_SINK: &str = "dead letters are settled by way of a sink, because Knative throws away what a dead letter sink \
                       answers: set k_sink, which a SinkBinding does";
const EVENT_METHODS: &str = "POST, OPTIONS";
const PROBE_METHODS: &str = "GET";
const REQUEST_ORIGIN: HeaderName = HeaderName::from_static("webhook-request-origin");
const ALLOWED_ORIGIN: HeaderName = HeaderName::from_static("webhook-allowed-origin");
const ALLOWED_RATE: HeaderName = HeaderName::from_static("webhook-allowed-rate");

/// A request's body, or why there is none.
pub type Body = Result<Vec<u8>, BodyError>;

/// Why the body of a request could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// There is more than [`LARGEST_BODY`].
    TooLarge,
    /// It was cut off, or too slow.
    Incomplete,
}

/// What the core would otherwise read by itself.
pub struct Surroundings<'a> {
    /// The time of the delivery.
    pub now: DateTime<Utc>,
    /// The value of a Spin variable, or why it can't be had.
    pub variable: &'a dyn Fn(&str) -> Result<String, String>,
    /// The content of the token file, or why it can't be had. Asked anew for every event.
    pub token: &'a dyn Fn() -> Result<String, String>,
}

impl Surroundings<'_> {
    fn config(&self) -> Result<Config, String> {
        Config::from_variables(self.variable).map_err(|e| e.to_string())
    }

    fn token(&self, config: &Config) -> Result<Token, String> {
        (self.token)().and_then(|content| Token::parse(&content, &config.kube_api_url))
    }
}

/// What is answered, and what is logged of it; probes are not logged while all is well.
pub struct Answered {
    /// The answer.
    pub response: Response<Vec<u8>>,
    /// The delivery's line for the log.
    pub log: Option<Entry>,
}

impl Answered {
    fn silent(response: Response<Vec<u8>>) -> Self {
        Self { response, log: None }
    }

    fn logged(response: Response<Vec<u8>>, mut entry: Entry) -> Self {
        entry.status = response.status().as_u16();
        Self { response, log: Some(entry) }
    }

    fn problem(status: StatusCode, detail: &str) -> Self {
        let mut entry = Entry::new(Kind::Rejected);
        entry.message = Some(detail.to_owned());
        Self::logged(reply::problem(status, detail), entry)
    }
}

/// By which way an event comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    /// As the Trigger's subscriber.
    Subscriber,
    /// As the Trigger's dead letter sink, after the broker gave up.
    DeadLetter,
}

/// Answers a request: the table of design section 3.
pub async fn answer(request: Request<Body>, surroundings: &Surroundings<'_>, outbound: &impl Outbound) -> Answered {
    let (parts, body) = request.into_parts();
    let route = if parts.uri.path() == DEAD_LETTER { Route::DeadLetter } else { Route::Subscriber };
    match (parts.uri.path(), &parts.method) {
        ("/" | DEAD_LETTER, &Method::POST) => deliver(route, &parts.headers, body, surroundings, outbound).await,
        ("/" | DEAD_LETTER, &Method::OPTIONS) => Answered::silent(handshake(&parts.headers)),
        ("/" | DEAD_LETTER, _) => method_not_allowed(EVENT_METHODS),
        ("/healthz", &Method::GET) => Answered::silent(reply::empty(StatusCode::OK)),
        ("/readyz", &Method::GET) => readiness(surroundings),
        ("/healthz" | "/readyz", _) => method_not_allowed(PROBE_METHODS),
        (path, _) => Answered::problem(StatusCode::NOT_FOUND, &format!("there is no {path}: POST events to /")),
    }
}

fn method_not_allowed(allowed: &'static str) -> Answered {
    let detail = format!("this method is not allowed here: use {allowed}");
    let mut answered = Answered::problem(StatusCode::METHOD_NOT_ALLOWED, &detail);
    answered.response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    answered
}

/// The handshake of "HTTP 1.1 Web Hooks for Event Delivery", section 4.
fn handshake(headers: &HeaderMap) -> Response<Vec<u8>> {
    let mut response = reply::empty(StatusCode::OK);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(EVENT_METHODS));
    if let Some(origin) = headers.get(REQUEST_ORIGIN) {
        response.headers_mut().insert(ALLOWED_ORIGIN, origin.clone());
        response.headers_mut().insert(ALLOWED_RATE, HeaderValue::from_static("*"));
    }
    response
}

fn readiness(surroundings: &Surroundings<'_>) -> Answered {
    let ready = surroundings.config().and_then(|config| surroundings.token(&config));
    match ready {
        Ok(_) => Answered::silent(reply::empty(StatusCode::OK)),
        Err(missing) => Answered::problem(StatusCode::SERVICE_UNAVAILABLE, &missing),
    }
}

async fn deliver(
    route: Route,
    headers: &HeaderMap,
    body: Body,
    surroundings: &Surroundings<'_>,
    outbound: &impl Outbound,
) -> Answered {
    let event = match read_event(headers, body) {
        Ok(event) => event,
        Err((status, detail)) => return Answered::problem(status, &detail),
    };
    if event.ty() != PENDING {
        return Answered::logged(reply::empty(StatusCode::ACCEPTED), entry(Kind::Ignored, route, &event));
    }
    if let Some(name) = Context::of(&event).unrepeatable() {
        let detail = format!("the attribute {name} is too long to be answered: use up to 8 KiB");
        return Answered::problem(StatusCode::BAD_REQUEST, &detail);
    }
    let config = surroundings.config().and_then(|config| match (route, &config.sink) {
        (Route::DeadLetter, None) => Err(NO_SINK.to_owned()),
        _ => Ok(config),
    });
    match config {
        Ok(config) => deliver_pending(route, &event, &config, surroundings, outbound).await,
        Err(missing) => {
            let mut entry = entry(Kind::Retry, route, &event);
            entry.message = Some(missing.clone());
            Answered::logged(reply::problem(StatusCode::SERVICE_UNAVAILABLE, &missing), entry)
        }
    }
}

fn read_event(headers: &HeaderMap, body: Body) -> Result<Event, (StatusCode, String)> {
    let body = body.map_err(|error| match error {
        BodyError::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "an event may have up to 1 MiB".to_owned()),
        BodyError::Incomplete => (StatusCode::REQUEST_TIMEOUT, "the body did not arrive whole: send again".to_owned()),
    })?;
    binding::read(headers, &body).map_err(|error| match error {
        BindingError::NotAnEvent(_) => (StatusCode::BAD_REQUEST, error.to_string()),
        BindingError::UnsupportedFormat(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, error.to_string()),
    })
}

/// A pending event gets its outcome here: design section 4, the lower half of the table, and section 7.
async fn deliver_pending(
    route: Route,
    event: &Event,
    config: &Config,
    surroundings: &Surroundings<'_>,
    outbound: &impl Outbound,
) -> Answered {
    let calls = Counting { inner: outbound, calls: Cell::new(0) };
    let mut entry = entry(Kind::Done, route, event);
    let reply = match PendingClient::from_event(event, config) {
        Err(failure) => Ok(failed(event, &failure, surroundings.now, &mut entry)),
        Ok(client) => {
            let name = pod::name(&client.context);
            entry.pod = Some(name.clone());
            entry.namespace = Some(config.client_namespace.clone());
            match settle(route, event, &client, &name, config, surroundings, &calls).await {
                Outcome::Done(pod) => Ok(reply::done(&client, &pod, config.gateway_verification, surroundings.now)),
                Outcome::Failed(failure) => Ok(failed(event, &failure, surroundings.now, &mut entry)),
                Outcome::Retry(retry) => Err(retry),
            }
        }
    };
    entry.api_calls = calls.calls.get();
    let sent = match reply {
        Ok(reply) => send_reply(event, &reply, config, outbound).await,
        Err(retry) => Err(retry),
    };
    let response = sent.unwrap_or_else(|retry| retried(&retry, &mut entry));
    Answered::logged(response, entry)
}

/// Hands the reply to the sink, where there is one, or else makes it the answer to the delivery.
async fn send_reply(
    event: &Event,
    reply: &Event,
    config: &Config,
    outbound: &impl Outbound,
) -> Result<Response<Vec<u8>>, Retry> {
    let Some(sink) = &config.sink else { return Ok(reply::event_response(reply)) };
    let request = sink.request(reply, &Context::of(event).trace(), config.bounds());
    Sink::read_answer(outbound.send(request).await).map_err(Retry::because)?;
    Ok(reply::empty(StatusCode::ACCEPTED))
}

fn failed(event: &Event, failure: &Failure, now: DateTime<Utc>, entry: &mut Entry) -> Event {
    entry.outcome = Kind::Failed;
    entry.reason = Some(failure.reason);
    entry.message = Some(failure.message.clone());
    reply::failed(&Context::of(event), requested_gateway(event).ok(), failure, now)
}

fn retried(retry: &Retry, entry: &mut Entry) -> Response<Vec<u8>> {
    entry.outcome = Kind::Retry;
    entry.reason = None;
    entry.message = Some(retry.cause.clone());
    reply::retry_response(retry)
}

async fn settle(
    route: Route,
    event: &Event,
    client: &PendingClient,
    name: &str,
    config: &Config,
    surroundings: &Surroundings<'_>,
    outbound: &impl Outbound,
) -> Outcome {
    let token = match surroundings.token(config) {
        Ok(token) => token,
        Err(problem) => return Outcome::Retry(Retry::because(problem)),
    };
    let api = Api::new(config, &token, client.context.trace());
    let delivery = Delivery { client, name, config, api, outbound };
    if route == Route::DeadLetter {
        return delivery.settle_or(undeliverable(event)).await;
    }
    if client.is_expired(surroundings.now) {
        // An earlier delivery may have made the Pod while there was time: then that is this event's answer.
        let message = "the event's expirytime has passed: send a new event";
        return delivery.settle_or(Failure::new(Reason::EventExpired, message)).await;
    }
    delivery.provision().await
}

fn entry(outcome: Kind, route: Route, event: &Event) -> Entry {
    let context = Context::of(event);
    let mut entry = Entry::new(outcome);
    entry.dead_letter = route == Route::DeadLetter;
    entry.trace_id = context.trace_id().map(str::to_owned);
    entry.event_source = Some(context.source);
    entry.event_id = Some(context.id);
    entry.event_type = Some(event.ty().to_owned());
    entry.gateway = requested_gateway(event).ok().map(str::to_owned);
    entry
}

/// Counts the calls that go through.
struct Counting<'a, O> {
    inner: &'a O,
    calls: Cell<u32>,
}

impl<O: Outbound> Outbound for Counting<'_, O> {
    async fn send(&self, request: Request<Vec<u8>>) -> Answer {
        self.calls.set(self.calls.get() + 1);
        self.inner.send(request).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::variables;
    use crate::outbound::NoAnswer;
    use crate::provision::tests::{Script, answer as api_answer, run};
    use serde_json::{Value, json};

    /// A request and what surrounds it: change what a case is about, and leave the rest.
    struct Case {
        method: Method,
        path: &'static str,
        headers: Vec<(&'static str, String)>,
        body: Body,
        variables: Vec<(&'static str, &'static str)>,
        token: Result<String, String>,
        script: Vec<(&'static str, Answer)>,
    }

    impl Case {
        fn new(method: Method, path: &'static str) -> Self {
            let (token, script) = (Ok("s3cret".into()), Vec::new());
            Self { method, path, headers: Vec::new(), body: Ok(Vec::new()), variables: Vec::new(), token, script }
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

        fn answer(self) -> Answered {
            let mut request = Request::builder().method(self.method).uri(self.path);
            for (name, value) in self.headers {
                request = request.header(name, value);
            }
            let (variable, token) = (variables(&self.variables), move || self.token.clone());
            let now = "2026-01-01T00:00:00Z".parse().unwrap();
            let surroundings = Surroundings { now, variable: &variable, token: &token };
            run(answer(request.body(self.body).unwrap(), &surroundings, &Script::new(self.script)))
        }
    }

    #[track_caller]
    fn check(case: Case, status: u16, outcome: Option<Kind>) -> Response<Vec<u8>> {
        let Answered { response, log } = case.answer();
        assert_eq!(response.status().as_u16(), status, "{:?}", String::from_utf8_lossy(response.body()));
        assert_eq!(log.as_ref().map(|entry| (entry.outcome, entry.status)), outcome.map(|kind| (kind, status)));
        response
    }

    #[test]
    fn probes_touch_nothing_and_say_what_is_missing() {
        check(Case::new(Method::GET, "/healthz"), 200, None);
        check(Case::new(Method::GET, "/readyz?verbose"), 200, None);
        let mut case = Case::new(Method::GET, "/readyz");
        case.token = Err("no token".into());
        let response = check(case, 503, Some(Kind::Rejected));
        assert!(String::from_utf8_lossy(response.body()).contains("no token"));
        let mut case = Case::new(Method::GET, "/readyz");
        case.variables = vec![("client_namespace", "Not One")];
        let response = check(case, 503, Some(Kind::Rejected));
        assert!(String::from_utf8_lossy(response.body()).contains("client_namespace"));
    }

    #[test]
    fn the_webhook_handshake_allows_whoever_asks() {
        let mut case = Case::new(Method::OPTIONS, "/");
        case.headers = vec![("webhook-request-origin", "events.example".into())];
        let response = check(case, 200, None);
        assert_eq!(response.headers()[ALLOWED_ORIGIN], "events.example");
        assert_eq!(response.headers()[ALLOWED_RATE], "*");
        let response = check(Case::new(Method::OPTIONS, "/"), 200, None);
        assert_eq!(response.headers()[ALLOW], EVENT_METHODS);
        assert_eq!(response.headers().get(ALLOWED_ORIGIN), None);
    }

    #[test]
    fn other_paths_and_methods_are_told_what_there_is() {
        check(Case::new(Method::POST, "/nope"), 404, Some(Kind::Rejected));
        for (path, allowed) in [
            ("/", EVENT_METHODS),
            (DEAD_LETTER, EVENT_METHODS),
            ("/healthz", PROBE_METHODS),
            ("/readyz", PROBE_METHODS),
        ] {
            let response = check(Case::new(Method::TRACE, path), 405, Some(Kind::Rejected));
            assert_eq!(response.headers()[ALLOW], allowed);
        }
    }

    #[test]
    fn what_is_no_event_is_a_problem() {
        check(Case::new(Method::POST, "/"), 400, Some(Kind::Rejected));
        let mut case = Case::pending();
        case.headers[4].1 = "application/cloudevents-batch+json".into();
        check(case, 415, Some(Kind::Rejected));
        for (error, status) in [(BodyError::TooLarge, 413), (BodyError::Incomplete, 408)] {
            let mut case = Case::pending();
            case.body = Err(error);
            check(case, status, Some(Kind::Rejected));
        }
    }

    #[test]
    fn an_event_of_another_type_is_acknowledged_whatever_is_missing() {
        for ty in ["other", reply::DONE, reply::FAILED] {
            let mut case = Case::event(ty, "");
            case.variables = vec![("client_image", "")];
            case.token = Err("gone".into());
            assert!(check(case, 202, Some(Kind::Ignored)).body().is_empty());
        }
    }

    #[test]
    fn what_is_missing_here_is_no_reason_to_lose_an_event() {
        let mut case = Case::pending();
        case.token = Err("gone".into());
        assert!(check(case, 503, Some(Kind::Retry)).body().is_empty());
        let mut case = Case::pending();
        case.variables = vec![("kube_api_timeout", "soon")];
        let response = check(case, 503, Some(Kind::Retry));
        assert!(String::from_utf8_lossy(response.body()).contains("kube_api_timeout"));
    }

    #[test]
    fn an_invalid_wish_fails_without_a_call() {
        for data in ["", "{}", r#"{"gateway_name":""}"#, r#"{"gateway_name":7}"#] {
            let response = check(Case::event(PENDING, data), 200, Some(Kind::Failed));
            assert_eq!(response.headers()["ce-type"], reply::FAILED);
        }
    }

    #[test]
    fn a_pending_event_that_no_answer_can_repeat_is_a_problem() {
        for name in ["ce-id", "ce-correlationid", "ce-traceparent", "ce-tracestate"] {
            let mut case = Case::pending();
            case.headers.retain(|header| header.0 != name);
            case.headers.push((name, "x".repeat(9_000)));
            check(case, 400, Some(Kind::Rejected));
        }
    }

    #[test]
    fn an_expired_event_is_looked_for_before_it_fails() {
        let mut case = Case::pending();
        case.headers.push(("ce-expirytime", "2025-12-31T00:00:00Z".into()));
        case.script = vec![("GET", api_answer(404, &json!({"reason": "NotFound"})))];
        let response = check(case, 200, Some(Kind::Failed));
        let data: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(data["reason"], "EventExpired");
    }

    #[test]
    fn the_log_knows_the_event_and_counts_the_calls() {
        let mut case = Case::pending();
        case.script = vec![("POST", Err(NoAnswer("refused".into())))];
        let entry = case.answer().log.unwrap();
        assert_eq!((entry.outcome, entry.api_calls), (Kind::Retry, 1));
        assert_eq!((entry.event_id.as_deref(), entry.gateway.as_deref()), (Some("1"), Some("foo")));
        assert_eq!(entry.namespace.as_deref(), Some("default"));
        assert!(entry.pod.is_some() && entry.message.unwrap().contains("refused"));
    }

    const SINK: [(&str, &str); 2] = [("k_sink", "http://sink/default"), ("sink_origin", "http://sink")];

    fn taken() -> (&'static str, Answer) {
        ("POST", api_answer(202, &json!(null)))
    }

    #[test]
    fn with_a_sink_the_reply_goes_there_and_the_answer_is_empty() {
        let mut case = Case::event(PENDING, "{}");
        case.variables = SINK.to_vec();
        case.script = vec![taken()];
        assert!(check(case, 202, Some(Kind::Failed)).body().is_empty());
    }

    #[test]
    fn a_sink_that_does_not_take_the_reply_keeps_the_event_with_the_broker() {
        for answer in [api_answer(307, &json!(null)), api_answer(500, &json!(null)), Err(NoAnswer("refused".into()))] {
            let mut case = Case::event(PENDING, "{}");
            case.variables = SINK.to_vec();
            case.script = vec![("POST", answer)];
            assert!(check(case, 503, Some(Kind::Retry)).body().is_empty());
        }
    }

    #[test]
    fn a_dead_letter_is_settled_by_way_of_the_sink_and_not_without() {
        let mut case = Case::pending();
        case.path = DEAD_LETTER;
        let response = check(case, 503, Some(Kind::Retry));
        assert!(String::from_utf8_lossy(response.body()).contains("k_sink"));

        let mut case = Case::pending();
        case.path = DEAD_LETTER;
        case.variables = SINK.to_vec();
        case.script = vec![("GET", api_answer(404, &json!({"reason": "NotFound"}))), taken()];
        check(case, 202, Some(Kind::Failed));
    }

    #[test]
    fn a_dead_letter_that_is_no_pending_event_is_acknowledged() {
        let mut case = Case::event("other", "");
        case.path = DEAD_LETTER;
        let answered = case.answer();
        assert!(answered.log.unwrap().dead_letter);
        assert_eq!(answered.response.status(), 202);
    }
}
