//! An in-memory broker: one Broker with its Triggers, as Knative's behave.
//!
//! A producer POSTs a CloudEvent to `ingress`; for each `trigger` whose filter
//! it matches, `dispatch` delivers it through `sender` with the retries of
//! `retry`, takes a reply in as a new event, and sends what cannot be
//! delivered to the dead letter sink. `event` is the HTTP binding, `ttl` what
//! the broker writes on events, `journal` what a person or a test sees of it
//! all.
//!
//! Unlike Knative's, it answers the producer before it delivers, forgets
//! everything when it stops, and follows no redirects.

mod dispatch;
mod event;
mod ingress;
mod journal;
mod retry;
mod sender;
#[cfg(test)]
mod subscriber;
#[cfg(test)]
mod tests;
mod trigger;
mod ttl;

pub use dispatch::DeadLetter;
pub use event::{EventError, json_data};
pub use journal::{BrokerEvent, Passed, Totals, last_word};
pub use retry::{BackoffPolicy, Delivery, Verdict, verdict};
pub use trigger::{Filter, Trigger};

use crate::doors::Doors;
use crate::{Server, listen};
use anyhow::ensure;
use cloudevents::Event;
use dispatch::Dispatcher;
use http::Uri;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::broadcast;

/// The configuration of a Broker and its Triggers.
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// Where producers reach it; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The Broker's and its Triggers' namespace.
    pub namespace: String,
    /// The Broker's name.
    pub name: String,
    /// Who may reach it there.
    pub doors: Doors,
    /// Its Triggers. An event goes to each whose filter it matches.
    pub triggers: Vec<Trigger>,
}

impl BrokerConfig {
    /// `default/default` on a free port of this machine, with one Trigger,
    /// Knative's own delivery and no dead letter sink.
    pub fn new(subscriber: Uri, filter_type: &str) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            namespace: "default".to_owned(),
            name: "default".to_owned(),
            doors: Doors::default(),
            triggers: vec![Trigger::new(subscriber, Filter::of_type(filter_type))],
        }
    }
}

/// A running broker. It stops when it is dropped.
#[derive(Debug)]
pub struct Broker {
    server: Server,
    deliveries: Deliveries,
}

/// Ends the deliveries that are under way when the broker goes.
#[derive(Debug)]
struct Deliveries(Arc<Dispatcher>);

impl Drop for Deliveries {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Broker {
    /// Starts a broker.
    ///
    /// # Errors
    /// When its address can't be listened on, or somebody it delivers to can't be reached by plain HTTP.
    pub async fn bind(config: BrokerConfig) -> anyhow::Result<Self> {
        for uri in config.triggers.iter().flat_map(|it| [Some(&it.subscriber), it.dead_letter_sink.as_ref()]).flatten()
        {
            let is_http = trigger::can_be_delivered_to(uri);
            ensure!(is_http, "{uri} cannot be delivered to: write it as http://host:port/path");
        }
        let listener = listen(config.listen).await?;
        let url = url(listener.local_addr, &config);
        let doors = config.doors.clone();
        let dispatcher = Arc::new(Dispatcher::new(config, url));
        let server = Server::start(listener, doors.guard(ingress::router(dispatcher.clone()), ingress::refuse));
        Ok(Self { server, deliveries: Deliveries(dispatcher) })
    }

    /// The address that it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Where producers POST their events.
    pub fn url(&self) -> String {
        self.deliveries.0.url().to_owned()
    }

    /// What passes from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<BrokerEvent> {
        self.deliveries.0.journal().subscribe()
    }

    /// What has passed, the latest 10,000.
    pub fn events(&self) -> Vec<BrokerEvent> {
        self.deliveries.0.journal().events()
    }

    /// What `read` makes of the latest 10,000 steps, the oldest first, and of all there were. The broker waits meanwhile.
    pub fn look<T>(&self, read: impl FnOnce(&VecDeque<BrokerEvent>, Totals) -> T) -> T {
        self.deliveries.0.journal().look(read)
    }

    /// Takes an event in as if it had been POSTed; false when its TTL is used up.
    pub fn publish(&self, event: Event) -> bool {
        self.deliveries.0.accept(event)
    }

    /// What could not be delivered to a subscriber, the latest 10,000.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.deliveries.0.dead_letters()
    }

    /// What [`Self::events`] and [`Self::dead_letters`] have, which is forgotten.
    pub fn take(&self) -> (VecDeque<BrokerEvent>, VecDeque<DeadLetter>) {
        self.deliveries.0.take()
    }

    /// How many events are being delivered, or wait for a retry.
    pub fn in_flight(&self) -> usize {
        self.deliveries.0.in_flight()
    }

    /// Waits until every event has come to its end, replies included.
    pub async fn wait_idle(&self) {
        self.deliveries.0.wait_idle().await;
    }

    /// Stops it; what is being delivered, or waits for a retry, is lost.
    pub async fn shutdown(self) {
        let Self { server, deliveries } = self;
        server.shutdown().await;
        drop(deliveries);
    }
}

fn url(address: SocketAddr, config: &BrokerConfig) -> String {
    format!("http://{address}/{}/{}", config.namespace, config.name)
}
