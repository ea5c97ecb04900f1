//! One Pod per event and one answer per Pod, when many deliveries come at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use tests::{Reply, pending};

use crate::cluster::Cluster;
use crate::gateway::{BAR, FOO};
use crate::harness::Test;
use crate::namespace::{Namespace, ROUTED, with_namespace};
use crate::outcome::{assert_pods, outcome_of};
use crate::webhook::Webhook;

/// How many events there are.
const EVENTS: usize = 200;
/// How often each is delivered.
const DELIVERIES: usize = 5;
/// How many deliveries are under way at a time.
const AT_ONCE: usize = 32;

/// The tests.
pub fn tests() -> Vec<Test> {
    crate::tests![two_hundred_events_delivered_five_times_each_make_two_hundred_pods]
}

/// Both gateways' webhooks.
pub async fn gateways(namespace: &Namespace) -> [Webhook; 2] {
    [FOO.serve(namespace).await, BAR.serve(namespace).await]
}

/// How many events there are between the first and the last delivery of one event: few, so that its deliveries meet.
const WAVE: usize = 8;

/// Which event a delivery is of. The number of events has to be a multiple of [`WAVE`].
pub fn event_of(delivery: usize) -> usize {
    delivery / (WAVE * DELIVERIES) * WAVE + delivery % WAVE
}

/// The gateway for which an event asks.
pub fn gateway_of(event: usize) -> &'static str {
    if event.is_multiple_of(2) { "foo" } else { "bar" }
}

/// Every event has one Pod, and every delivery of it the same answer.
///
/// # Panics
/// When it isn't so.
pub async fn assert_exactly_once(namespace: &Namespace, replies: &[(usize, Reply)]) {
    let mut answers: BTreeMap<usize, &Reply> = BTreeMap::new();
    for (event, reply) in replies {
        assert_eq!(outcome_of(reply), "`done`", "{event}: {:?}", reply.body);
        let first = answers.entry(*event).or_insert(reply);
        assert_eq!(first.attribute("id"), reply.attribute("id"), "{event}");
        assert_eq!(first.attribute("time"), reply.attribute("time"), "{event}");
        assert_eq!(first.body, reply.body, "{event}");
        assert_eq!(reply.json()["gateway_name"], gateway_of(*event), "{event}");
    }
    let distinct =
        |of: fn(&Reply) -> String| answers.values().map(|reply| of(reply)).collect::<std::collections::BTreeSet<_>>();
    let ids = distinct(|reply| reply.attribute("id").to_owned());
    let uids = distinct(|reply| reply.json()["pod_uid"].to_string());
    assert_eq!((ids.len(), uids.len()), (answers.len(), answers.len()));
    assert_pods(namespace, answers.len()).await;
    let pods = namespace.pods().await;
    let found = pods.iter().map(|pod| pod["metadata"]["uid"].to_string()).collect();
    assert_eq!(uids, found, "the Pods are those that were spoken of");
}

async fn two_hundred_events_delivered_five_times_each_make_two_hundred_pods(cluster: Arc<Cluster>) {
    with_namespace(cluster, "once", &[ROUTED], |namespace| async move {
        let _gateways = gateways(&namespace).await;
        let provisioner = Arc::new(namespace.provisioner(&[]));
        let deliveries = (0..EVENTS * DELIVERIES).map(|delivery| {
            let (event, provisioner) = (event_of(delivery), provisioner.clone());
            let delivery = async move {
                // One that meets the removal or the creation by another may have to come again, as a broker would.
                loop {
                    let reply = provisioner.deliver(pending(&event.to_string(), gateway_of(event))).await;
                    if reply.status != 503 {
                        return (event, reply);
                    }
                }
            };
            async { tokio::spawn(delivery).await.expect("a delivery ends") }
        });
        let replies: Vec<_> = futures::stream::iter(deliveries).buffer_unordered(AT_ONCE).collect().await;
        assert_eq!(replies.len(), EVENTS * DELIVERIES);
        assert_exactly_once(&namespace, &replies).await;
        assert_eq!(namespace.pods().await.len(), EVENTS);
    })
    .await;
}
