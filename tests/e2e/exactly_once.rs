//! One Pod per event and one answer per Pod, when many deliveries come at once.

use std::collections::BTreeMap;

use tests::Reply;

use crate::gateway::{BAR, FOO};
use crate::namespace::Namespace;
use crate::outcome::{assert_pods, outcome_of};
use crate::webhook::Webhook;

/// How often each event is delivered.
pub const DELIVERIES: usize = 5;

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
