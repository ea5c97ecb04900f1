//! What passes the broker, for a person to read and a test to wait for.
//!
//! Every step of a delivery is one `BrokerEvent`: kept, as far as memory is bounded, sent to all who subscribed, and
//! rendered as one line.

use super::event;
use crate::sync::lock;
use chrono::{DateTime, Local, Utc};
use cloudevents::{AttributesReader, Event};
use serde::{Serialize, Serializer};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Mutex;
use tokio::sync::broadcast;

/// How many of them are kept.
const LIMIT: usize = 10_000;

/// One step of an event's way.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BrokerEvent {
    /// Which one it is, counted from 1 by this broker.
    pub number: u64,
    /// When.
    pub at: DateTime<Utc>,
    /// Which step.
    #[serde(flatten)]
    pub kind: Passed,
    /// The subscriber of the Trigger that took it, where several match it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscriber: Option<String>,
    /// The event as it was then.
    #[serde(serialize_with = "readable")]
    pub event: Event,
}

/// A step of an event's way.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Passed {
    /// The ingress took it in, from a producer or as a reply.
    Received,
    /// No Trigger's filter matched it: its way ends here.
    Unmatched,
    /// The subscriber took it.
    Delivered {
        /// The subscriber's answer.
        status: u16,
    },
    /// The subscriber did not take it, this time.
    Retry {
        /// The number of the retry, from 1.
        attempt: u32,
        /// The subscriber's answer; none is a timeout or a lost connection.
        status: Option<u16>,
        /// After how long it is tried again.
        delay_seconds: f64,
    },
    /// The subscriber answered it with another event.
    Reply {
        /// That event's type.
        #[serde(rename = "type")]
        ty: String,
    },
    /// It could not be delivered.
    DeadLettered {
        /// Why.
        reason: String,
    },
    /// The dead letter sink was asked to take it.
    DeadLetterSink {
        /// The sink's last answer.
        status: Option<u16>,
    },
}

/// An event with its data as JSON instead of base64, where it is JSON.
fn readable<S: Serializer>(event: &Event, serializer: S) -> Result<S::Ok, S::Error> {
    let mut event = event.clone();
    if let Some(data) = event::json_data(&event) {
        event.set_data_unchecked(data);
    }
    event.serialize(serializer)
}

impl fmt::Display for BrokerEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (time, (word, detail)) = (self.time(), self.line());
        let id: String = self.event.id().chars().take(8).collect();
        let line = format!("{time}  {word:<11}  {id:<8}  {detail}");
        f.write_str(line.trim_end())?;
        self.subscriber.as_ref().map_or(Ok(()), |subscriber| write!(f, "  at {subscriber}"))
    }
}

impl BrokerEvent {
    /// When, by the clock on the wall.
    pub fn time(&self) -> impl fmt::Display {
        self.at.with_timezone(&Local).format("%H:%M:%S%.3f")
    }

    /// Whether it only says that a source of Knative's told something: what came of that is another step.
    pub fn is_routine(&self) -> bool {
        let goes_well = matches!(self.kind, Passed::Received | Passed::Delivered { .. });
        goes_well && self.event.ty().starts_with("dev.knative.")
    }

    /// What happened, in a word, and what is special about it.
    pub fn line(&self) -> (&str, String) {
        let ty = self.event.ty();
        match &self.kind {
            Passed::Received => (last_word(ty), about(&self.event)),
            Passed::Unmatched => ("unmatched", format!("{}: nobody waits for it here", last_word(ty))),
            Passed::Delivered { status } => ("delivered", answer(Some(*status))),
            Passed::Retry { attempt, status, delay_seconds } => {
                ("retry", format!("{attempt} in {delay_seconds:.1} s, because {}", answer(*status)))
            }
            Passed::Reply { ty } => ("reply", last_word(ty).to_owned()),
            Passed::DeadLettered { reason } => ("dead letter", reason.clone()),
            Passed::DeadLetterSink { status } => ("sink", answer(*status)),
        }
    }
}

/// What an event's type ends in: `pending`, `done`, `failed`; about a client's end `termination.done` and so on.
pub fn last_word(ty: &str) -> &str {
    let at = ty.rfind(".termination.").or(ty.rfind('.'));
    at.map_or(ty, |at| &ty[at + 1..])
}

fn answer(status: Option<u16>) -> String {
    status.map_or("there was no answer".to_owned(), |status| format!("it was answered {status}"))
}

/// What tells one event from another at a glance: its gateway, the object it is about, and why something failed.
fn about(event: &Event) -> String {
    let data = event::json_data(event).unwrap_or_default();
    let text = |member: &str| data[member].as_str();
    let message = text("reason").and_then(|_| text("message"));
    let parts = [text("gateway_name"), event.subject(), text("reason"), message];
    parts.into_iter().flatten().collect::<Vec<_>>().join("  ")
}

/// The latest 10,000 steps, and who wants to hear of the next.
#[derive(Debug)]
pub struct Journal {
    kept: Mutex<Kept>,
    sender: broadcast::Sender<BrokerEvent>,
}

#[derive(Debug, Default)]
struct Kept {
    steps: VecDeque<BrokerEvent>,
    noted: u64,
    totals: Totals,
}

/// What has passed since the start, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Events that ask for a client.
    pub pending: usize,
    /// Answers that there is one.
    pub done: usize,
    /// Answers that there will be none.
    pub failed: usize,
    /// Attempts after the first.
    pub retries: usize,
    /// Events that could not be delivered.
    pub dead_letters: usize,
}

