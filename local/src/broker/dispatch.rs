//! From an event that was taken in to its end.
//!
//! The Triggers that it matches, the delivery with its retries, the reply that is taken in as a new event, and the dead
//! letter. As in Knative, a 2xx with a body that is no CloudEvent counts as a 502 and is retried; a reply that the broker
//! does not take makes a dead letter of the event it answers; and what a dead letter sink answers is thrown away.

use super::journal::{Journal, Passed};
use super::sender::{Answer, Failure, Sender};
use super::trigger::can_heal;
use super::{BrokerConfig, Delivery, PATH, Trigger, ttl};
use bytes::Bytes;
use chrono::Utc;
use cloudevents::{AttributesReader, Event};
use futures::future::BoxFuture;
use http::Uri;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The Triggers and all that they have under way.
#[derive(Debug)]
pub struct Dispatcher {
    /// What passed.
    pub journal: Journal,
    url: String,
    triggers: Vec<Trigger>,
    sender: Sender,
    deliveries: TaskTracker,
    pub(super) stopped: CancellationToken,
}

impl Dispatcher {
    pub(super) fn new(config: BrokerConfig, address: SocketAddr) -> Self {
        let deliveries = TaskTracker::new();
        // Of one that is open, `wait` would wait for more.
        deliveries.close();
        Self {
            journal: Journal::new(),
            url: format!("http://{address}{PATH}"),
            triggers: config.triggers,
            sender: Sender::new(),
            deliveries,
            stopped: CancellationToken::new(),
        }
    }

    /// Where producers POST their events.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How many events are being delivered, or wait for a retry.
    pub fn in_flight(&self) -> usize {
        self.deliveries.len()
    }

    /// Waits until every event has come to its end, replies included.
    pub async fn wait_idle(&self) {
        self.deliveries.wait().await;
    }

    /// Takes an event in as if it had been POSTed; false when its TTL is used up.
    pub fn publish(self: &Arc<Self>, mut event: Event) -> bool {
        if !ttl::arrive(&mut event, Utc::now()) {
            return false;
        }
        self.journal.note(None, Passed::Received, &event);
        let matching: Vec<_> = self.matching(&event).cloned().collect();
        if matching.is_empty() {
            self.journal.note(None, Passed::Unmatched, &event);
        }
        for trigger in matching {
            let delivery = self.clone().deliver(trigger, event.clone());
            self.deliveries.spawn(self.stopped.clone().run_until_cancelled_owned(delivery));
        }
        true
    }

    fn matching(&self, event: &Event) -> impl Iterator<Item = &Trigger> {
        self.triggers.iter().filter(|trigger| trigger.filter.matches(event))
    }

    // Boxed, because a reply makes a delivery start another.
    fn deliver(self: Arc<Self>, trigger: Trigger, event: Event) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let mut sent = event.clone();
            let ttl = ttl::take(&mut sent);
            match self.send(&trigger, &trigger.subscriber, &sent).await {
                Err(failure) => self.bury(&trigger, event, &trigger.subscriber.to_string(), failure).await,
                Ok(Answer { status, reply }) => {
                    self.note(&trigger, Passed::Delivered { status }, &sent);
                    if let Some(reply) = reply {
                        self.take_reply(&trigger, event, reply, ttl).await;
                    }
                }
            }
        })
    }

    async fn take_reply(self: &Arc<Self>, trigger: &Trigger, event: Event, mut reply: Event, ttl: i64) {
        self.note(trigger, Passed::Reply { ty: reply.ty().to_owned() }, &event);
        ttl::set(&mut reply, ttl);
        if !self.publish(reply) {
            let why = "the broker does not take the reply: its TTL is used up".to_owned();
            self.bury(trigger, event, &self.url, Failure { why, ..Failure::status(400, Bytes::new()) }).await;
        }
    }

    async fn bury(&self, trigger: &Trigger, mut event: Event, destination: &str, failure: Failure) {
        if let Some((code, body)) = &failure.error {
            ttl::mark_dead(&mut event, destination, *code, body);
        }
        self.note(trigger, Passed::DeadLettered { reason: failure.why }, &event);
        if let Some(sink) = &trigger.dead_letter_sink {
            let sent = self.send(trigger, sink, &event).await;
            let status = sent.map_or_else(|failure| failure.status, |answer| Some(answer.status));
            self.note(trigger, Passed::DeadLetterSink { status }, &event);
        }
    }

    async fn send(&self, trigger: &Trigger, destination: &Uri, event: &Event) -> Result<Answer, Failure> {
        let Delivery { retry, timeout, .. } = trigger.delivery;
        let mut retries = 0;
        loop {
            let attempt = self.sender.attempt(destination, event);
            let failure = match tokio::time::timeout(timeout.unwrap_or(Duration::MAX), attempt).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(failure)) => failure,
                Err(_) => Failure::no_answer("the attempt timed out"),
            };
            let status = failure.status;
            if !can_heal(status) || retries == retry {
                let after = if retries > 0 { format!(", after {retries} retries") } else { String::new() };
                return Err(Failure { why: failure.why + &after, ..failure });
            }
            let delay = trigger.delivery.delay(retries);
            retries += 1;
            let again = Passed::Retry { attempt: retries, status, delay_seconds: delay.as_secs_f64() };
            self.note(trigger, again, event);
            tokio::time::sleep(delay).await;
        }
    }

    /// Notes a step of a delivery, and whose it is where there could be a doubt.
    fn note(&self, trigger: &Trigger, kind: Passed, event: &Event) {
        let subscriber = (self.matching(event).count() > 1).then(|| trigger.subscriber.to_string());
        self.journal.note(subscriber, kind, event);
    }
}
