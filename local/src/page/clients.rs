//! The clients, as the picture shows them: each Pod with its containers, its gateway, and how far it has come.
//!
//! In: changes of Pods. Out: a [`Client`] each, those that are gone among them, for seeing one go is the point.

use std::collections::VecDeque;

use provisioner::gateway::injected_address;
use provisioner::pod::{EVENT_ID, EVENT_SOURCE, Pod, each};
use provisioner::state::{EndReason, Observed, State};
use serde::Deserialize;
use serde_json::Value;

use crate::kubernetes::{ChangeKind, PodChange, PodView};

/// How many are kept; the oldest go first.
const LIMIT: usize = 5_000;

/// How far a client has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It is there and can't be scheduled.
    Gated,
    /// It may be scheduled, and is about to start, or to start again.
    Scheduled,
    /// It runs behind its gateway.
    Running,
    /// It was deleted without ever having been released.
    Removed,
    /// It has ended, for this reason; its Pod may be there still.
    Ended(EndReason),
}

/// A Pod.
#[derive(Debug, Clone, PartialEq)]
pub struct Client {
    /// Its uid.
    pub uid: String,
    /// `namespace/name`.
    pub name: String,
    /// The gateway that was asked for.
    pub gateway: String,
    /// The `id` of the event that asked for it.
    pub event_id: String,
    /// The `source` of that event.
    pub event_source: String,
    /// How often its command was started again.
    pub restarts: u64,
    /// The names of its init containers.
    pub init_containers: Vec<String>,
    /// The names of its other containers.
    pub containers: Vec<String>,
    /// The address of the gateway that took it.
    pub address: Option<String>,
    /// How far it has come.
    pub progress: Progress,
}

/// The clients that there are and were, the oldest first.
#[derive(Debug, Default)]
pub struct Clients(VecDeque<Client>);

impl Clients {
    /// The clients that these Pods are.
    pub fn of(pods: &[Value]) -> Self {
        Self(pods.iter().map(|pod| Client::of(pod, false)).collect())
    }

    /// Takes in what became of a Pod.
    pub fn apply(&mut self, change: &PodChange) {
        let before = self.0.iter().rposition(|client| change.pod["metadata"]["uid"] == client.uid.as_str());
        let mut client = Client::of(&change.pod, change.kind == ChangeKind::Deleted);
        // What is taken away after its end has ended as it had.
        if let Some(ended @ Progress::Ended(_)) = before.map(|at| self.0[at].progress) {
            client.progress = ended;
        }
        match before {
            Some(at) => self.0[at] = client,
            None => self.0.push_back(client),
        }
        if self.0.len() > LIMIT {
            self.0.pop_front();
        }
    }

    /// Those that asked for this gateway, the newest first.
    pub fn of_gateway<'a>(&'a self, gateway: &'a str) -> impl Iterator<Item = &'a Client> {
        self.0.iter().rev().filter(move |client| client.gateway == gateway)
    }

    /// The gateways that were asked for and are not among `known`, each once, by name.
    pub fn other_gateways(&self, known: &[&str]) -> Vec<&str> {
        let mut names: Vec<&str> = self.0.iter().map(|client| client.gateway.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names.retain(|name| !known.contains(name));
        names
    }

    /// The one with this uid.
    pub fn with_uid(&self, uid: &str) -> Option<&Client> {
        self.0.iter().find(|client| client.uid == uid)
    }

    /// How many are in a state such as this.
    pub fn count(&self, is_such: impl Fn(Progress) -> bool) -> usize {
        self.0.iter().filter(|client| is_such(client.progress)).count()
    }
}

impl Client {
    fn of(pod: &Value, is_gone: bool) -> Self {
        let view = PodView(pod);
        let statuses = each(&pod["status"]["containerStatuses"]);
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        Self {
            uid: view.uid().to_owned(),
            name: view.full_name(),
            gateway: view.annotation("setGateway").to_owned(),
            event_id: view.annotation(EVENT_ID).to_owned(),
            event_source: view.annotation(EVENT_SOURCE).to_owned(),
            restarts: statuses.filter_map(|status| status["restartCount"].as_u64()).sum(),
            init_containers: owned(view.init_containers()),
            containers: owned(view.containers()),
            address: address(pod),
            progress: progress(pod, is_gone),
        }
    }
}

/// How far the client in a Pod has come, as the provisioner would tell it.
fn progress(pod: &Value, is_gone: bool) -> Progress {
    match (PodView(pod).is_gated(), Observed::deserialize(pod)) {
        (true, _) if is_gone => Progress::Removed,
        (true, _) => Progress::Gated,
        (false, Ok(pod)) if is_gone => Progress::Ended(pod.end().reason),
        (false, Ok(pod)) => match pod.state() {
            State::Running(_) => Progress::Running,
            State::Ended(end) => Progress::Ended(end.reason),
            State::Waiting => Progress::Scheduled,
        },
        // It says too little of itself.
        (false, Err(_)) => Progress::Scheduled,
    }
}

/// The address of the gateway in a Pod, as the provisioner finds it.
fn address(pod: &Value) -> Option<String> {
    injected_address(&Pod::deserialize(pod).ok()?).ok().map(str::to_owned)
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
            let uid = PodView(&pod).uid().to_owned();
            clients.apply(&PodChange { kind, pod });
            assert_eq!(clients.with_uid(&uid).unwrap().progress, progress);
        }
    }

    #[test]
    fn a_client_has_the_address_of_its_gateway() {
        let clients = Clients::of(&[change(ChangeKind::Created, "u", json!([{"name": "g"}])).pod]);
        let client = clients.of_gateway("foo").next().unwrap();
        assert_eq!(client.address.as_deref(), Some("there"));
        assert_eq!(client.init_containers, ["gateway-init"]);
        assert_eq!(clients.other_gateways(&["foo"]), Vec::<&str>::new());
        assert_eq!(clients.other_gateways(&[]), ["foo"]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut clients = Clients::default();
        for uid in 0..LIMIT + 3 {
            clients.apply(&change(ChangeKind::Created, &uid.to_string(), json!([{"name": "g"}])));
        }
        assert_eq!(clients.count(|progress| progress == Progress::Gated), LIMIT);
        assert_eq!(clients.of_gateway("foo").last().unwrap().uid, "3");
    }
}
