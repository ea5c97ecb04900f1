//! Writes one JSON object per line and delivery. A line has at most 4,096 bytes, so that parallel instances don't mix
//! theirs.
//!
//! A write of up to 4,096 bytes to a pipe is atomic (POSIX, `PIPE_BUF`), and all instances share their host's stderr.
//! The log is for operators; the answer tells producers. `docs/operations.md`, "The log".

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};
use serde_json::json;

use crate::reason::Reason;
use crate::text::{Redactor, cut};

/// The longest line, its newline included.
pub const LONGEST_LINE: usize = 4_096;

/// The limits for each text in bytes, tried in this order until the line is short enough.
const TEXT_LIMITS: [usize; 4] = [1_024, 256, 64, 16];

/// How a request ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The client was created, or is ending as requested.
    Done,
    /// There will be no client, or it can't be ended.
    Failed,
    /// The report that a client runs was sent.
    Running,
    /// The report that a client has ended was sent.
    Ended,
    /// The sweep looked at all clients.
    Swept,
    /// The broker will redeliver.
    Retry,
    /// An event that needs nothing done.
    Ignored,
    /// Not an event, not from an allowed sender, or not a known path or method.
    #[default]
    Rejected,
}

impl Kind {
    /// Every outcome, in the order of the list in `docs/operations.md`.
    #[rustfmt::skip]
    pub const ALL: [Self; 8] = [
        Self::Done, Self::Failed, Self::Running, Self::Ended, Self::Swept, Self::Retry, Self::Ignored, Self::Rejected,
    ];
}

/// What the log says about a delivery.
#[derive(Clone, Default)]
pub struct Entry {
    /// How it ended.
    pub outcome: Kind,
    /// The event's `source`, if it is an event.
    pub event_source: Option<String>,
    /// The event's `id`.
    pub event_id: Option<String>,
    /// The event's `type`.
    pub event_type: Option<String>,
    /// The requested gateway.
    pub gateway: Option<String>,
    /// The client's Pod.
    pub pod: Option<String>,
    /// The namespace of the Pod.
    pub namespace: Option<String>,
    /// Why it failed.
    pub reason: Option<Reason>,
    /// The HTTP status of the response.
    pub status: u16,
    /// The number of calls to the Kubernetes API.
    pub api_calls: u32,
    /// The event's trace id.
    pub trace_id: Option<String>,
    /// What happened, in words.
    pub message: Option<String>,
    /// Whether it came on the dead letter route.
    pub dead_letter: bool,
    /// Removes tokens from the line.
    pub redactor: Redactor,
}

impl Entry {
    /// The line with its newline, written at `time`, after a delivery that took `elapsed`.
    pub fn line(&self, time: DateTime<Utc>, elapsed: Duration) -> String {
        let mut lines = TEXT_LIMITS.iter().map(|&limit| self.line_with(time, elapsed, limit));
        lines.find(|line| line.len() <= LONGEST_LINE).unwrap_or_default()
    }

    fn line_with(&self, time: DateTime<Utc>, elapsed: Duration, limit: usize) -> String {
        // Remove the token before cutting the text: a part of a token must not be printed either.
        let text = |text: &Option<String>| text.as_ref().map(|text| cut(&self.redactor.text(text), limit).to_owned());
        let level = match self.outcome {
            Kind::Failed | Kind::Retry | Kind::Rejected => "warn",
            _ => "info",
        };
        let fields = [
            ("time", json!(time.to_rfc3339_opts(SecondsFormat::Millis, true))),
            ("level", json!(level)),
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
        let known = fields.into_iter().filter(|(_, value)| !value.is_null());
        _ = serde_json::Serializer::new(&mut line).collect_map(known);
        line.push(b'\n');
        String::from_utf8(line).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
