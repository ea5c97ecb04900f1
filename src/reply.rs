//! Makes the events that leave: answers, and reports on a client's life.
//!
//! An answer's id is a function of its event's identity and of its own type, and a report's id of the Pod's uid and its
//! type. So a repeated event has the same id. A repeated `done` is the same byte for byte, because its `time` is the
//! Pod's creation time. `docs/contract.md`, "The answer" and "A client's life".

use chrono::{DateTime, SecondsFormat, Utc};
use cloudevents::{Event, EventBuilder, EventBuilderV10};
use serde_json::{Value, json};

use crate::config::Verification;
use crate::context::{Context, name_based_uuid};
use crate::event::repeated;
use crate::pod::Metadata;
use crate::reason::Failure;
use crate::state::{End, Observed};
use crate::text::cut;

/// The type of the answer to an event whose client was created and released.
pub const DONE: &str = "io.podgateway.client.scheduling.done";
/// The type of the answer to an event that will never have a client.
pub const FAILED: &str = "io.podgateway.client.scheduling.failed";
/// The type of the answer to a termination event whose client is gone or ending.
pub const TERMINATED: &str = "io.podgateway.client.termination.done";
/// The type of the answer to a termination event whose client can't be ended.
pub const NOT_TERMINATED: &str = "io.podgateway.client.termination.failed";
/// The type of the report that a client runs behind its gateway.
pub const RUNNING: &str = "io.podgateway.client.running";
/// The type of the report that a client has ended.
pub const ENDED: &str = "io.podgateway.client.ended";
/// The types of all events that leave.
pub const ALL: [&str; 6] = [DONE, FAILED, TERMINATED, NOT_TERMINATED, RUNNING, ENDED];
/// The `source` of all events that leave.
pub const SOURCE: &str = "podgateway/eventing/client/provisioner";

const JSON: &str = "application/json";
/// The longest message, in bytes.
const LONGEST_MESSAGE: usize = 2_048;

/// The answer to a pending event. `gateway` is what the event asked for, if it could be read.
pub fn scheduling(
    context: &Context,
    gateway: Option<&str>,
    outcome: &Result<Metadata, Failure>,
    verification: Verification,
    now: DateTime<Utc>,
) -> Event {
    match outcome {
        Ok(pod) => done(context, gateway.unwrap_or_default(), pod, verification, now),
        Err(failure) => failed(context, gateway, failure, now),
    }
}

fn done(context: &Context, gateway: &str, pod: &Metadata, verification: Verification, now: DateTime<Utc>) -> Event {
    let message = match verification {
        Verification::Required => format!("the client goes out through the gateway {gateway}"),
        Verification::Off => format!("the client was created; its gateway {gateway} was not verified"),
    };
    let answer = event(context, context.answer_id(DONE), DONE, pod.creation_timestamp.unwrap_or(now));
    about(answer, pod, client(pod, context, gateway, &message))
}

fn failed(context: &Context, gateway: Option<&str>, failure: &Failure, now: DateTime<Utc>) -> Event {
    let data = json!({
        "message": cut(&failure.message, LONGEST_MESSAGE),
        "reason": failure.reason,
        "gateway_name": gateway.and_then(repeated),
        "pending_event": pending_event(context),
    });
    build(event(context, context.answer_id(FAILED), FAILED, now).data(JSON, data))
}

/// The answer to an event that asks for the end of the client of `pending`; `ended` says whether there was one.
pub fn termination(
    context: &Context,
    pending: Option<&Context>,
    ended: &Result<bool, Failure>,
    now: DateTime<Utc>,
) -> Event {
    let (ty, message, reason) = match ended {
        Ok(true) => (TERMINATED, "the client is ending: if it ever ran, an ended event follows", None),
        Ok(false) => (TERMINATED, "there is no client of this event", None),
        Err(failure) => (NOT_TERMINATED, cut(&failure.message, LONGEST_MESSAGE), Some(failure.reason)),
    };
    let mut data = json!({
        "message": message,
        "pod_name": pending.map(Context::pod_name),
        "pending_event": pending.map(pending_event),
    });
    if let Some(reason) = reason {
        data["reason"] = json!(reason);
    }
    build(event(context, context.answer_id(ty), ty, now).data(JSON, data))
}

/// The report that a client has been running since this time, behind its gateway if that was verified.
pub fn running(
    pod: &Observed,
    context: &Context,
    gateway: &str,
    verification: Verification,
    since: DateTime<Utc>,
) -> Event {
    let message = match verification {
        Verification::Required => "the client runs behind its gateway",
        Verification::Off => "the client runs; its gateway was not verified",
    };
    let mut data = client(&pod.metadata, context, gateway, message);
    data["pod_ip"] = json!(pod.ip());
    data["node_name"] = json!(pod.node());
    data["started_at"] = json!(timestamp(since));
    report(pod, context, RUNNING, since, data)
}

/// The report that a client has ended.
pub fn ended(pod: &Observed, context: &Context, gateway: &str, end: &End, now: DateTime<Utc>) -> Event {
    let at = end.ended_at.unwrap_or(now);
    let message = end.message.as_deref().unwrap_or("the client has ended");
    let mut data = client(&pod.metadata, context, gateway, cut(message, LONGEST_MESSAGE));
    data["reason"] = json!(end.reason);
    data["exit_code"] = json!(end.exit_code);
    data["ended_at"] = json!(timestamp(at));
    report(pod, context, ENDED, at, data)
}

fn report(pod: &Observed, context: &Context, ty: &str, time: DateTime<Utc>, data: Value) -> Event {
    let id = name_based_uuid(&[&pod.metadata.uid, ty]).to_string();
    about(event(context, id, ty, time), &pod.metadata, data)
}

fn timestamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// The data of an event about a client that exists or existed.
fn client(pod: &Metadata, context: &Context, gateway: &str, message: &str) -> Value {
    json!({
        "message": message,
        "pod_name": pod.name,
        "namespace": pod.namespace,
        "gateway_name": gateway,
        "pod_uid": pod.uid,
        "pending_event": pending_event(context),
    })
}

fn about(event: EventBuilderV10, pod: &Metadata, data: Value) -> Event {
    build(event.subject(format!("{}/{}", pod.namespace, pod.name)).data(JSON, data))
}

fn pending_event(context: &Context) -> Value {
    json!({ "source": context.source, "id": context.id })
}

fn event(context: &Context, id: String, ty: &str, time: DateTime<Utc>) -> EventBuilderV10 {
    let correlation_id = context.correlation_id.as_ref().unwrap_or(&context.id);
    let mut event = EventBuilderV10::new()
        .id(id)
        .ty(ty)
        .source(SOURCE)
        .time(time)
        .extension("causationid", context.id.as_str())
        .extension("correlationid", correlation_id.as_str());
    for (name, value) in [("traceparent", &context.traceparent), ("tracestate", &context.tracestate)] {
        if let Some(value) = value {
            event = event.extension(name, value.as_str());
        }
    }
    event
}

fn build(event: EventBuilderV10) -> Event {
    event.build().expect("what is told has its id, type and source")
}

#[cfg(test)]
mod tests;
