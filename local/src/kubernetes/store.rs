//! The Pods, and what creating, updating and deleting one does to them.
//!
//! In: whole objects that validation has passed, and the time. Out: the stored object or a `Status`. There is no clock, no
//! lock and no HTTP in it. Every write takes the next resource version and is reported, whoever writes; a dry run does
//! neither.

use super::defaults;
use super::status::Status;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use provisioner::pod::{is_set, text};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio::sync::broadcast;
use uuid::Uuid;

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

/// A time as Kubernetes writes it.
pub fn time(at: DateTime<Utc>) -> Value {
    json!(at.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// `DeleteOptions`, as far as they matter here.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeleteOptions {
    preconditions: BTreeMap<String, String>,
    grace_period_seconds: Option<i64>,
    /// `All`, where nothing is to be deleted.
    pub dry_run: Vec<String>,
}

impl DeleteOptions {
    /// What a node asks for once a Pod's containers have ended.
    pub fn at_once() -> Self {
        Self { grace_period_seconds: Some(0), ..Self::default() }
    }

    fn check(&self, metadata: &Value) -> Result<(), Status> {
        let known = [("UID", "uid", "deleted and then recreated"), ("ResourceVersion", "resourceVersion", "modified")];
        for (what, field, why) in known {
            let is = text(&metadata[field]);
            if let Some(wanted) = self.preconditions.get(field).filter(|wanted| *wanted != is) {
                let detail = format!(
                    "the {what} in the precondition ({wanted}) does not match the {what} in record ({is}). The object \
                     might have been {why}"
                );
                return Err(Status::conflict("Pod", text(&metadata["name"]), &detail));
            }
        }
        Ok(())
    }

    /// How long a Pod has to end: no time at all where no node runs it.
    fn grace_period(&self, pod: &Value) -> i64 {
        let own = pod["spec"]["terminationGracePeriodSeconds"].as_i64();
        match self.grace_period_seconds.or(own).unwrap_or(30) {
            _ if has_ended(pod) || !is_set(&pod["spec"]["nodeName"]) => 0,
            ..0 => 1,
            seconds => seconds.min(i32::MAX.into()),
        }
    }
}

/// Namespace and name.
pub type Key = (String, String);

/// All Pods, by namespace and name.
#[derive(Debug)]
pub struct Store {
    /// Who wants to hear of every change.
    pub changes: broadcast::Sender<PodChange>,
    /// The version of the latest write.
    pub version: u64,
    pods: BTreeMap<Key, Value>,
}

/// The key of a Pod, or of another object.
pub fn key(object: &Value) -> Key {
    let [namespace, name] = ["namespace", "name"].map(|field| text(&object["metadata"][field]).to_owned());
    (namespace, name)
}

impl Store {
    /// One without Pods.
    pub fn new() -> Self {
        Self { changes: broadcast::Sender::new(1024), pods: BTreeMap::new(), version: 0 }
    }

    /// Removes all Pods without a word to anybody; versions go on.
    pub fn clear(&mut self) {
        self.pods.clear();
    }

    /// One Pod.
    pub fn get(&self, namespace: &str, name: &str) -> Result<&Value, Status> {
        let key = (namespace.to_owned(), name.to_owned());
        self.pods.get(&key).ok_or_else(|| Status::not_found("pods", name))
    }

    /// The Pods of a namespace, or of all of them, in order.
    pub fn list(&self, namespace: Option<&str>) -> impl Iterator<Item = &Value> {
        let within = move |at: &str| namespace.is_none_or(|namespace| namespace == at);
        self.pods.iter().filter(move |((at, _), _)| within(at)).map(|(_, pod)| pod)
    }

    /// Creates a Pod.
    pub fn create(&mut self, mut pod: Value, now: DateTime<Utc>, dry: bool) -> Result<Value, Status> {
        let metadata = &mut pod["metadata"];
        metadata["uid"] = json!(Uuid::new_v4().to_string());
        metadata["creationTimestamp"] = time(now);
        metadata["generation"] = json!(1);
        if let Some(taken) = self.pods.get(&key(&pod)) {
            return Err(Status::already_exists("pods", text(&pod["metadata"]["name"]), is_being_deleted(taken)));
        }
        defaults::status(&mut pod);
        if !dry {
            self.number(&mut pod);
            self.write(ChangeKind::Created, &pod);
        }
        Ok(pod)
    }

    /// Stores a Pod that has been changed. What changes nothing is no write. A Pod that was only held by finalizers goes
    /// with the last of them.
    pub fn update(&mut self, mut pod: Value, dry: bool) -> Result<Value, Status> {
        let old = self.get(text(&pod["metadata"]["namespace"]), text(&pod["metadata"]["name"]))?;
        let kind = match () {
            () if is_being_deleted(&pod) && !is_held(&pod) => ChangeKind::Deleted,
            () if is_gated(old) && !is_gated(&pod) => ChangeKind::Released,
            () => ChangeKind::Updated,
        };
        if !dry && *old != pod {
            if kind != ChangeKind::Deleted {
                self.number(&mut pod);
            }
            self.write(kind, &pod);
        }
        Ok(pod)
    }

    /// Deletes a Pod: at once, unless finalizers or a node hold it.
    pub fn delete(&mut self, mut pod: Value, options: &DeleteOptions, now: DateTime<Utc>) -> Result<Value, Status> {
        let metadata = &pod["metadata"];
        options.check(metadata)?;
        let left = metadata["deletionGracePeriodSeconds"].as_i64().filter(|_| is_being_deleted(&pod));
        let grace = options.grace_period(&pod);
        if left.is_none() || options.grace_period_seconds.is_some() && left > Some(grace) {
            let metadata = &mut pod["metadata"];
            if left.is_none() {
                metadata["generation"] = json!(metadata["generation"].as_u64().unwrap_or_default() + 1);
            }
            metadata["deletionTimestamp"] = time(now + TimeDelta::seconds(grace));
            metadata["deletionGracePeriodSeconds"] = json!(grace);
            let kind = if is_held(&pod) { ChangeKind::Updated } else { ChangeKind::Deleted };
            if !options.dry_run.iter().any(|what| what == "All") {
                self.number(&mut pod);
                self.write(kind, &pod);
            }
        }
        Ok(pod)
    }

    fn number(&mut self, pod: &mut Value) {
        self.version += 1;
        pod["metadata"]["resourceVersion"] = json!(self.version.to_string());
    }

    /// The one place where a Pod changes, and where that is reported.
    fn write(&mut self, kind: ChangeKind, pod: &Value) {
        match kind {
            ChangeKind::Deleted => self.pods.remove(&key(pod)),
            _ => self.pods.insert(key(pod), pod.clone()),
        };
        // Nobody has to listen.
        _ = self.changes.send(PodChange { kind, pod: pod.clone() });
    }
}

/// Whether a scheduling gate holds a Pod back.
pub fn is_gated(pod: &Value) -> bool {
    is_set(&pod["spec"]["schedulingGates"])
}

/// Whether all containers of a Pod have ended, for good.
pub fn has_ended(pod: &Value) -> bool {
    ["Succeeded", "Failed"].contains(&text(&pod["status"]["phase"]))
}

/// Whether a Pod is on its way out.
pub fn is_being_deleted(pod: &Value) -> bool {
    is_set(&pod["metadata"]["deletionTimestamp"])
}

fn is_held(pod: &Value) -> bool {
    is_set(&pod["metadata"]["finalizers"]) || is_set(&pod["metadata"]["deletionGracePeriodSeconds"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(pod: Value) -> (Store, Value) {
        let mut store = Store::new();
        let pod = store.create(pod, Utc::now(), false).unwrap();
        (store, pod)
    }

    fn pod(metadata: Value) -> Value {
        let mut pod = json!({"metadata": {"name": "x", "namespace": "n"}, "spec": {}});
        pod["metadata"].as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
        pod
    }

    #[test]
    fn dry_runs_store_nothing_and_take_no_version() {
        let (mut store, first) = stored(pod(json!({})));
        let mut other = pod(json!({"name": "y"}));
        assert!(store.create(other.clone(), Utc::now(), true).unwrap()["metadata"]["uid"].is_string());
        other["metadata"]["name"] = json!("x");
        store.update(other, true).unwrap();
        let dry = DeleteOptions { dry_run: vec!["All".to_owned()], ..DeleteOptions::default() };
        assert!(is_being_deleted(&store.delete(first.clone(), &dry, Utc::now()).unwrap()));
        assert_eq!((store.version, store.get("n", "x")), (1, Ok(&first)));
    }

    #[test]
    fn deleting_another_uid_is_a_conflict() {
        let (mut store, pod) = stored(pod(json!({})));
        let options = serde_json::from_value(json!({"preconditions": {"uid": "other"}})).unwrap();
        let status = store.delete(pod, &options, Utc::now()).unwrap_err();
        assert_eq!((status.code.as_u16(), status.reason), (409, "Conflict"));
        assert!(status.message.contains("the UID in the precondition (other) does not match"), "{status}");
    }

    #[test]
    fn finalizer_holds_the_pod_until_it_is_removed() {
        let (mut store, held) = stored(pod(json!({"finalizers": ["a/b"]})));
        let mut held = store.delete(held, &DeleteOptions::default(), Utc::now()).unwrap();
        assert!(is_being_deleted(store.get("n", "x").unwrap()));
        let status = store.create(pod(json!({})), Utc::now(), false).unwrap_err();
        assert_eq!(status.message, "object is being deleted: pods \"x\" already exists");
        held["metadata"]["finalizers"] = json!([]);
        store.update(held, false).unwrap();
        assert!(store.get("n", "x").is_err());
    }

    #[test]
    fn pod_on_a_node_ends_in_its_time_which_can_only_become_shorter() {
        let mut on_node = pod(json!({}));
        on_node["spec"] = json!({"nodeName": "node", "terminationGracePeriodSeconds": 20});
        let (mut store, _) = stored(on_node);
        for (asked, left) in [(None, 20), (Some(60), 20), (Some(5), 5)] {
            let options = DeleteOptions { grace_period_seconds: asked, ..DeleteOptions::default() };
            store.delete(store.get("n", "x").unwrap().clone(), &options, Utc::now()).unwrap();
            assert_eq!(store.get("n", "x").unwrap()["metadata"]["deletionGracePeriodSeconds"], left);
        }
        store.delete(store.get("n", "x").unwrap().clone(), &DeleteOptions::at_once(), Utc::now()).unwrap();
        assert!(store.get("n", "x").is_err());
    }
}
