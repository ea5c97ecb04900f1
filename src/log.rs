//! One JSON object a line for each delivery, under 4,096 bytes, so that parallel instances can't tear it apart.
//!
//! A write of up to 4,096 bytes to a pipe is atomic (POSIX, `PIPE_BUF`), and all instances of the component share
//! their host's stderr. What is in the line is for operators; what a producer reads is in the reply. Design, section 8.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use crate::reason::Reason;

/// The longest line, its newline included.
pub const LONGEST_LINE: usize = 4_096;

/// How many bytes of one text are kept, in the order in which it is tried to make the line short enough.
const TEXT_LIMITS: [usize; 4] = [1_024, 256, 64, 16];

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A client is there.
    Done,
    /// There will be no client.
    Failed,
    /// The broker will redeliver.
    Retry,
    /// An event of another type.
    Ignored,
    /// No event, or nothing that can be answered with one.
    Rejected,
}

/// What is known of a delivery by its end.
#[derive(Clone, Debug)]
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
}

impl Entry {
    /// An entry of which only the outcome is known yet.
    pub fn new(outcome: Kind) -> Self {
        Self {
            outcome,
            event_source: None,
            event_id: None,
            event_type: None,
            gateway: None,
            pod: None,
            namespace: None,
            reason: None,
            status: 0,
            api_calls: 0,
            trace_id: None,
            message: None,
            dead_letter: false,
        }
    }

    /// The line, with its newline: when it was written, and how long the delivery took.
    pub fn line(&self, time: DateTime<Utc>, elapsed: Duration) -> String {
        let lines = TEXT_LIMITS.iter().map(|&limit| self.line_with(time, elapsed, limit));
        lines.into_iter().find(|line| line.len() <= LONGEST_LINE).unwrap_or_default()
    }

    fn line_with(&self, time: DateTime<Utc>, elapsed: Duration, limit: usize) -> String {
        let line = Line {
            time: time.to_rfc3339_opts(SecondsFormat::Millis, true),
            level: self.level(),
            outcome: self.outcome,
            status: self.status,
            reason: self.reason,
            event_source: cut(&self.event_source, limit),
            event_id: cut(&self.event_id, limit),
            event_type: cut(&self.event_type, limit),
            gateway: cut(&self.gateway, limit),
            namespace: cut(&self.namespace, limit),
            pod: cut(&self.pod, limit),
            milliseconds: elapsed.as_millis() as u64,
            api_calls: self.api_calls,
            trace_id: cut(&self.trace_id, limit),
            message: cut(&self.message, limit),
            dead_letter: self.dead_letter,
        };
        serde_json::to_string(&line).unwrap_or_default() + "\n"
    }

    fn level(&self) -> &'static str {
        match self.outcome {
            Kind::Done | Kind::Ignored => "info",
            Kind::Failed | Kind::Retry | Kind::Rejected => "warn",
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    level: &'a str,
    outcome: Kind,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_source: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod: Option<&'a str>,
    milliseconds: u64,
    api_calls: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dead_letter: bool,
}

/// The beginning of a text, at most `limit` bytes of it and whole characters only.
fn cut(text: &Option<String>, limit: usize) -> Option<&str> {
    text.as_deref().map(|text| &text[..text.floor_char_boundary(limit)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn line(entry: &Entry) -> String {
        entry.line("2026-01-01T00:00:00Z".parse().unwrap(), Duration::from_millis(12))
    }

    #[test]
    fn a_line_is_one_json_object() {
        let mut entry = Entry::new(Kind::Failed);
        entry.event_id = Some("a\nb".into());
        entry.reason = Some(Reason::PodRejected);
        entry.status = 200;
        let line = line(&entry);
        assert_eq!(line.matches('\n').count(), 1);
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["time"], "2026-01-01T00:00:00.000Z");
        assert_eq!((&value["level"], &value["outcome"]), (&"warn".into(), &"failed".into()));
        assert_eq!((&value["reason"], &value["event_id"]), (&"PodRejected".into(), &"a\nb".into()));
        assert_eq!((&value["status"], &value["milliseconds"]), (&200.into(), &12.into()));
        assert_eq!(value.get("pod"), None);
    }

    #[test]
    fn a_line_stays_whole_however_long_its_texts() {
        for text in ["x", "ä", "\u{1}", "\"", "\u{1F600}"] {
            let text = Some(text.repeat(100_000));
            let mut entry = Entry::new(Kind::Retry);
            for field in [
                &mut entry.event_source,
                &mut entry.event_id,
                &mut entry.event_type,
                &mut entry.gateway,
                &mut entry.message,
                &mut entry.trace_id,
                &mut entry.pod,
                &mut entry.namespace,
            ] {
                field.clone_from(&text);
            }
            let line = line(&entry);
            assert!(!line.is_empty() && line.len() <= LONGEST_LINE, "{} bytes", line.len());
            assert!(serde_json::from_str::<Value>(&line).is_ok());
        }
    }
}
