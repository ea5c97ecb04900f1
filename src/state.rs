//! Reads a client's state from its Pod: waiting, running behind its gateway, or ended and why.
//!
//! The state of the container `client` counts, not the Pod's phase: a Pod is `Running` before its client has started,
//! and a gateway's sidecar keeps it `Running` after the client has ended. Source: Kubernetes, "Pod Lifecycle",
//! "Disruptions" and core/v1 `PodStatus`.

mod wire;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use self::wire::{Condition, ContainerStatus, Exit, Spec, Status, status_of};
use crate::pod::{CLIENT_CONTAINER, GATE, Metadata, TERMINATION};

/// How long a node may take to clean up after the grace period of a Pod, and how much its clock may differ from the API
/// server's, in seconds.
const MARGIN: i64 = 60;

/// Why a client has ended: a closed list.
///
/// Serialized as the variant's own name, for example `"OOMKilled"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum EndReason {
    /// Its command succeeded.
    Completed,
    /// Its command failed, or its Pod failed before it could start.
    Error,
    /// It used more memory than its limit.
    OOMKilled,
    /// It ran longer than `activeDeadlineSeconds`.
    DeadlineExceeded,
    /// The node or the scheduler needed its resources, or somebody drained the node.
    Evicted,
    /// Its node is gone.
    NodeLost,
    /// An event asked for its end.
    Terminated,
    /// Somebody else deleted its Pod.
    Deleted,
}

impl EndReason {
    /// Every reason, in the order of the list in `docs/contract.md`.
    #[rustfmt::skip]
    pub const ALL: [Self; 8] = [
        Self::Completed, Self::Error, Self::OOMKilled, Self::DeadlineExceeded, Self::Evicted, Self::NodeLost,
        Self::Terminated, Self::Deleted,
    ];
}

/// The state of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It has not started, or it is about to start again.
    Waiting,
    /// Its gateway's init container has set the routes, and it started at this time.
    Running(Option<DateTime<Utc>>),
    /// It has ended for good.
    Ended(End),
}

/// The end of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Why.
    pub reason: EndReason,
    /// The exit code of its command.
    pub exit_code: Option<i32>,
    /// What Kubernetes says about it.
    pub message: Option<String>,
    /// When.
    pub ended_at: Option<DateTime<Utc>>,
}

/// Part of a core/v1 Pod: what determines its client's state.
#[derive(Clone, Debug, Deserialize)]
pub struct Observed {
    /// Name, identity and annotations.
    pub metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

impl AsRef<Metadata> for Observed {
    fn as_ref(&self) -> &Metadata {
        &self.metadata
    }
}

impl Observed {
    /// Whether the Pod still has our gate.
    pub fn is_gated(&self) -> bool {
        self.spec.scheduling_gates.iter().any(|gate| gate.name == GATE)
    }

    /// The address of the Pod within the cluster.
    pub fn ip(&self) -> Option<&str> {
        self.status.pod_ip.as_deref()
    }

    /// Whether anything ran before the client, which only a gateway's container does.
    pub fn has_init_containers(&self) -> bool {
        !self.spec.init_containers.is_empty()
    }

    /// The node of the Pod.
    pub fn node(&self) -> Option<&str> {
        self.spec.node_name.as_deref()
    }

    /// The state of the client.
    ///
    /// ```
    /// use provisioner::state::{Observed, State};
    ///
    /// let pod = r#"{"metadata": {"name": "a", "namespace": "n", "uid": "u"}, "status": {"phase": "Pending"}}"#;
    /// let pod: Observed = serde_json::from_str(pod).unwrap();
    /// assert_eq!(pod.state(), State::Waiting);
    /// ```
    pub fn state(&self) -> State {
        let client = status_of(&self.status.container_statuses, CLIENT_CONTAINER);
        match client.and_then(|state| state.running.as_ref()) {
            _ if self.is_over() || self.exit().is_some_and(|exit| self.is_final(exit)) => State::Ended(self.end()),
            Some(running) if self.is_routed() => State::Running(running.started_at),
            _ => State::Waiting,
        }
    }

    /// Whether every container of the Pod has ended for good.
    fn is_over(&self) -> bool {
        matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }

    /// How the container `client` ended last, if it has ended.
    fn exit(&self) -> Option<&Exit> {
        status_of(&self.status.container_statuses, CLIENT_CONTAINER)?.terminated.as_deref()
    }

    /// How the client ended, if it has ended or its Pod is gone.
    pub fn end(&self) -> End {
        let exit = self.exit();
        let disruption = self.disruption_target().and_then(|condition| condition.message.as_ref());
        let reason = self.reason(exit);
        let failed = if exit.is_none() && reason == EndReason::Error { self.failed_init() } else { None };
        // Of a container that it lost the kubelet knows neither message nor exit code, and writes its own.
        let known = exit.filter(|exit| !exit.is_lost());
        let of_client = known.and_then(|exit| exit.message.as_ref());
        let messages = [of_client, self.status.message.as_ref(), disruption, failed.as_ref()];
        End {
            reason,
            exit_code: known.map(|exit| exit.exit_code),
            message: messages.into_iter().flatten().find(|message| !message.is_empty()).cloned(),
            ended_at: exit.and_then(|exit| exit.finished_at).or_else(|| self.ended_at()),
        }
    }

