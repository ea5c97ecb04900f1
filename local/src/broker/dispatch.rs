//! From an event that was taken in to its end.
//!
//! The filter, the delivery with its retries, the reply that is taken in as
//! a new event, and the dead letter. As in Knative, a 2xx with a body that
//! is no CloudEvent counts as a 502 and is retried; a reply that the broker
//! does not take makes a dead letter of the event it answers; and what a dead
//! letter sink answers is thrown away.

use super::journal::{Journal, Passed, keep};
use super::retry::{Verdict, verdict};
use super::sender::{Answer, Failure, Sender};
use super::{BrokerConfig, ttl};
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

/// The Trigger and all that it has under way.
#[derive(Debug)]
pub struct Dispatcher {
    config: BrokerConfig,
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
            sender: Sender::new(&config.namespace, config.delivery.timeout),
            config,
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
        self.config.namespace == namespace && self.config.name == name
    }

    /// What passed.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// What could not be delivered.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        lock(&self.dead_letters).iter().cloned().collect()
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
        match &self.config.filter_type {
            Some(ty) if ty != event.ty() => self.journal.note(Passed::Unmatched, &event),
            _ => self.spawn(event),
        }
        true
    }

    fn spawn(self: &Arc<Self>, event: Event) {
        self.in_flight.send_modify(|count| *count += 1);
        let counted = InFlight(self.in_flight.clone());
        let delivery = self.clone().deliver(event);
        let mut tasks = lock(&self.tasks);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            let _counted = counted;
            delivery.await;
        });
    }

    // Boxed, because a reply makes a delivery start another.
    fn deliver(self: Arc<Self>, event: Event) -> Task {
        Box::pin(async move {
            let mut sent = event.clone();
            let ttl = ttl::take(&mut sent);
            let subscriber = &self.config.subscriber;
            match self.send(subscriber, &sent).await {
                Err(failure) => self.bury(event, &subscriber.to_string(), failure).await,
                Ok(answer) => {
                    let status = answer.status;
                    self.journal.note(Passed::Delivered { status }, &sent);
                    if let Some(reply) = answer.reply {
                        self.take_reply(event, reply, ttl).await;
                    }
                }
            }
        })
    }

    async fn take_reply(self: &Arc<Self>, event: Event, mut reply: Event, ttl: i64) {
        let ty = reply.ty().to_owned();
        self.journal.note(Passed::Reply { ty }, &event);
        ttl::set(&mut reply, ttl);
        if !self.accept(reply) {
            let mut failure = Failure::status(400, Bytes::new());
            failure.why = "the broker does not take the reply: its TTL is used up".to_owned();
            self.bury(event, &self.url, failure).await;
        }
    }

    async fn bury(&self, mut event: Event, destination: &str, failure: Failure) {
        if let Some((code, body)) = &failure.error {
            ttl::mark_dead(&mut event, destination, *code, body);
        }
        let reason = failure.why;
        let buried = reason.clone();
        self.journal.note(Passed::DeadLettered { reason: buried }, &event);
        let taken = match &self.config.dead_letter_sink {
            Some(sink) => self.sink(sink, &event).await,
            None => false,
        };
        let letter = DeadLetter { event, reason, taken };
        keep(&mut lock(&self.dead_letters), letter);
    }

    async fn sink(&self, sink: &Uri, event: &Event) -> bool {
        let (taken, status) = match self.send(sink, event).await {
            Ok(answer) => (true, Some(answer.status)),
            Err(failure) => (false, failure.status),
        };
        self.journal.note(Passed::DeadLetterSink { status }, event);
        taken
    }

    async fn send(&self, destination: &Uri, event: &Event) -> Result<Answer, Failure> {
        let delivery = &self.config.delivery;
        let mut retries = 0;
        loop {
            let mut failure = match self.sender.attempt(destination, event).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let status = failure.status;
            if verdict(status) != Verdict::Retry || retries == delivery.retry {
                if retries > 0 {
                    failure.why = format!("{}, after {retries} retries", failure.why);
                }
                return Err(failure);
            }
            let delay = delivery.delay(retries);
            retries += 1;
            let attempt = retries;
            let retry = Passed::Retry { attempt, status, delay };
            self.journal.note(retry, event);
            tokio::time::sleep(delay).await;
        }
    }
}
