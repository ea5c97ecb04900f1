//! What really becomes of Pods, and an ApiServerSource that tells of it: not of everything, and some of it twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use local::cli::sources::told;
use local::kubernetes::{ChangeKind, EmbeddedApi, PodChange};
use provisioner::pod::{CLIENT_CONTAINER, EVENT_ID, each, is_set, text};
use serde_json::Value;
use tests::pods::is_gated;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

use crate::dice::Dice;
use crate::lane::Lane;

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
#[derive(Clone, Debug, Default)]
pub struct Truth {
    pub lives: BTreeMap<String, Life>,
    pub disturbed: BTreeSet<String>,
}

/// The source, and what it knows.
pub struct Source {
    changes: Mutex<Receiver<PodChange>>,
    truth: Mutex<Truth>,
    api: String,
    dice: Dice,
}

/// The id of the event for which a Pod was made.
pub fn event_of(pod: &Value) -> &str {
    text(&pod["metadata"]["annotations"][EVENT_ID])
}

/// The state of its client: a core/v1 ContainerState.
pub fn client_of(pod: &Value) -> &Value {
    let mut statuses = each(&pod["status"]["containerStatuses"]);
    statuses.find(|status| status["name"] == CLIENT_CONTAINER).map_or(&Value::Null, |status| &status["state"])
}

impl Source {
    pub fn new(api: &EmbeddedApi, dice: &Dice) -> Self {
        Self { changes: Mutex::new(api.subscribe()), truth: Mutex::default(), api: api.url(), dice: dice.clone() }
    }

    /// Tells the lane of every change, for ever.
    pub async fn run(self: Arc<Self>, lane: Arc<Lane>) {
        loop {
            self.pump(&lane);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Tells the lane of the changes that there were.
    pub fn pump(&self, lane: &Lane) {
        let mut changes = self.changes.lock().unwrap();
        loop {
            match changes.try_recv() {
                Ok(change) => self.tell(&change, lane),
                Err(TryRecvError::Lagged(_)) => panic!("a change of a Pod was missed"),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    /// Somebody takes the Pod of this event away. Gives the uid of the one that there is.
    pub fn disturb(&self, event: &str) -> Vec<String> {
        let mut truth = self.truth();
        truth.disturbed.insert(event.to_owned());
        let is_there = |life: &Life| life.event == event && !life.has_ended;
        truth.lives.iter().filter(|(_, life)| is_there(life)).map(|(uid, _)| uid.clone()).collect()
    }

    /// What there is to know, which is forgotten.
    pub fn take(&self) -> Truth {
        std::mem::take(&mut self.truth())
    }

    fn truth(&self) -> MutexGuard<'_, Truth> {
        self.truth.lock().unwrap()
    }

    fn tell(&self, change: &PodChange, lane: &Lane) {
        self.truth().note(change);
        let copies = match self.dice.below(20) {
            // No sweep finds a Pod that is gone, so that is told always.
            0 if change.kind != ChangeKind::Deleted => 0,
            1 => 2,
            _ => 1,
        };
        for _ in 0..copies {
            lane.broker.publish(told(change, &self.api).expect("every Pod here is a client's"));
        }
    }
}

impl Truth {
    fn note(&mut self, change: &PodChange) {
        let pod = &change.pod;
        let life = self.lives.entry(text(&pod["metadata"]["uid"]).to_owned()).or_default();
        let is = |what: &str| is_set(&client_of(pod)[what]);
        life.event = event_of(pod).to_owned();
        life.is_released |= !is_gated(pod);
        life.has_run |= is("running");
        life.has_ended |= is("terminated") || pod["status"]["phase"] == "Failed" || change.kind == ChangeKind::Deleted;
    }
}
