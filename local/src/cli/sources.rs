//! The sources that Knative has for a client's life, played: an ApiServerSource that tells of every change of a client's
//! Pod, and a PingSource. What they tell goes into the broker like any other event.

use std::sync::Weak;
use std::time::Duration;

use cloudevents::{Event, EventBuilder};
use provisioner::event::{ADDED, DELETED, PING, UPDATED};
use provisioner::pod::{MANAGED_BY, MANAGED_BY_LABEL, text};
use serde_json::json;
use tokio::sync::broadcast::Receiver;

use crate::broker::{Broker, new_event};
use crate::kubernetes::{ChangeKind, PodChange};
use crate::sync::for_each;

/// The time before the first ping: whoever looks on sees one.
const FIRST_PING: Duration = Duration::from_secs(10);
/// As in `deploy/components/lifecycle/sources.yaml`.
const BETWEEN_PINGS: Duration = Duration::from_secs(60);

/// Tells the broker of every change of a client's Pod, until either of them stops. What came too fast is found by the next
/// sweep, as when a watch is lost.
pub async fn tell_changes(changes: Receiver<PodChange>, api: String, broker: Weak<Broker>) {
    for_each(changes, |change| {
        let broker = broker.upgrade()?;
        if let Some(event) = change.ok().and_then(|change| told(&change, &api)) {
            broker.publish(event);
        }
        Some(())
    })
    .await;
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
    let event = new_event("/apis/v1/namespaces/default/pingsources/sweep", PING, json!({}));
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
    let event = new_event(api, ty, change.pod.clone()).subject(format!("/apis/v1/namespaces/{namespace}/pods/{name}"));
    let extensions = [("kind", "Pod"), ("apiversion", "v1"), ("name", name), ("namespace", namespace)];
    extensions.into_iter().fold(event, |event, (key, value)| event.extension(key, value)).build().ok()
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
