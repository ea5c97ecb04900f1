//! What can be observed of the API from outside: every change of a Pod, whoever made it.

use provisioner::pod::is_set;
use serde_json::Value;

/// What happened to a Pod.
#[derive(Debug, Clone, PartialEq)]
pub struct PodChange {
    /// How it changed.
    pub kind: ChangeKind,
    /// The Pod after the change, or as it was last.
    pub pod: Value,
}

/// How a Pod changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It was created.
    Created,
    /// Its last scheduling gate was removed.
    Released,
    /// Something else about it changed.
    Updated,
    /// It is gone.
    Deleted,
}

/// Whether a scheduling gate holds a Pod back.
pub fn is_gated(pod: &Value) -> bool {
    is_set(&pod["spec"]["schedulingGates"])
}
