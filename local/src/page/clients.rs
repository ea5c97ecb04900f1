//! The clients, as the picture shows them: each Pod, and how far it has come.
//!
//! In: changes of Pods. Out: a [`Client`] each, those that are gone among them, for seeing one go is the point.

use std::collections::{BTreeSet, VecDeque};

use provisioner::gateway::injected_address;
use provisioner::pod::{Pod, each, text};
use provisioner::state::{EndReason, Observed, State};
use serde::Deserialize;
use serde_json::Value;

use crate::kubernetes::{ChangeKind, PodChange, is_gated};

/// How many are kept; the oldest go first.
const LIMIT: usize = 5_000;

/// How far a client has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It is there and can't be scheduled.
    Gated,
    /// It may be scheduled, and is about to start, or to start again.
    Scheduled,
    /// It runs behind its gateway, if that was looked at.
    Running,
    /// It was deleted without ever having been released.
    Removed,
    /// It has ended, for this reason; its Pod may be there still.
    Ended(EndReason),
}

impl Progress {
    /// The same in a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Gated => "gated",
            Self::Scheduled => "scheduled",
            Self::Running => "running",
            Self::Removed => "removed",
            Self::Ended(_) => "ended",
        }
    }
}

/// A Pod.
#[derive(Debug, Clone)]
pub struct Client {
    /// The Pod itself, as it is, or was last.
    pub pod: Pod,
    /// How often its command was started again.
    pub restarts: u64,
    /// How far it has come.
    pub progress: Progress,
}

/// The clients that there are and were, the oldest first.
#[derive(Debug, Default)]
pub struct Clients(VecDeque<Client>);

impl Clients {
    /// The clients that these Pods are.
    pub fn of(pods: &[Value]) -> Self {
        Self(pods.iter().filter_map(|pod| Client::of(pod, false)).collect())
    }

    /// Takes in what became of a Pod.
    pub fn apply(&mut self, change: &PodChange) {
        let Some(mut client) = Client::of(&change.pod, change.kind == ChangeKind::Deleted) else { return };
        let before = self.0.iter_mut().rfind(|before| before.pod.metadata.uid == client.pod.metadata.uid);
        // What is taken away after its end has ended as it had.
        if let Some(ended @ Progress::Ended(_)) = before.as_ref().map(|before| before.progress) {
            client.progress = ended;
        }
        match before {
            Some(before) => *before = client,
            None => self.0.push_back(client),
        }
        if self.0.len() > LIMIT {
            self.0.pop_front();
        }
    }

    /// Those that asked for this gateway, the newest first.
    pub fn of_gateway<'a>(&'a self, gateway: &'a str) -> impl Iterator<Item = &'a Client> {
        self.0.iter().rev().filter(move |client| client.annotation("setGateway") == gateway)
    }

    /// The gateways that were asked for, by name.
    pub fn gateways(&self) -> BTreeSet<&str> {
        self.0.iter().map(|client| client.annotation("setGateway")).collect()
    }

    /// The one with this uid.
    pub fn with_uid(&self, uid: &str) -> Option<&Client> {
        self.0.iter().find(|client| client.pod.metadata.uid == uid)
    }

    /// How many have come so far, in a word.
    pub fn count(&self, progress: &str) -> usize {
        self.0.iter().filter(|client| client.progress.word() == progress).count()
    }
}

impl Client {
    /// The client in a Pod, if that is a Pod.
    fn of(pod: &Value, is_gone: bool) -> Option<Self> {
        let restarts = each(&pod["status"]["containerStatuses"]).filter_map(|status| status["restartCount"].as_u64());
        let observed = Observed::deserialize(pod).ok()?;
        // As the provisioner would tell it.
        let progress = match observed.state() {
            _ if is_gated(pod) && is_gone => Progress::Removed,
            _ if is_gated(pod) => Progress::Gated,
            _ if is_gone => Progress::Ended(observed.end().reason),
            State::Running(_) => Progress::Running,
            State::Ended(end) => Progress::Ended(end.reason),
            State::Waiting => Progress::Scheduled,
        };
        Some(Self { pod: Pod::deserialize(pod).ok()?, restarts: restarts.sum(), progress })
    }

