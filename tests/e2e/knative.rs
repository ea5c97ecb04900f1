//! Knative's part, played: what lies between the cluster and the provisioner.
//!
//! The sink takes what the provisioner tells. The Broker delivers an event again until it is taken. The ApiServerSource
//! turns each change of a client's Pod into an event, as `pkg/adapter/apiserver` of knative/eventing does: the object is
//! the data, and each event has an id of its own. It sends one at a time, but the channel `client-changes` takes each at
//! once, so that many are under way. The PingSource sends when a test says so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use provisioner::event::{ADDED, DELETED, PING, UPDATED};
use provisioner::pod::text;
use provisioner::reply::DONE;
use serde_json::Value;
use tests::Reply;
use tests::cluster::Namespace;
use tests::events::{Delivery, binary};
use tests::fault::{Proxy, Upstream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// How long anything may take of which a test is told.
pub const PATIENCE: Duration = Duration::from_secs(180);
/// How many deliveries are under way at once.
const AT_ONCE: usize = 32;
const BACKOFF: Duration = Duration::from_millis(50);
const CLIENTS: &str = "pods?labelSelector=app.kubernetes.io/managed-by%3Dcloudevents-podgateway-client-provisioner";

/// What was told: by the type and by the id of the pending event, each event that had another id. What is done is told in
/// the same words every time, or it counts as another.
type Told = BTreeMap<(String, String), Vec<Value>>;

/// A sink that takes every event and keeps one of each id.
pub struct Sink {
    told: watch::Sender<Told>,
    proxy: Proxy,
}

impl Sink {
    /// One that listens.
    pub async fn start() -> Self {
        let told = watch::Sender::default();
        let proxy = Proxy::start(recorder(told.clone()), Arc::new(|_| None)).await;
        Self { told, proxy }
    }

    /// The variables that name it.
    pub fn variables(&self) -> [(&'static str, String); 2] {
        [("k_sink", format!("{}/default", self.proxy.url())), ("sink_origin", self.proxy.url())]
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

fn recorder(told: watch::Sender<Told>) -> Upstream {
    Arc::new(move |request| {
        let (parts, body) = request.into_parts();
        tests::schema::note(&parts.headers, &body);
        let event = Reply::new(http::StatusCode::OK, parts.headers, body).event;
        let key = (text(&event["type"]).to_owned(), text(&event["data"]["pending_event"]["id"]).to_owned());
        told.send_modify(|told| {
            let same = told.entry(key).or_default();
            // An attempt that fails anew has a time of its own.
            let is_known = |known: &Value| known["id"] == event["id"] && (event["type"] != DONE || *known == event);
            if !same.iter().any(is_known) {
                same.push(event);
            }
        });
        let taken = http::Response::builder().status(202).body(Bytes::new()).expect("a status is an answer");
        Box::pin(std::future::ready(Ok(taken)))
    })
}

/// Delivers once; `None` where there is no answer.
pub type Subscriber = Box<dyn Fn(Delivery) -> BoxFuture<'static, Option<Reply>> + Send + Sync>;

/// The Broker, with its sources.
pub struct Broker {
    deliver: Arc<Deliver>,
    _source: JoinSet<()>,
}

impl Broker {
    /// Delivers to `subscriber` what happens to the clients of a namespace from now on.
    pub async fn start(namespace: &Namespace, subscriber: Subscriber) -> Self {
        let deliver = Arc::new(Deliver { subscriber, places: Semaphore::new(AT_ONCE) });
        // The source says nothing of what its list shows.
        let list = namespace.admin().get(&namespace.path(CLIENTS)).await.object();
        let since = text(&list["metadata"]["resourceVersion"]);
        let watch = namespace.path(&format!("{CLIENTS}&watch=1&resourceVersion={since}"));
        let changes = namespace.admin().watch(&watch).await.enumerate();
        let (mut source, each) = (JoinSet::new(), deliver.clone());
        source.spawn(changes.for_each_concurrent(None, move |(number, change)| {
            let (deliver, change) = (each.clone(), change_of(number, &change));
            async move { deliver.until_taken(change).await }
        }));
        Self { deliver, _source: source }
    }

    /// Delivers an event until it is taken.
    pub async fn publish(&self, request: Delivery) {
        self.deliver.until_taken(request).await;
    }

    /// What a PingSource sends, once.
    pub async fn ping(&self) {
        self.publish(binary(&fastrand::u64(..).to_string(), PING, "{}")).await;
    }
}

struct Deliver {
    subscriber: Subscriber,
    places: Semaphore,
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

/// The event that tells of a change.
fn change_of(number: usize, change: &Value) -> Delivery {
    let ty = match text(&change["type"]) {
        "ADDED" => ADDED,
        "MODIFIED" => UPDATED,
        "DELETED" => DELETED,
        _ => panic!("the watch ended: {change}"),
    };
    binary(&format!("change-{number}"), ty, &change["object"].to_string())
}