    /// Which init container kept the client from starting, of which Kubernetes says nothing else: the last that ended,
    /// because a sidecar before it is ended with it.
    fn failed_init(&self) -> Option<String> {
        self.status.init_container_statuses.iter().rev().find_map(|ContainerStatus { name, state }| {
            let code = state.terminated.as_ref()?.exit_code;
            (code != 0).then(|| format!("it never started: its init container {name} ended with {code}"))
        })
    }

    /// When the Pod ended, if its client doesn't say.
    fn ended_at(&self) -> Option<DateTime<Utc>> {
        let changed = self.status.conditions.iter().filter_map(|condition| condition.last_transition_time).max();
        let deleted = self.metadata.deletion_timestamp;
        let ended = if self.is_over() { changed.or(deleted) } else { deleted.or(changed) };
        ended.or(self.metadata.creation_timestamp)
    }

    fn reason(&self, exit: Option<&Exit>) -> EndReason {
        match self.disruption() {
            _ if exit.is_some_and(|exit| self.has_ended_by_itself(exit)) => self.own_reason(exit),
            Some((reason, _)) => reason,
            None if self.is_over() && !self.metadata.is_being_deleted() => self.own_reason(exit),
            None if self.metadata.annotation(TERMINATION).is_some() => EndReason::Terminated,
            None => EndReason::Deleted,
        }
    }

    /// Whether the client ended for good before anything else ended its Pod.
    fn has_ended_by_itself(&self, exit: &Exit) -> bool {
        let was_first = |at: Option<DateTime<Utc>>| Some(exit.finished_at? < at?);
        let was_deleted = self.metadata.is_being_deleted();
        self.is_final(exit)
            && self.disruption().is_none_or(|(_, at)| was_first(at) == Some(true))
            && (!was_deleted || was_first(self.deletion_requested()) == Some(true))
    }

    /// Why the client ended, if nothing else ended it.
    fn own_reason(&self, exit: Option<&Exit>) -> EndReason {
        match exit {
            Some(exit) if exit.reason == "OOMKilled" => EndReason::OOMKilled,
            Some(exit) if exit.exit_code == 0 => EndReason::Completed,
            None if self.status.phase == "Succeeded" => EndReason::Completed,
            _ => EndReason::Error,
        }
    }

    /// Whether the container `client`, which has ended, is not started again.
    ///
    /// A deletion of the Pod doesn't change that: the kubelet restarts the container until it sees the deletion. It
    /// restarts a container that it lost whatever the policy.
    fn is_final(&self, exit: &Exit) -> bool {
        let client = self.spec.containers.iter().find(|container| container.name == CLIENT_CONTAINER);
        let policy = client.and_then(|client| client.restart_policy.as_deref()).unwrap_or(&self.spec.restart_policy);
        let is_restarted =
            client.is_some_and(|client| client.restart_policy_rules.iter().any(|rule| rule.matches(exit)));
        match policy {
            _ if is_restarted || exit.is_lost() => false,
            "Never" => true,
            "OnFailure" => exit.exit_code == 0,
            _ => false,
        }
    }

    /// What ended the Pod other than its client or a deletion, and when, if the Pod says so.
    fn disruption(&self) -> Option<(EndReason, Option<DateTime<Utc>>)> {
        let target = self.disruption_target();
        let reason = match (self.status.reason.as_str(), target.map_or("", |condition| &condition.reason)) {
            ("DeadlineExceeded", _) => return Some((EndReason::DeadlineExceeded, self.deadline())),
            ("NodeLost", _) | (_, "DeletionByTaintManager" | "DeletionByPodGC") => EndReason::NodeLost,
            // The node says so only after all containers have ended, so that time says nothing.
            ("Evicted" | "Preempting" | "Terminated" | "NodeShutdown", _) | (_, "TerminationByKubelet") => {
                return Some((EndReason::Evicted, None));
            }
            (_, "EvictionByEvictionAPI" | "PreemptionByScheduler") => EndReason::Evicted,
            _ => return None,
        };
        Some((reason, target.and_then(|condition| condition.last_transition_time)))
    }

    fn disruption_target(&self) -> Option<&Condition> {
        let mut conditions = self.status.conditions.iter();
        conditions.find(|condition| condition.r#type == "DisruptionTarget" && condition.status == "True")
    }

    fn deadline(&self) -> Option<DateTime<Utc>> {
        let seconds = TimeDelta::try_seconds(self.spec.active_deadline_seconds?)?;
        self.status.start_time?.checked_add_signed(seconds)
    }

    /// The earliest time at which the deletion may have been requested: the longer of both grace periods and the margin
    /// before the deletion timestamp.
    ///
    /// Each later request with a shorter grace period replaces that time, and so does the node's own with a grace
    /// period of 0, once the containers have ended.
    fn deletion_requested(&self) -> Option<DateTime<Utc>> {
        let grace = self.metadata.deletion_grace_period_seconds.unwrap_or(0);
        let grace = grace.max(self.spec.termination_grace_period_seconds).saturating_add(MARGIN);
        self.metadata.deletion_timestamp?.checked_sub_signed(TimeDelta::try_seconds(grace)?)
    }

    /// Whether the first init container, which is the gateway's, has succeeded.
    fn is_routed(&self) -> bool {
        self.spec.init_containers.first().is_none_or(|gateway| {
            let state = status_of(&self.status.init_container_statuses, &gateway.name);
            state.and_then(|state| state.terminated.as_ref()).is_some_and(|exit| exit.exit_code == 0)
        })
    }
}

#[cfg(test)]
mod tests;
