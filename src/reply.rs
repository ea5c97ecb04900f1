//! Outcome in, `done` or `failed` event out, and that event as an HTTP response.
//!
//! A reply's id is a function of the pending event's identity and of the reply's type, so that a repeated answer is
//! recognisably the same event; a repeated `done` even is the same to the byte, because its time is the Pod's.
//! Design, section 4, "The reply".

use chrono::{DateTime, Utc};
use cloudevents::{Event, EventBuilder, EventBuilderV10};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use serde::Serialize;
use serde_json::json;

use crate::binding;
use crate::config::Verification;
use crate::event::{Context, PendingClient};
use crate::pod::{Metadata, name_based_uuid};
use crate::provision::Retry;
use crate::reason::Failure;

/// The type of the answer to an event whose client is there.
pub const DONE: &str = "io.podgateway.client.scheduling.done";
/// The type of the answer to an event of which there will never be a client.
pub const FAILED: &str = "io.podgateway.client.scheduling.failed";
/// The `source` of every reply.
pub const SOURCE: &str = "podgateway/eventing/client/provisioner";

const JSON: &str = "application/json";
const PROBLEM_JSON: &str = "application/problem+json";

/// The event that says where the client is.
pub fn done(client: &PendingClient, pod: &Metadata, verification: Verification, now: DateTime<Utc>) -> Event {
    let message = match verification {
        Verification::Required => format!("the client goes out through the gateway {}", client.gateway),
        Verification::Off => format!("the client was created; its gateway {} was not verified", client.gateway),
    };
    let data = json!({
        "message": message,
        "pod_name": pod.name,
        "namespace": pod.namespace,
        "gateway_name": client.gateway,
        "pod_uid": pod.uid,
        "pending_event": pending_event(&client.context),
    });
    let subject = format!("{}/{}", pod.namespace, pod.name);
    let time = pod.creation_timestamp.unwrap_or(now);
    build(reply(&client.context, DONE, time).subject(subject).data(JSON, data))
}

/// The event that says why there will be no client. `gateway_name` is what the event asked for, if it could be read.
pub fn failed(context: &Context, gateway_name: Option<&str>, failure: &Failure, now: DateTime<Utc>) -> Event {
    let data = json!({
        "message": failure.message,
        "reason": failure.reason,
        "gateway_name": gateway_name,
        "pending_event": pending_event(context),
    });
    build(reply(context, FAILED, now).data(JSON, data))
}

fn pending_event(context: &Context) -> serde_json::Value {
    json!({ "source": context.source, "id": context.id })
}

fn reply(context: &Context, ty: &str, time: DateTime<Utc>) -> EventBuilderV10 {
    let id = name_based_uuid(&[&context.source, &context.id, ty]).to_string();
    let correlation_id = context.correlation_id.as_ref().unwrap_or(&context.id);
    let mut reply = EventBuilderV10::new()
        .id(id)
        .ty(ty)
        .source(SOURCE)
        .time(time)
        .extension("causationid", context.id.as_str())
        .extension("correlationid", correlation_id.as_str());
    for (name, value) in [("traceparent", &context.traceparent), ("tracestate", &context.tracestate)] {
        if let Some(value) = value {
            reply = reply.extension(name, value.as_str());
        }
    }
    reply
}

fn build(reply: EventBuilderV10) -> Event {
    reply.build().expect("a reply has its id, type and source")
}

/// An event as the answer to a delivery: 200, in binary content mode.
pub fn event_response(event: &Event) -> Response<Vec<u8>> {
    let (headers, body) = binding::write(event);
    with_body(StatusCode::OK, headers, body)
}

/// An answer without a body.
pub fn empty(status: StatusCode) -> Response<Vec<u8>> {
    with_body(status, HeaderMap::new(), Vec::new())
}

/// The answer that makes the broker redeliver: 429 or 503, with the wait that the API server asked for.
pub fn retry_response(retry: &Retry) -> Response<Vec<u8>> {
    let mut response = empty(match retry.too_many_requests {
        true => StatusCode::TOO_MANY_REQUESTS,
        false => StatusCode::SERVICE_UNAVAILABLE,
    });
    if let Some(seconds) = retry.retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// A problem document (RFC 9457) of no type but its status.
pub fn problem(status: StatusCode, detail: &str) -> Response<Vec<u8>> {
    #[derive(Serialize)]
    struct Problem<'a> {
        r#type: &'a str,
        title: &'a str,
        status: u16,
        detail: &'a str,
    }
    let title = status.canonical_reason().unwrap_or_default();
    let problem = Problem { r#type: "about:blank", title, status: status.as_u16(), detail };
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON))]);
    with_body(status, headers, serde_json::to_vec(&problem).unwrap_or_default())
}

