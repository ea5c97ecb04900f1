//! Knative's part: what lies between the cluster and the provisioner.
//!
//! The Broker is the command's own, and so are the events of its sources. Here a watch of the real API server tells what
//! changes, and a test says when it is time for a ping. The sink keeps what the provisioner tells.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::StreamExt;
use local::broker::{Broker, BrokerConfig, Filter, Trigger};
use local::cli::sources::{pinged, told};
use local::kubernetes::{ChangeKind, PodChange};
use provisioner::event::{ADDED, DELETED, PENDING, PING, TERMINATION, UPDATED};
use provisioner::pod::text;
use provisioner::reply::DONE;
use serde_json::Value;
use tests::Reply;
use tests::cluster::Namespace;
use tests::cluster::client::PATIENCE;
use tests::events::Delivery;
use tests::fault::{Proxy, Upstream, serving};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What is delivered to the provisioner.
const TYPES: [&str; 6] = [PENDING, TERMINATION, ADDED, UPDATED, DELETED, PING];

/// What was told: by the type and by the id of the pending event, each event that had another id. What is done is told in
/// the same words every time, or it counts as another.
type Told = BTreeMap<(String, String), Vec<Value>>;

/// A sink that takes every event and keeps one of each id.
pub struct Sink {
    told: watch::Sender<Told>,
    server: Proxy,
}

impl Sink {
    /// One that listens.
    pub fn start() -> Self {
        let told = watch::Sender::default();
        let heard = told.clone();
        let server = serving(move |request: http::Request<Bytes>| {
            let (parts, body) = request.into_parts();
            tests::schema::note(&parts.headers, &body);
            hear(&heard, Reply::new(http::StatusCode::OK, parts.headers, body).event);
            let taken = http::Response::builder().status(202).body(Bytes::new());
            std::future::ready(taken.map_err(|error| error.to_string()))
        });
        Self { told, server: Proxy::serve(server, None) }
    }

    /// The variables that name it.
    pub fn variables(&self) -> [(&'static str, String); 2] {
        [("k_sink", format!("{}/default", self.server.url())), ("sink_origin", self.server.url())]
    }

    /// Waits until it is told this about the client of a pending event, and gives the event's data.
    pub async fn hears(&self, ty: &str, id: &str) -> Value {
        let key = (ty.to_owned(), id.to_owned());
        let mut told = self.told.subscribe();
        let wait = told.wait_for(|told| told.contains_key(&key));
        let heard = tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("in vain: {ty} of {id}"));
        heard.expect("the sink is there")[&key][0]["data"].clone()
    }

    /// How many different events there were of a type about the client of a pending event.
    pub fn count(&self, ty: &str, id: &str) -> usize {
        self.told.borrow().get(&(ty.to_owned(), id.to_owned())).map_or(0, Vec::len)
    }

    /// Waits until there were as many different events in all.
    pub async fn hears_in_all(&self, count: usize) {
        while self.total() < count {
            _ = self.told.subscribe().changed().await;
        }
    }

    /// How many different events there were in all.
    pub fn total(&self) -> usize {
        self.told.borrow().values().map(Vec::len).sum()
    }
}

fn hear(told: &watch::Sender<Told>, event: Value) {
    let key = (text(&event["type"]).to_owned(), text(&event["data"]["pending_event"]["id"]).to_owned());
    told.send_modify(|told| {
        let same = told.entry(key).or_default();
        // An attempt that fails anew has a time of its own.
        let is_known = |known: &Value| known["id"] == event["id"] && (event["type"] != DONE || *known == event);
        if !same.iter().any(is_known) {
            same.push(event);
        }
    });
}

/// The Broker, with its sources.
pub struct Knative {
    broker: Broker,
    config: BrokerConfig,
    _provisioner: Proxy,
    _source: JoinSet<()>,
}

impl Knative {
    /// Delivers to the provisioner what happens to the clients of a namespace from now on.
    pub async fn start(namespace: &Namespace, provisioner: Upstream) -> Self {
        let provisioner = Proxy::serve(provisioner, None);
        let url: http::Uri = provisioner.url().parse().expect("it is a URL");
        let triggers = TYPES.map(|ty| Trigger::new(url.clone(), Filter::of_type(ty))).into();
        let config = BrokerConfig { triggers, ..BrokerConfig::new(url, PENDING) };
        let broker = Broker::bind(config.clone()).await.expect("a port is free");
        // The source says nothing of what its list shows.
        let list = namespace.admin().get(&namespace.path("pods")).await.object();
        let mut since = text(&list["metadata"]["resourceVersion"]).to_owned();
        // An API server ends a watch after a while, or when nobody reads it in time. The source goes on where it ended.
        let (admin, path) = (namespace.admin().clone(), namespace.path("pods?watch=1&timeoutSeconds=10"));
        let (mut source, publisher) = (JoinSet::new(), (*broker).clone());
        source.spawn(async move {
            loop {
                let mut changes = Box::pin(admin.watch(&format!("{path}&resourceVersion={since}")).await);
                while let Some(mut change) = changes.next().await {
                    let kind = match text(&change["type"]) {
                        "ADDED" => ChangeKind::Created,
                        "MODIFIED" => ChangeKind::Updated,
                        "DELETED" => ChangeKind::Deleted,
                        _ => panic!("the watch can't go on: {change}"),
                    };
                    let change = PodChange { kind, pod: change["object"].take() };
                    text(&change.pod["metadata"]["resourceVersion"]).clone_into(&mut since);
                    let is_taken = told(&change, "http://kubernetes").is_none_or(|event| publisher.publish(event));
                    assert!(is_taken, "a new event has passes left");
                }
            }
        });
        Self { broker, config, _provisioner: provisioner, _source: source }
    }

    /// Publishes events at once as a producer does, through a broker of their own: so it is known when each has been taken,
    /// which each is.
    pub async fn publish(&self, events: impl IntoIterator<Item = Delivery>) {
        let broker = Broker::bind(self.config.clone()).await.expect("a port is free");
        for event in events {
            assert_eq!(Reply::from(broker.url(), event).await.status, 202);
        }
        broker.wait_idle().await;
        assert_eq!(broker.journal.look(|_, totals| totals.dead_letters), 0, "the broker gave up");
    }

    /// What a PingSource sends, once.
    pub fn ping(&self) {
        self.broker.publish(pinged());
    }

    /// Pings, and waits until everything that was published has been answered.
    pub async fn sweep(&self) {
        self.ping();
        self.broker.wait_idle().await;
    }
}