impl Totals {
    fn count(&mut self, kind: &Passed, event: &Event) {
        match (kind, last_word(event.ty())) {
            (Passed::Received, "pending") => self.pending += 1,
            (Passed::Received, "done") => self.done += 1,
            (Passed::Received, "failed") => self.failed += 1,
            (Passed::Retry { .. }, _) => self.retries += 1,
            (Passed::DeadLettered { .. }, _) => self.dead_letters += 1,
            _ => (),
        }
    }
}

impl Journal {
    /// One in which nothing has passed.
    pub(super) fn new() -> Self {
        Self { kept: Mutex::default(), sender: broadcast::Sender::new(1024) }
    }

    /// Notes a step, and the subscriber where it is that of one Trigger among several.
    pub(super) fn note(&self, subscriber: Option<String>, kind: Passed, event: &Event) {
        let mut kept = lock(&self.kept);
        kept.noted += 1;
        kept.totals.count(&kind, event);
        let step = BrokerEvent { number: kept.noted, at: Utc::now(), kind, subscriber, event: event.clone() };
        if kept.steps.len() == LIMIT {
            kept.steps.pop_front();
        }
        kept.steps.push_back(step.clone());
        drop(kept);
        // Nobody has to listen.
        _ = self.sender.send(step);
    }

    /// The steps that are kept, the oldest first.
    pub fn events(&self) -> Vec<BrokerEvent> {
        self.look(|steps, _| steps.iter().cloned().collect())
    }

    /// The same, which are forgotten.
    pub fn take(&self) -> VecDeque<BrokerEvent> {
        std::mem::take(&mut lock(&self.kept).steps)
    }

    /// What `read` makes of the steps that are kept, the oldest first, and of all there were. None is noted meanwhile.
    pub fn look<T>(&self, read: impl FnOnce(&VecDeque<BrokerEvent>, Totals) -> T) -> T {
        let kept = lock(&self.kept);
        read(&kept.steps, kept.totals)
    }

    /// The steps to come; who reads too slowly misses some.
    pub fn subscribe(&self) -> broadcast::Receiver<BrokerEvent> {
        self.sender.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudevents::{EventBuilder, EventBuilderV10};
    use serde_json::json;

    fn pending() -> Event {
        let builder = EventBuilderV10::new().id("3f2a1b2c-rest").source("/s");
        let builder = builder.ty("io.podgateway.client.pending");
        let data = json!({"gateway_name": "foo", "message": "hello"});
        builder.data("application/json", data).build().unwrap()
    }

    #[track_caller]
    fn check(kind: Passed, expect: &str) {
        let journal = Journal::new();
        journal.note(None, kind, &pending());
        let line = journal.events()[0].to_string();
        assert_eq!(&line[14..], expect);
    }

    #[test]
    fn each_step_is_one_line() {
        check(Passed::Received, "pending      3f2a1b2c  foo");
        check(Passed::Delivered { status: 200 }, "delivered    3f2a1b2c  it was answered 200");
        let retry = Passed::Retry { attempt: 1, status: Some(503), delay_seconds: 0.2 };
        check(retry, "retry        3f2a1b2c  1 in 0.2 s, because it was answered 503");
        check(Passed::Reply { ty: "x.scheduling.done".to_owned() }, "reply        3f2a1b2c  done");
        check(Passed::DeadLettered { reason: "no answer".to_owned() }, "dead letter  3f2a1b2c  no answer");
    }

    #[test]
    fn step_of_one_trigger_among_several_says_whose_it_is() {
        let journal = Journal::new();
        journal.note(Some("http://h/".to_owned()), Passed::Delivered { status: 200 }, &pending());
        let step = journal.events().remove(0);
        assert!(step.to_string().ends_with("answered 200  at http://h/"), "{step}");
        assert_eq!(serde_json::to_value(&step).unwrap()["subscriber"], "http://h/");
    }

    #[test]
    fn totals_count_what_is_no_longer_kept() {
        let journal = Journal::new();
        let event = |ty: &str| EventBuilderV10::new().id("1").source("/s").ty(ty).build().unwrap();
        // An answer about an end is none about a client.
        journal.note(None, Passed::Received, &event("io.podgateway.client.termination.done"));
        let dead = Passed::DeadLettered { reason: String::new() };
        let retry = Passed::Retry { attempt: 1, status: None, delay_seconds: 0.0 };
        for kind in [Passed::Received, retry, dead] {
            journal.note(None, kind, &event("pending"));
        }
        for ty in ["x.done", "x.failed"] {
            journal.note(None, Passed::Received, &event(ty));
        }
        (0..LIMIT).for_each(|_| journal.note(None, Passed::Received, &event("pending")));
        let expected = Totals { pending: LIMIT + 1, done: 1, failed: 1, retries: 1, dead_letters: 1 };
        assert_eq!(journal.look(|steps, totals| (steps.len(), totals)), (LIMIT, expected));
    }

    #[test]
    fn step_is_json_with_its_kind_and_event() {
        let journal = Journal::new();
        let mut event = pending();
        event.set_data_unchecked(br#"{"gateway_name": "foo"}"#.to_vec());
        journal.note(None, Passed::Delivered { status: 202 }, &event);
        let step = serde_json::to_value(&journal.events()[0]).unwrap();
        assert_eq!((&step["kind"], &step["status"]), (&json!("delivered"), &json!(202)));
        assert_eq!(step["event"]["id"], "3f2a1b2c-rest");
        assert_eq!(step["event"]["data"], json!({"gateway_name": "foo"}));
    }
}
