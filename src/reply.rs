//! Outcome in, `done` or `failed` event out.
//!
//! An answer's id is a function of the pending event's identity and of the answer's type, so that a repeated answer is
//! recognisably the same event; a repeated `done` even is the same to the byte, because its time is the Pod's.
//! `docs/contract.md`, "The answer".

use chrono::{DateTime, Utc};
use cloudevents::{Event, EventBuilder, EventBuilderV10};
use serde_json::{Value, json};

use crate::config::Verification;
use crate::context::Context;
use crate::event::repeated;
use crate::pod::Metadata;
use crate::reason::Failure;

/// The type of the answer to an event whose client is there.
pub const DONE: &str = "io.podgateway.client.scheduling.done";
/// The type of the answer to an event of which there will never be a client.
pub const FAILED: &str = "io.podgateway.client.scheduling.failed";
/// The `source` of every answer.
pub const SOURCE: &str = "podgateway/eventing/client/provisioner";

const JSON: &str = "application/json";

/// The event that says where the client is.
pub fn done(context: &Context, gateway: &str, pod: &Metadata, verification: Verification, now: DateTime<Utc>) -> Event {
    let message = match verification {
        Verification::Required => format!("the client goes out through the gateway {gateway}"),
        Verification::Off => format!("the client was created; its gateway {gateway} was not verified"),
    };
    let data = json!({
        "message": message,
        "pod_name": pod.name,
        "namespace": pod.namespace,
        "gateway_name": gateway,
        "pod_uid": pod.uid,
        "pending_event": pending_event(context),
    });
    let subject = format!("{}/{}", pod.namespace, pod.name);
    let time = pod.creation_timestamp.unwrap_or(now);
    build(answer(context, DONE, time).subject(subject).data(JSON, data))
}

/// The event that says why there will be no client. `gateway` is what the event asked for, if it could be read.
pub fn failed(context: &Context, gateway: Option<&str>, failure: &Failure, now: DateTime<Utc>) -> Event {
    let data = json!({
        "message": failure.message,
        "reason": failure.reason,
        "gateway_name": gateway.and_then(repeated),
        "pending_event": pending_event(context),
    });
    build(answer(context, FAILED, now).data(JSON, data))
}

fn pending_event(context: &Context) -> Value {
    json!({ "source": context.source, "id": context.id })
}

fn answer(context: &Context, ty: &str, time: DateTime<Utc>) -> EventBuilderV10 {
    let correlation_id = context.correlation_id.as_ref().unwrap_or(&context.id);
    let mut answer = EventBuilderV10::new()
        .id(context.answer_id(ty))
        .ty(ty)
        .source(SOURCE)
        .time(time)
        .extension("causationid", context.id.as_str())
        .extension("correlationid", correlation_id.as_str());
    for (name, value) in [("traceparent", &context.traceparent), ("tracestate", &context.tracestate)] {
        if let Some(value) = value {
            answer = answer.extension(name, value.as_str());
        }
    }
    answer
}

fn build(answer: EventBuilderV10) -> Event {
    answer.build().expect("an answer has its id, type and source")
}

#[cfg(test)]
mod tests;
