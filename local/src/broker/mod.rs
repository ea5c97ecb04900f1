//! An in-memory broker: one Broker with its Triggers, as Knative's behave.
//!
//! A producer POSTs a CloudEvent to `ingress`; for each `trigger` whose filter it matches, `dispatch` delivers it through
//! `sender` with the Trigger's retries, takes a reply in as a new event, and sends what cannot be delivered to the dead
//! letter sink. `event` is the HTTP binding, `ttl` what the broker writes on events, `journal` what a person or a test
//! sees of it all.
//!
//! Unlike Knative's, it answers the producer before it delivers, forgets everything when it stops, and follows no
//! redirects.

mod dispatch;
mod event;
mod ingress;
mod journal;
mod sender;
#[cfg(test)]
mod tests;
mod trigger;
mod ttl;

pub use dispatch::Dispatcher;
pub use event::{json_data, new_event};
pub use journal::{BrokerEvent, Passed, Totals, last_word};
pub use trigger::{Delivery, Filter, Trigger};

use crate::doors::Doors;
use crate::{Server, listen};
use anyhow::ensure;
use http::Uri;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use tokio_util::sync::DropGuard;

/// The namespace of the Broker and its Triggers.
const NAMESPACE: &str = "default";
/// Where the Broker is: it is the one that is called `default`.
const PATH: &str = "/default/default";

/// The configuration of a Broker and its Triggers.
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// Where producers reach it; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Who may reach it there.
    pub doors: Doors,
    /// Its Triggers. An event goes to each whose filter it matches.
    pub triggers: Vec<Trigger>,
}

impl BrokerConfig {
    /// `default/default` on a free port of this machine, with one Trigger, Knative's own delivery and no dead letter sink.
    pub fn new(subscriber: Uri, filter_type: &str) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            doors: Doors::default(),
            triggers: vec![Trigger::new(subscriber, Filter::of_type(filter_type))],
        }
    }
}

/// A running broker: a [`Dispatcher`] behind its ingress. It stops when it is dropped.
#[derive(Debug)]
pub struct Broker {
    server: Server,
    dispatcher: Arc<Dispatcher>,
    /// Ends the deliveries that are under way.
    _stop: DropGuard,
}

impl Deref for Broker {
    type Target = Arc<Dispatcher>;

    fn deref(&self) -> &Self::Target {
        &self.dispatcher
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
        let (bound, doors) = (listen(config.listen).await?, config.doors.clone());
        let dispatcher = Arc::new(Dispatcher::new(config, bound.1));
        let stop = dispatcher.stopped.clone().drop_guard();
        let server = Server::start(bound, doors.guard(ingress::router(dispatcher.clone()), ingress::refuse));
        Ok(Self { server, dispatcher, _stop: stop })
    }

    /// The address that it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr
    }

    /// Stops it; what is being delivered, or waits for a retry, is lost.
    pub async fn shutdown(self) {
        self.server.shutdown().await;
    }
}
