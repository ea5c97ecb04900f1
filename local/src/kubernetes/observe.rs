//! What can be observed of the API from outside: every change of a Pod, whoever made it.

use provisioner::pod::{each, is_set, text};
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
        is_set(&self.0["spec"]["schedulingGates"])
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
        each(&self.0["spec"][list]).map(|container| text(&container["name"])).collect()
    }
}
