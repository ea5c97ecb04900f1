//! The parts of a core/v1 PodSpec and PodStatus that determine a client's state.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::pod::time;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Spec {
    pub(super) scheduling_gates: Vec<Named>,
    pub(super) restart_policy: String,
    pub(super) active_deadline_seconds: Option<i64>,
    pub(super) node_name: Option<String>,
    pub(super) termination_grace_period_seconds: i64,
    pub(super) init_containers: Vec<Named>,
    pub(super) containers: Vec<Container>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Named {
    pub(super) name: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) restart_policy: Option<String>,
    #[serde(default)]
    pub(super) restart_policy_rules: Vec<Rule>,
}

/// A core/v1 ContainerRestartRule. Its action is not read: every action restarts the container.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rule {
    pub(super) exit_codes: Option<Box<ExitCodes>>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct ExitCodes {
    pub(super) operator: String,
    #[serde(default)]
    pub(super) values: Vec<i32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Status {
    pub(super) phase: String,
    pub(super) reason: String,
    pub(super) message: Option<String>,
    #[serde(default, deserialize_with = "time")]
    pub(super) start_time: Option<DateTime<Utc>>,
    #[serde(rename = "podIP")]
    pub(super) pod_ip: Option<String>,
    pub(super) conditions: Vec<Condition>,
    pub(super) init_container_statuses: Vec<ContainerStatus>,
    pub(super) container_statuses: Vec<ContainerStatus>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Condition {
    pub(super) r#type: String,
    pub(super) status: String,
    #[serde(default)]
    pub(super) reason: String,
    pub(super) message: Option<String>,
    #[serde(default, deserialize_with = "time")]
    pub(super) last_transition_time: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct ContainerStatus {
    pub(super) name: String,
    #[serde(default)]
    pub(super) state: ContainerState,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct ContainerState {
    pub(super) running: Option<Running>,
    pub(super) terminated: Option<Box<Exit>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Running {
    #[serde(default, deserialize_with = "time")]
    pub(super) started_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Exit {
    pub(super) exit_code: i32,
    #[serde(default)]
    pub(super) reason: String,
    pub(super) message: Option<String>,
    #[serde(default, deserialize_with = "time")]
    pub(super) finished_at: Option<DateTime<Utc>>,
}

impl Exit {
    /// Whether the kubelet lost the container, as it may when the runtime restarts.
    pub(super) fn is_lost(&self) -> bool {
        self.reason == "ContainerStatusUnknown"
    }
}

impl Rule {
    /// Whether it applies to this exit. A rule of an unknown kind applies to any.
    pub(super) fn matches(&self, exit: &Exit) -> bool {
        self.exit_codes.as_ref().is_none_or(|codes| match codes.operator.as_str() {
            "In" => codes.values.contains(&exit.exit_code),
            "NotIn" => !codes.values.contains(&exit.exit_code),
            _ => true,
        })
    }
}

/// The state of the container `name`.
pub(super) fn status_of<'a>(statuses: &'a [ContainerStatus], name: &str) -> Option<&'a ContainerState> {
    statuses.iter().find(|status| status.name == name).map(|status| &status.state)
}
