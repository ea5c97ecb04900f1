//! What really becomes of Pods.

use std::collections::{BTreeMap, BTreeSet};

use local::kubernetes::{ChangeKind, PodChange};
use provisioner::pod::{CLIENT_CONTAINER, EVENT_ID, REPORTED, each, is_set, text};
use serde_json::Value;
use tests::pods::{is_gated, is_routed};

/// What became of a Pod.
#[derive(Clone, Debug, Default)]
pub struct Life {
    /// The id of its pending event.
    pub event: String,
    pub is_released: bool,
    pub has_run: bool,
    /// Its client has ended for good, or it is gone.
    pub has_ended: bool,
}

/// What became of Pods, by their uid, and of which events a Pod was taken away by somebody.
#[derive(Debug, Default)]
pub struct Truth {
    pub lives: BTreeMap<String, Life>,
    pub disturbed: BTreeSet<String>,
}

/// The id of the event for which a Pod was made.
pub fn event_of(pod: &Value) -> &str {
    text(&pod["metadata"]["annotations"][EVENT_ID])
}

/// The state of its client: a core/v1 ContainerState.
fn client_of(pod: &Value) -> &Value {
    let mut statuses = each(&pod["status"]["containerStatuses"]);
    statuses.find(|status| status["name"] == CLIENT_CONTAINER).map_or(&Value::Null, |status| &status["state"])
}

/// Whether it is a Pod about which there is nothing left to do. A Pod runs on when its client has ended.
pub fn is_told_to_run(pod: &Value) -> bool {
    let is_at_work = is_set(&client_of(pod)["running"]) && pod["status"]["phase"] == "Running";
    let is_held_or_goes = is_gated(pod) || is_set(&pod["metadata"]["deletionTimestamp"]);
    is_at_work && !is_held_or_goes && pod["metadata"]["annotations"][REPORTED] == "running"
}

impl Truth {
    pub fn note(&mut self, change: &PodChange) {
        let pod = &change.pod;
        let is_deleted = change.kind == ChangeKind::Deleted;
        assert!(is_deleted || is_gated(pod) || is_routed(pod), "free without a gateway: {pod}");
        let life = self.lives.entry(text(&pod["metadata"]["uid"]).to_owned()).or_default();
        let is = |what: &str| is_set(&client_of(pod)[what]);
        life.event = event_of(pod).to_owned();
        life.is_released |= !is_gated(pod);
        life.has_run |= is("running");
        life.has_ended |= is("terminated") || pod["status"]["phase"] == "Failed" || is_deleted;
    }

    /// Somebody takes the Pod of this event away. Gives the uid of the one that there is.
    pub fn disturb(&mut self, event: &str) -> Vec<String> {
        self.disturbed.insert(event.to_owned());
        let is_there = |life: &Life| life.event == event && !life.has_ended;
        self.lives.iter().filter(|(_, life)| is_there(life)).map(|(uid, _)| uid.clone()).collect()
    }
}
