//! The sources that Knative has for a client's life, played: an ApiServerSource that tells of every change of a client's
//! Pod, and a PingSource. What they tell goes into the broker like any other event.

use std::sync::Weak;
use std::time::Duration;

use cloudevents::{Event, EventBuilder, EventBuilderV10};
use provisioner::event::{ADDED, DELETED, PING, UPDATED};
use provisioner::pod::{MANAGED_BY, MANAGED_BY_LABEL, text};
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use uuid::Uuid;

use crate::broker::Broker;
use crate::kubernetes::{ChangeKind, PodChange};

/// The time before the first ping: whoever looks on sees one.
const FIRST_PING: Duration = Duration::from_secs(10);
/// As in `deploy/components/lifecycle/sources.yaml`.
const BETWEEN_PINGS: Duration = Duration::from_secs(60);

/// Tells the broker of every change of a client's Pod, until either of them stops.
pub async fn tell_changes(mut changes: Receiver<PodChange>, api: String, broker: Weak<Broker>) {
    loop {
        let change = match changes.recv().await {
            Ok(change) => change,
            // As when a watch is lost: the next sweep finds what was missed.
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return,
        };
        let Some(broker) = broker.upgrade() else { return };
        if let Some(event) = told(&change, &api) {
            broker.publish(event);
        }
    }
}

/// Pings the broker, until it stops.
pub async fn ping(broker: Weak<Broker>) {
    let mut wait = FIRST_PING;
    loop {
        tokio::time::sleep(std::mem::replace(&mut wait, BETWEEN_PINGS)).await;
        let Some(broker) = broker.upgrade() else { return };
        broker.publish(pinged());
    }
}

/// The event of a ping.
///
/// # Panics
/// Never: it has every attribute.
pub fn pinged() -> Event {
    let event = EventBuilderV10::new().id(Uuid::new_v4().to_string()).ty(PING).time(chrono::Utc::now());
    let event = event.source("/apis/v1/namespaces/default/pingsources/sweep").data("application/json", json!({}));
    event.build().expect("it has every attribute")
}

/// The event of a change, in the mode `Resource`; nothing where the selector doesn't choose the Pod.
pub fn told(change: &PodChange, api: &str) -> Option<Event> {
    let metadata = &change.pod["metadata"];
    if metadata["labels"][MANAGED_BY_LABEL] != MANAGED_BY {
        return None;
    }
    let ty = match change.kind {
        ChangeKind::Created => ADDED,
        ChangeKind::Released | ChangeKind::Updated => UPDATED,
        ChangeKind::Deleted => DELETED,
    };
    let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
    let event = EventBuilderV10::new()
        .id(Uuid::new_v4().to_string())
        .ty(ty)
        .source(api)
        .subject(format!("/apis/v1/namespaces/{namespace}/pods/{name}"))
        .time(chrono::Utc::now())
        .extension("kind", "Pod")
        .extension("apiversion", "v1")
        .extension("name", name)
        .extension("namespace", namespace)
        .data("application/json", change.pod.clone());
    event.build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::json_data;
    use cloudevents::AttributesReader;
    use provisioner::testing::{stored, wanted};

    #[test]
    fn every_change_of_a_client_is_told_and_of_nothing_else() {
        let pod = stored(wanted(&[]));
        let change = |kind| PodChange { kind, pod: pod.clone() };
        for (kind, ty) in [
            (ChangeKind::Created, "add"),
            (ChangeKind::Released, "update"),
            (ChangeKind::Updated, "update"),
            (ChangeKind::Deleted, "delete"),
        ] {
            let event = told(&change(kind), "http://api").unwrap();
            assert_eq!(event.ty(), format!("dev.knative.apiserver.resource.{ty}"));
            assert_eq!(json_data(&event).unwrap(), pod);
            assert_eq!(event.extension("kind").map(ToString::to_string).as_deref(), Some("Pod"));
        }
        let other = json!({"metadata": {"name": "x", "namespace": "n", "labels": {}}});
        assert_eq!(told(&PodChange { kind: ChangeKind::Created, pod: other }, "http://api"), None);
    }
}
