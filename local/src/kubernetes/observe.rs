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

/// What there is to see of a Pod in its JSON; nothing of it need be there.
#[derive(Debug, Clone, Copy)]
pub struct PodView<'a>(pub &'a Value);

impl<'a> PodView<'a> {
    /// `namespace/name`.
    pub fn full_name(self) -> String {
        let [namespace, name] = ["namespace", "name"].map(|field| text(&self.0["metadata"][field]));
        format!("{namespace}/{name}")
    }

    /// Its uid.
    pub fn uid(self) -> &'a str {
        text(&self.0["metadata"]["uid"])
    }

    /// An annotation's value.
    pub fn annotation(self, key: &str) -> &'a str {
        text(&self.0["metadata"]["annotations"][key])
    }

    /// Whether a scheduling gate holds it back.
    pub fn is_gated(self) -> bool {
        self.0["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty())
    }

    /// The names of its init containers.
    pub fn init_containers(self) -> Vec<&'a str> {
        self.names("initContainers")
    }

    /// The names of its other containers.
    pub fn containers(self) -> Vec<&'a str> {
        self.names("containers")
    }

    fn names(self, list: &str) -> Vec<&'a str> {
        let containers = self.0["spec"][list].as_array();
        containers.into_iter().flatten().filter_map(|container| container["name"].as_str()).collect()
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
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
