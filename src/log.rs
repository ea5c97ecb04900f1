//! One JSON object a line for each delivery, under 4,096 bytes, so that parallel instances can't tear it apart.
//!
//! A write of up to 4,096 bytes to a pipe is atomic (POSIX, `PIPE_BUF`), and all instances of the component share
//! their host's stderr. What is in the line is for operators; what a producer reads is in the answer.
//! `docs/operations.md`, "The log".

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};
use serde_json::json;

use crate::reason::Reason;
use crate::text::{Redactor, cut};

/// The longest line, its newline included.
pub const LONGEST_LINE: usize = 4_096;

/// How many bytes of one text are kept, in the order in which it is tried to make the line short enough.
const TEXT_LIMITS: [usize; 4] = [1_024, 256, 64, 16];

/// What became of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A client is there; or it is ending, where that was asked for.
    Done,
    /// There will be no client; or it can't be ended.
    Failed,
    /// It was told that a client runs.
    Running,
    /// It was told that a client has ended.
    Ended,
    /// All clients were looked at.
    Swept,
    /// The broker will redeliver.
    Retry,
    /// An event of another type.
    Ignored,
    /// No event, or nothing that can be answered with one.
    #[default]
    Rejected,
}

/// What is known of a delivery by its end.
#[derive(Clone, Default)]
pub struct Entry {
    /// How it ended.
    pub outcome: Kind,
    /// The event's `source`, as far as there is an event.
    pub event_source: Option<String>,
    /// The event's `id`.
    pub event_id: Option<String>,
    /// The event's `type`.
    pub event_type: Option<String>,
    /// The gateway asked for.
    pub gateway: Option<String>,
    /// The client's Pod.
    pub pod: Option<String>,
    /// The namespace of the Pod.
    pub namespace: Option<String>,
    /// Why it failed.
    pub reason: Option<Reason>,
    /// The HTTP status answered.
    pub status: u16,
    /// How many calls to the Kubernetes API were made.
    pub api_calls: u32,
    /// The trace that the event belongs to.
    pub trace_id: Option<String>,
    /// What happened, in words.
    pub message: Option<String>,
    /// Whether it came as a dead letter.
    pub dead_letter: bool,
    /// What takes the token out of the line.
    pub redactor: Redactor,
}

impl Entry {
    /// The line, with its newline: when it was written, and how long the delivery took.
    pub fn line(&self, time: DateTime<Utc>, elapsed: Duration) -> String {
        let mut lines = TEXT_LIMITS.iter().map(|&limit| self.line_with(time, elapsed, limit));
        lines.find(|line| line.len() <= LONGEST_LINE).unwrap_or_default()
    }

    fn line_with(&self, time: DateTime<Utc>, elapsed: Duration, limit: usize) -> String {
        // Without the token first, and cut then: a part of a token is as much as a token.
        let text = |text: &Option<String>| text.as_ref().map(|text| cut(&self.redactor.text(text), limit).to_owned());
        let fields = [
            ("time", json!(time.to_rfc3339_opts(SecondsFormat::Millis, true))),
            (
                "level",
                json!(match self.outcome {
                    Kind::Failed | Kind::Retry | Kind::Rejected => "warn",
                    _ => "info",
                }),
            ),
            ("outcome", json!(self.outcome)),
            ("status", json!(self.status)),
            ("reason", json!(self.reason)),
            ("event_source", json!(text(&self.event_source))),
            ("event_id", json!(text(&self.event_id))),
            ("event_type", json!(text(&self.event_type))),
            ("gateway", json!(text(&self.gateway))),
            ("namespace", json!(text(&self.namespace))),
            ("pod", json!(text(&self.pod))),
            ("milliseconds", json!(elapsed.as_millis() as u64)),
            ("api_calls", json!(self.api_calls)),
            ("trace_id", json!(text(&self.trace_id))),
            ("message", json!(text(&self.message))),
            ("dead_letter", json!(self.dead_letter.then_some(true))),
        ];
        let mut line = Vec::new();
        let known = fields.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name, value));
        _ = serde_json::Serializer::new(&mut line).collect_map(known);
        line.push(b'\n');
        String::from_utf8(line).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
