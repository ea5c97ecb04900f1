//! From an event that was taken in to its end.
//!
//! The Triggers that it matches, the delivery with its retries, the reply that
//! is taken in as a new event, and the dead letter. As in Knative, a 2xx with a body that
//! is no CloudEvent counts as a 502 and is retried; a reply that the broker
//! does not take makes a dead letter of the event it answers; and what a dead
//! letter sink answers is thrown away.

use super::journal::{BrokerEvent, Journal, Passed, keep};
use super::retry::{Verdict, verdict};
use super::sender::{Answer, Failure, Sender};
use super::{BrokerConfig, Delivery, Trigger, ttl};
use bytes::Bytes;
use chrono::Utc;
use cloudevents::{AttributesReader, Event};
use http::Uri;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// An event that could not be delivered.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// The event, with the `knativeerror…` extensions.
    pub event: Event,
    /// Why, for a person.
    pub reason: String,
    /// Whether the dead letter sink took it.
    pub taken: bool,
}

/// The Triggers and all that they have under way.
#[derive(Debug)]
pub struct Dispatcher {
    namespace: String,
    name: String,
    triggers: Vec<Arc<Trigger>>,
    url: String,
    sender: Sender,
    journal: Journal,
    dead_letters: Mutex<VecDeque<DeadLetter>>,
    in_flight: watch::Sender<usize>,
    tasks: Mutex<JoinSet<()>>,
}

/// Counts an event as in flight for as long as it lives.
struct InFlight(watch::Sender<usize>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Dispatcher {
    /// A dispatcher for the broker at `url`.
    pub fn new(config: BrokerConfig, url: String) -> Self {
        Self {
            sender: Sender::new(&config.namespace),
            namespace: config.namespace,
            name: config.name,
            triggers: config.triggers.into_iter().map(Arc::new).collect(),
            url,
            journal: Journal::default(),
            dead_letters: Mutex::default(),
            in_flight: watch::Sender::new(0),
            tasks: Mutex::default(),
        }
    }

    /// The Broker's URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether this is the Broker that a path names.
    pub fn serves(&self, namespace: &str, name: &str) -> bool {
        self.namespace == namespace && self.name == name
    }

    /// What passed.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// What could not be delivered.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        lock(&self.dead_letters).iter().cloned().collect()
    }

    /// What passed and what could not be delivered, which is forgotten.
    pub fn take(&self) -> (VecDeque<BrokerEvent>, VecDeque<DeadLetter>) {
        (self.journal.take(), std::mem::take(&mut lock(&self.dead_letters)))
    }

    /// How many events are under way.
    pub fn in_flight(&self) -> usize {
        *self.in_flight.borrow()
    }

    /// Waits until none is.
    pub async fn wait_idle(&self) {
        let mut in_flight = self.in_flight.subscribe();
        // It only fails without a sender, and `self` is one.
        let _ = in_flight.wait_for(|count| *count == 0).await;
    }

    /// Ends every delivery.
    pub fn stop(&self) {
        lock(&self.tasks).abort_all();
    }

    /// Takes an event in; false when its TTL is used up.
    pub fn accept(self: &Arc<Self>, mut event: Event) -> bool {
        if !ttl::arrive(&mut event, Utc::now()) {
            return false;
        }
        self.journal.note(Passed::Received, &event);
        let mut is_matched = false;
        for trigger in self.triggers.iter().filter(|trigger| trigger.filter.matches(&event)) {
            is_matched = true;
            self.spawn(trigger.clone(), event.clone());
        }
        if !is_matched {
            self.journal.note(Passed::Unmatched, &event);
        }
        true
    }

    fn spawn(self: &Arc<Self>, trigger: Arc<Trigger>, event: Event) {
        self.in_flight.send_modify(|count| *count += 1);
        let counted = InFlight(self.in_flight.clone());
        let delivery = self.clone().deliver(trigger, event);
        let mut tasks = lock(&self.tasks);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            let _counted = counted;
            delivery.await;
        });
    }

    // Boxed, because a reply makes a delivery start another.
    fn deliver(self: Arc<Self>, trigger: Arc<Trigger>, event: Event) -> Task {
        Box::pin(async move {
            let mut sent = event.clone();
            let ttl = ttl::take(&mut sent);
            match self.send(&trigger, &trigger.subscriber, &sent).await {
                Err(failure) => self.bury(&trigger, event, &trigger.subscriber.to_string(), failure).await,
                Ok(answer) => {
                    let status = answer.status;
                    self.note(&trigger, Passed::Delivered { status }, &sent);
                    if let Some(reply) = answer.reply {
                        self.take_reply(&trigger, event, reply, ttl).await;
                    }
                }
            }
        })
    }

    async fn take_reply(self: &Arc<Self>, trigger: &Trigger, event: Event, mut reply: Event, ttl: i64) {
        let ty = reply.ty().to_owned();
        self.note(trigger, Passed::Reply { ty }, &event);
        ttl::set(&mut reply, ttl);
        if !self.accept(reply) {
            let mut failure = Failure::status(400, Bytes::new());
            failure.why = "the broker does not take the reply: its TTL is used up".to_owned();
            self.bury(trigger, event, &self.url, failure).await;
        }
    }

    async fn bury(&self, trigger: &Trigger, mut event: Event, destination: &str, failure: Failure) {
        if let Some((code, body)) = &failure.error {
            ttl::mark_dead(&mut event, destination, *code, body);
        }
        let reason = failure.why;
        let buried = reason.clone();
        self.note(trigger, Passed::DeadLettered { reason: buried }, &event);
        let taken = match &trigger.dead_letter_sink {
            Some(sink) => self.sink(trigger, sink, &event).await,
            None => false,
        };
        let letter = DeadLetter { event, reason, taken };
        keep(&mut lock(&self.dead_letters), letter);
    }

    async fn sink(&self, trigger: &Trigger, sink: &Uri, event: &Event) -> bool {
        let (taken, status) = match self.send(trigger, sink, event).await {
            Ok(answer) => (true, Some(answer.status)),
            Err(failure) => (false, failure.status),
        };
        self.note(trigger, Passed::DeadLetterSink { status }, event);
        taken
    }

    async fn send(&self, trigger: &Trigger, destination: &Uri, event: &Event) -> Result<Answer, Failure> {
        let Delivery { retry, timeout, .. } = trigger.delivery;
        let mut retries = 0;
        loop {
            let mut failure = match self.sender.attempt(destination, event, timeout).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let status = failure.status;
            if verdict(status) != Verdict::Retry || retries == retry {
                if retries > 0 {
                    failure.why = format!("{}, after {retries} retries", failure.why);
                }
                return Err(failure);
            }
            let delay = trigger.delivery.delay(retries);
            retries += 1;
            let attempt = retries;
            self.note(trigger, Passed::Retry { attempt, status, delay }, event);
            tokio::time::sleep(delay).await;
        }
    }

    /// Notes a step of a delivery, and whose it is where there could be a doubt.
    fn note(&self, trigger: &Trigger, kind: Passed, event: &Event) {
        let is_matched = |other: &&Arc<Trigger>| other.filter.matches(event);
        let subscriber = (self.triggers.iter().filter(is_matched).count() > 1).then(|| trigger.subscriber.to_string());
        self.journal.note_of(subscriber, kind, event);
    }
}