fn with_body(status: StatusCode, mut headers: HeaderMap, body: Vec<u8>) -> Response<Vec<u8>> {
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;
    use crate::event::tests::client;
    use crate::gateway::tests::routed;
    use crate::pod::Pod;
    use crate::reason::Reason;
    use cloudevents::AttributesReader;
    use serde_json::Value;

    fn now() -> DateTime<Utc> {
        "2026-02-02T02:02:02Z".parse().unwrap()
    }

    fn done_event(client: &PendingClient) -> Event {
        let pod: Pod = serde_json::from_value(routed(client, &config(&[]))).unwrap();
        done(client, &pod.metadata, Verification::Required, now())
    }

    fn data(event: &Event) -> Value {
        event.data().unwrap().clone().try_into().unwrap()
    }

    #[test]
    fn done_says_where_the_client_is() {
        let client = client("foo");
        let event = done_event(&client);
        let name = crate::pod::name(&client.context);
        assert_eq!((event.ty(), event.source().as_str()), (DONE, SOURCE));
        assert_eq!(event.subject(), Some(format!("default/{name}").as_str()));
        assert_eq!(event.time().unwrap().to_rfc3339(), "2026-01-01T00:00:00+00:00", "the Pod's time, not the clock's");
        let data = data(&event);
        assert_eq!((&data["pod_name"], &data["pod_uid"]), (&name.into(), &"uid-1".into()));
        assert_eq!(data["pending_event"], json!({"source": "/test", "id": "1"}));
    }

    #[test]
    fn a_reply_is_recognisable_and_differs_by_type() {
        let client = client("foo");
        let failure = Failure::new(Reason::EventExpired, "");
        let failed = failed(&client.context, Some("foo"), &failure, now());
        assert_eq!(done_event(&client).id(), "c35456f6-c841-5e9a-bb7a-812b225ced7f");
        assert_eq!(failed.id(), "6460836a-dc43-50e4-9c2f-0e48101627fe");
        assert_eq!(data(&failed)["reason"], "EventExpired");
    }

    #[test]
    fn a_reply_carries_the_correlation_and_the_trace() {
        let mut client = client("foo");
        assert_eq!(binding::extension(&done_event(&client), "correlationid").as_deref(), Some("1"));
        client.context.correlation_id = Some("c".into());
        client.context.traceparent = Some("00-x".into());
        client.context.tracestate = Some("k=v".into());
        let event = done_event(&client);
        let extension = |name| binding::extension(&event, name);
        assert_eq!(extension("causationid").as_deref(), Some("1"));
        assert_eq!(extension("correlationid").as_deref(), Some("c"));
        assert_eq!(extension("traceparent").as_deref(), Some("00-x"));
        assert_eq!(extension("tracestate").as_deref(), Some("k=v"));
    }

    #[test]
    fn a_gateway_that_could_not_be_read_is_null() {
        let failure = Failure::new(Reason::InvalidEventData, "");
        assert_eq!(data(&failed(&client("foo").context, None, &failure, now()))["gateway_name"], Value::Null);
    }

    #[test]
    fn an_event_is_answered_in_binary_mode_with_its_length() {
        let response = event_response(&done_event(&client("foo")));
        assert_eq!((response.status(), &response.headers()[CONTENT_TYPE]), (StatusCode::OK, &JSON.parse().unwrap()));
        assert_eq!(response.headers()["ce-specversion"], "1.0");
        assert_eq!(response.headers()[CONTENT_LENGTH], response.body().len().to_string());
    }

    #[test]
    fn a_retry_passes_the_wait_on() {
        let mut retry = Retry::because("x");
        let response = retry_response(&retry);
        assert_eq!((response.status().as_u16(), response.body().len()), (503, 0));
        assert_eq!(response.headers().get(RETRY_AFTER), None);
        retry.too_many_requests = true;
        retry.retry_after = Some(7);
        let response = retry_response(&retry);
        assert_eq!((response.status().as_u16(), &response.headers()[RETRY_AFTER]), (429, &"7".parse().unwrap()));
    }

    #[test]
    fn a_problem_is_a_problem_document() {
        let response = problem(StatusCode::BAD_REQUEST, "do this");
        assert_eq!(response.headers()[CONTENT_TYPE], PROBLEM_JSON);
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        let expected = json!({"type": "about:blank", "title": "Bad Request", "status": 400, "detail": "do this"});
        assert_eq!(body, expected);
    }
}
