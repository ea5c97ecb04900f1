//! What can be observed of the API from outside: changes and calls.

use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

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

/// How many requests came for each verb, whatever the answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Calls {
    /// By verb, as RBAC calls it.
    pub by_verb: BTreeMap<&'static str, u64>,
    /// How many were answered with a failure.
    pub failed: u64,
}

impl Calls {
    /// The requests for one verb.
    pub fn of(&self, verb: &str) -> u64 {
        self.by_verb.get(verb).copied().unwrap_or_default()
    }
}
