//! The requests, and what of the two answers has to be the same.

mod changing;
mod creating;
mod reading;

use serde_json::{Value, json};

use crate::deploy::unrouted;
use changing::{deletion, patches};
use creating::{access, creation, invalid};
use reading::{discovery, reading};

pub use changing::{denied, down, routed};

/// Who asks.
#[derive(Clone, Copy)]
pub enum Who {
    /// Somebody who may do everything.
    Admin,
    /// The provisioner with its Role.
    Provisioner,
    /// Somebody with a token that nobody knows.
    Stranger,
    /// Somebody without a token.
    Nobody,
}

/// What has to be the same.
#[derive(Clone, Copy, Debug)]
pub enum Compared {
    /// All that `view` sees.
    Everything,
    /// The same but for the words, for this reason.
    ButWords(&'static str),
    /// Nothing: the embedded API refuses, with this code and for this reason, what a real one does.
    Refused(u16, &'static str),
}

/// One request.
pub struct Case {
    /// What it is about.
    pub name: &'static str,
    /// Method and path; a path without a slash in front is in the test's namespace.
    pub request: &'static str,
    /// The body; `{uid}` and `{version}` in it are those of the Pod in the path.
    pub body: String,
    pub media: &'static str,
    pub accept: &'static str,
    pub who: Who,
    pub compared: Compared,
}

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const PARSER: &str = "the words are those of the JSON parser";

impl Case {
    fn typed(self, media: &'static str) -> Self {
        Self { media, ..self }
    }

    fn by(self, who: Who) -> Self {
        Self { who, ..self }
    }

    fn table(self) -> Self {
        Self { accept: TABLE, ..self }
    }

    fn but_words(self, why: &'static str) -> Self {
        Self { compared: Compared::ButWords(why), ..self }
    }

    fn refused(self, code: u16, why: &'static str) -> Self {
        Self { compared: Compared::Refused(code, why), ..self }
    }
}

fn raw(name: &'static str, request: &'static str, body: impl Into<String>) -> Case {
    let (who, compared) = (Who::Admin, Compared::Everything);
    Case { name, request, body: body.into(), media: JSON, accept: JSON, who, compared }
}

fn get(name: &'static str, request: &'static str) -> Case {
    raw(name, request, "")
}

fn send(name: &'static str, request: &'static str, body: Value) -> Case {
    raw(name, request, body.to_string())
}

fn patch(name: &'static str, request: &'static str, body: Value) -> Case {
    send(name, request, body).typed(STRATEGIC)
}

fn merge(name: &'static str, request: &'static str, body: Value) -> Case {
    send(name, request, body).typed(MERGE)
}

/// A client as the provisioner makes it, in the namespace of the path.
pub fn client(name: &str) -> Value {
    let mut pod = unrouted(name);
    pod["metadata"]["namespace"].take();
    pod["metadata"]["labels"]["of"] = json!(name);
    pod
}

/// The same with something else at a JSON pointer.
fn with(name: &str, pointer: &str, value: Value) -> Value {
    let mut pod = client(name);
    let (parent, field) = pointer.rsplit_once('/').expect("a pointer has a slash");
    let parent = pod.pointer_mut(parent).expect("the pointer's parent is there");
    parent[field] = value;
    pod
}

fn release() -> Value {
    json!({
        "metadata": {"uid": "{uid}"},
        "spec": {"schedulingGates": [{"$patch": "delete", "name": "podgateway.io/gateway-verification"}]},
    })
}

/// Requests to an API without webhooks, in this order.
pub fn plain() -> Vec<Case> {
    [access(), creation(), invalid(), reading(), patches(), deletion(), discovery()].into_iter().flatten().collect()
}