    /// `namespace/name`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.pod.metadata.namespace, self.pod.metadata.name)
    }

    /// An annotation's value, or nothing.
    pub fn annotation(&self, key: &str) -> &str {
        self.pod.metadata.annotation(key).unwrap_or_default()
    }

    /// The names of the containers in this list of its spec.
    pub fn containers(&self, list: &str) -> impl Iterator<Item = &str> {
        each(&self.pod.spec[list]).map(|container| text(&container["name"]))
    }

    /// The address of the gateway that took it, as the provisioner finds it.
    pub fn address(&self) -> Option<&str> {
        injected_address(&self.pod).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use provisioner::testing::{client_ended, client_running, deleting, routed, wanted};
    use serde_json::json;

    fn change(kind: ChangeKind, uid: &str, gates: Value) -> PodChange {
        let gateway = json!([{"name": "gateway-init", "env": [{"name": "gateway", "value": "there"}]}]);
        let pod = json!({
            "metadata": {"namespace": "n", "name": "p", "uid": uid, "annotations": {"setGateway": "foo"}},
            "spec": {"initContainers": gateway, "containers": [{"name": "client"}], "schedulingGates": gates},
        });
        PodChange { kind, pod }
    }

    #[track_caller]
    fn check(changes: &[(ChangeKind, Value)], expected: Progress) {
        let mut clients = Clients::default();
        for (kind, gates) in changes {
            clients.apply(&change(*kind, "u", gates.clone()));
        }
        let progress: Vec<_> = clients.of_gateway("foo").map(|client| client.progress).collect();
        assert_eq!(progress, [expected]);
    }

    #[test]
    fn a_client_is_gated_until_its_gate_is_gone() {
        check(&[(ChangeKind::Created, json!([{"name": "g"}]))], Progress::Gated);
        check(&[(ChangeKind::Created, json!([{"name": "g"}])), (ChangeKind::Released, json!([]))], Progress::Scheduled);
        check(&[(ChangeKind::Created, json!([]))], Progress::Scheduled);
    }

    #[test]
    fn what_was_removed_gated_is_told_from_what_had_its_time() {
        let gated = || (ChangeKind::Created, json!([{"name": "g"}]));
        check(&[gated(), (ChangeKind::Deleted, json!([{"name": "g"}]))], Progress::Removed);
        check(
            &[gated(), (ChangeKind::Released, json!([])), (ChangeKind::Deleted, json!([]))],
            Progress::Ended(EndReason::Deleted),
        );
    }

    #[test]
    fn a_client_that_has_ended_stays_what_it_was_when_its_pod_is_taken_away() {
        let pod = |state: fn(Value) -> Value| state(routed(wanted(&[])));
        let (runs, ended) = (pod(client_running), pod(|pod| client_ended(pod, 1)));
        let gone = deleting(ended.clone());
        let mut clients = Clients::default();
        for (kind, pod, progress) in [
            (ChangeKind::Updated, runs, Progress::Running),
            (ChangeKind::Updated, ended, Progress::Ended(EndReason::Error)),
            (ChangeKind::Deleted, gone, Progress::Ended(EndReason::Error)),
        ] {
            let uid = text(&pod["metadata"]["uid"]).to_owned();
            clients.apply(&PodChange { kind, pod });
            assert_eq!(clients.with_uid(&uid).unwrap().progress, progress);
        }
    }

    #[test]
    fn a_client_has_the_address_of_its_gateway() {
        let clients = Clients::of(&[change(ChangeKind::Created, "u", json!([{"name": "g"}])).pod]);
        let client = clients.of_gateway("foo").next().unwrap();
        assert_eq!(client.address(), Some("there"));
        assert_eq!(client.containers("initContainers").collect::<Vec<_>>(), ["gateway-init"]);
        assert_eq!(clients.gateways(), BTreeSet::from(["foo"]));
    }

    #[test]
    fn memory_is_bounded() {
        let mut clients = Clients::default();
        for uid in 0..LIMIT + 3 {
            clients.apply(&change(ChangeKind::Created, &uid.to_string(), json!([{"name": "g"}])));
        }
        assert_eq!(clients.count("gated"), LIMIT);
        assert_eq!(clients.of_gateway("foo").last().unwrap().pod.metadata.uid, "3");
    }
}
