//! What became of one event: how often it was sent and tried, and how it was answered.
//!
//! In: the steps that passed the broker. Out: a [`Story`]. An answer belongs to the event that its data names.

use std::collections::BTreeSet;

use cloudevents::{AttributesReader, Event};
use provisioner::event::PENDING;
use provisioner::reply::{DONE, FAILED};
use serde_json::Value;

use crate::broker::{BrokerEvent, Passed, json_data, last_word};

/// What became of the events of one identity.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Story {
    /// How often it was sent.
    pub sent: usize,
    /// How often the provisioner was asked again.
    pub retries: usize,
    /// How often the broker gave up on it.
    pub given_up: usize,
    /// Why it gave up, if nothing has come after that.
    pub dead: Option<String>,
    /// The answers, the latest last.
    pub answers: Vec<Answer>,
}

/// One `done` or `failed`.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The answer's own id.
    pub id: String,
    /// `done` or `failed`.
    pub outcome: String,
    /// Why it failed.
    pub reason: Option<String>,
    /// What it says.
    pub message: String,
    /// The Pod that it speaks of.
    pub pod: Option<String>,
}

impl Story {
    /// The story of the event (`source`, `id`).
    pub fn of<'a>(steps: impl IntoIterator<Item = &'a BrokerEvent>, source: &str, id: &str) -> Self {
        let mut story = Self::default();
        for step in steps {
            let event = &step.event;
            match &step.kind {
                Passed::Received if [DONE, FAILED].contains(&event.ty()) => {
                    if let Some(answer) = Answer::to(source, id, event) {
                        story.answers.push(answer);
                        story.dead = None;
                    }
                }
                _ if event.ty() != PENDING || event.id() != id || event.source().as_str() != source => (),
                Passed::Received => (story.sent, story.dead) = (story.sent + 1, None),
                Passed::Retry { .. } => story.retries += 1,
                Passed::DeadLettered { reason } => {
                    (story.given_up, story.dead) = (story.given_up + 1, Some(reason.clone()));
                }
                _ => (),
            }
        }
        story
    }

    /// How many different answers there are: one, however often they were given.
    pub fn distinct_answers(&self) -> usize {
        self.answers.iter().map(|answer| &answer.id).collect::<BTreeSet<_>>().len()
    }

    /// The same in a sentence; `gateway` is whose client was asked for.
    pub fn told(&self, gateway: &str) -> String {
        let times = |count: usize| match count {
            1 => "once".to_owned(),
            2 => "twice".to_owned(),
            count => format!("{count} times"),
        };
        let mut text = format!("Sent {}", times(self.sent));
        if self.retries > 0 {
            text += &format!(", retried {}", times(self.retries));
        }
        text += &match (self.answers.len(), self.distinct_answers(), &self.dead) {
            (_, _, Some(why)) => format!(": the broker gave up on it ({why})."),
            (0, ..) if self.sent == 0 => " by nobody yet.".to_owned(),
            (0, ..) => format!(": waiting for a client of {gateway:?}."),
            (1, ..) => ", answered once.".to_owned(),
            (count, 1, _) => format!(", answered {} with one and the same event.", times(count)),
            (count, ..) => format!(", answered {}.", times(count)),
        };
        if self.is_over() || self.answers.is_empty() { text } else { text + " One delivery is under way." }
    }

    /// Whether nothing more will come.
    pub fn is_over(&self) -> bool {
        self.answers.len() + self.given_up >= self.sent
    }
}

