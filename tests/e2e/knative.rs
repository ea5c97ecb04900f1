//! Knative's part, played: what lies between the cluster and the provisioner.
//!
//! The sink takes what the provisioner tells. The Broker delivers an event again until it is taken. The ApiServerSource
//! turns each change of a client's Pod into an event, as `pkg/adapter/apiserver` of knative/eventing does: the object is
//! the data, and each event has an id of its own. It sends one at a time, but the channel `client-changes` takes each at
//! once, so that many are under way. The PingSource sends when a test says so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use provisioner::event::{ADDED, DELETED, PING, UPDATED};
use serde_json::{Value, json};
use tests::Reply;
use tests::events::{Delivery, body};
use tests::fault::{Proxy, Upstream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::namespace::Namespace;

/// How long anything may take of which a test is told.
pub const PATIENCE: Duration = Duration::from_secs(180);
/// How many deliveries are under way at once.
const AT_ONCE: usize = 32;
const BACKOFF: Duration = Duration::from_millis(50);
const CLIENTS: &str = "labelSelector=app.kubernetes.io/managed-by%3Dcloudevents-podgateway-client-provisioner";

/// What was told: by the type and by the id of the pending event, each event that had another id.
type Told = BTreeMap<(String, String), Vec<Value>>;

/// A sink that takes every event and keeps one of each id.
pub struct Sink {
    told: watch::Sender<Told>,
    proxy: Proxy,
}

impl Sink {
    /// One that listens.
    pub async fn start() -> Arc<Self> {
        let told = watch::Sender::default();
        let proxy = Proxy::start(recorder(told.clone()), Arc::new(|_| None)).await;
        Arc::new(Self { told, proxy })
    }

    /// Where it is.
    pub fn url(&self) -> String {
        self.proxy.url()
    }

    /// The variables that name it.
    pub fn variables(&self) -> [(&'static str, String); 2] {
        [("k_sink", format!("{}/default", self.url())), ("sink_origin", self.url())]
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
        let mut told = self.told.subscribe();
        _ = told.wait_for(|told| told.values().map(Vec::len).sum::<usize>() >= count).await;
    }

    /// How many different events there were in all.
    pub fn total(&self) -> usize {
        self.told.borrow().values().map(Vec::len).sum()
    }

    /// Every id of a pending event of which something was told.
    pub fn ids(&self) -> BTreeSet<String> {
        self.told.borrow().keys().map(|(_, id)| id.clone()).collect()
    }
}

fn recorder(told: watch::Sender<Told>) -> Upstream {
    Arc::new(move |request| {
        let (parts, body) = request.into_parts();
        tests::schema::note(&parts.headers, &body);
        let event = Reply::new(http::StatusCode::OK, parts.headers, body).event;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let key = (text(&event["type"]), text(&event["data"]["pending_event"]["id"]));
        told.send_modify(|told| {
            let same = told.entry(key).or_default();
            if !same.iter().any(|known| known["id"] == event["id"]) {
                same.push(event);
            }
        });
        let taken = http::Response::builder().status(202).body(Bytes::new()).expect("a status is an answer");
        Box::pin(std::future::ready(Ok(taken)))
    })
}

/// Delivers once; `None` where there is no answer.
pub type Subscriber = Arc<dyn Fn(Delivery) -> BoxFuture<'static, Option<Reply>> + Send + Sync>;

/// The Broker, with its sources.
pub struct Broker {
    deliver: Deliver,
    pings: AtomicUsize,
    /// Whether the source watches already: of a change before that it says nothing.
    watches: watch::Receiver<bool>,
    _source: JoinSet<()>,
}

impl Broker {
    /// Delivers to `subscriber` what happens to the clients of a namespace.
    pub fn start(namespace: &Arc<Namespace>, subscriber: Subscriber) -> Self {
        let deliver = Deliver { subscriber, places: Arc::new(Semaphore::new(AT_ONCE)) };
        let (mut source, (begins, watches)) = (JoinSet::new(), watch::channel(false));
        source.spawn(watch_clients(namespace.clone(), deliver.clone(), begins));
        Self { deliver, pings: AtomicUsize::default(), watches, _source: source }
    }

    /// Delivers an event until it is taken.
    pub async fn publish(&self, request: Delivery) {
        self.watches.clone().wait_for(|watches| *watches).await.expect("the source runs");
        self.deliver.until_taken(request).await;
    }

    /// What a PingSource sends, once.
    pub async fn ping(&self) {
        let number = self.pings.fetch_add(1, Ordering::Relaxed);
        self.publish(event(&format!("ping-{number}"), PING, &json!({}))).await;
    }
}

#[derive(Clone)]
struct Deliver {
    subscriber: Subscriber,
    places: Arc<Semaphore>,
}

impl Deliver {
    async fn until_taken(&self, request: Delivery) {
        let _place = self.places.acquire().await.expect("it is never closed");
        loop {
            match (self.subscriber)(request.clone()).await {
                Some(reply) if reply.status.is_success() => return,
                Some(reply) if !matches!(reply.status.as_u16(), 429 | 503) => panic!("{reply:?}"),
                _ => tokio::time::sleep(BACKOFF).await,
            }
        }
    }
}

async fn watch_clients(namespace: Arc<Namespace>, deliver: Deliver, begins: watch::Sender<bool>) {
    let (admin, path) = (namespace.admin(), namespace.path(&format!("pods?{CLIENTS}")));
    // It says nothing of what its list shows.
    let since = admin.get(&path).await.object()["metadata"]["resourceVersion"].take();
    let changes = admin.watch(&format!("{path}&watch=1&resourceVersion={}", since.as_str().expect("a text"))).await;
    begins.send_replace(true);
    let (mut changes, mut deliveries, mut number) = (std::pin::pin!(changes), JoinSet::new(), 0);
    while let Some(mut change) = changes.next().await {
        let ty = match change["type"].as_str() {
            Some("ADDED") => ADDED,
            Some("MODIFIED") => UPDATED,
            Some("DELETED") => DELETED,
            _ => panic!("the watch ended: {change}"),
        };
        number += 1;
        let request = event(&format!("change-{number}"), ty, &change["object"].take());
        let deliver = deliver.clone();
        deliveries.spawn(async move { deliver.until_taken(request).await });
    }
}

/// An event as the Broker delivers it, in structured mode.
pub fn event(id: &str, ty: &str, data: &Value) -> Delivery {
    let event = json!({
        "specversion": "1.0", "id": id, "source": "/knative", "type": ty,
        "datacontenttype": "application/json", "data": data,
    });
    body("application/cloudevents+json", event.to_string())
}