impl Answer {
    fn to(source: &str, id: &str, event: &Event) -> Option<Self> {
        let data = json_data(event)?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let pending = &data["pending_event"];
        if pending["source"] != source || pending["id"] != id {
            return None;
        }
        Some(Self {
            id: event.id().to_owned(),
            outcome: last_word(event.ty()).to_owned(),
            reason: text(&data["reason"]),
            message: text(&data["message"]).unwrap_or_default(),
            pod: text(&data["pod_name"]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::Utc;
    use cloudevents::{EventBuilder, EventBuilderV10};
    use serde_json::json;

    fn step(kind: Passed, ty: &str, id: &str, data: Value) -> BrokerEvent {
        let event = EventBuilderV10::new().id(id).source("/s").ty(ty).data("application/json", data);
        BrokerEvent { number: 1, at: Utc::now(), kind, subscriber: None, event: event.build().unwrap() }
    }

    fn received(id: &str) -> BrokerEvent {
        step(Passed::Received, PENDING, id, json!({"gateway_name": "foo"}))
    }

    fn done(id: &str) -> BrokerEvent {
        let data = json!({"message": "m", "pod_name": "p", "pending_event": {"source": "/s", "id": id}});
        step(Passed::Received, "io.podgateway.client.scheduling.done", &format!("done-{id}"), data)
    }

    #[test]
    fn a_story_holds_what_is_of_its_event_and_nothing_else() {
        let retry = Passed::Retry { attempt: 1, status: Some(503), delay_seconds: 0.0 };
        let steps = [received("1"), received("2"), step(retry, PENDING, "1", Value::Null), done("2"), done("1")];
        let story = Story::of(&steps, "/s", "1");
        assert_eq!((story.sent, story.retries, story.answers.len()), (1, 1, 1));
        assert_eq!(story.answers[0].pod.as_deref(), Some("p"));
        assert!(story.is_over());
        assert_eq!(Story::of(&steps, "/other", "1"), Story::default());
    }

    #[test]
    fn an_event_that_is_sent_twice_has_one_answer_given_twice() {
        let steps = [received("1"), done("1"), received("1")];
        assert!(!Story::of(&steps, "/s", "1").is_over());
        let steps = [received("1"), done("1"), received("1"), done("1")];
        let story = Story::of(&steps, "/s", "1");
        assert_eq!((story.answers.len(), story.distinct_answers(), story.is_over()), (2, 1, true));
    }

    #[test]
    fn an_event_that_was_given_up_is_over() {
        let dead = Passed::DeadLettered { reason: "no answer".into() };
        let story = Story::of(&[received("1"), step(dead, PENDING, "1", Value::Null)], "/s", "1");
        assert_eq!(story.dead.as_deref(), Some("no answer"));
        assert!(story.is_over());
    }

    #[test]
    fn an_event_that_was_given_up_and_sent_again_is_under_way_and_then_answered() {
        let dead = || step(Passed::DeadLettered { reason: "no answer".into() }, PENDING, "1", Value::Null);
        let story = Story::of(&[received("1"), dead(), received("1")], "/s", "1");
        assert_eq!((story.dead.as_deref(), story.is_over()), (None, false));
        let story = Story::of(&[received("1"), dead(), received("1"), done("1")], "/s", "1");
        assert_eq!((story.dead.as_deref(), story.answers.len(), story.is_over()), (None, 1, true));
        // By the dead letter route an answer may come without its being sent again.
        assert_eq!(Story::of(&[received("1"), dead(), done("1")], "/s", "1").dead, None);
    }

    #[test]
    fn a_story_is_told_in_a_sentence() {
        let answer = Answer { id: "a".into(), outcome: "done".into(), reason: None, message: String::new(), pod: None };
        let story = |sent, retries, answers: usize| Story {
            sent,
            retries,
            answers: vec![answer.clone(); answers],
            ..Story::default()
        };
        let told = |story: Story| story.told("foo");
        assert_eq!(told(story(1, 0, 0)), "Sent once: waiting for a client of \"foo\".");
        assert_eq!(told(story(1, 3, 1)), "Sent once, retried 3 times, answered once.");
        assert_eq!(told(story(2, 0, 2)), "Sent twice, answered twice with one and the same event.");
        assert_eq!(told(story(2, 0, 1)), "Sent twice, answered once. One delivery is under way.");
    }
}
