//! The Pods, and what creating, updating and deleting one does to them.
//!
//! In: whole objects that validation has passed, and a `Stamp` for what is
//! new about them. Out: the stored object or a `Status`. Pure: no clock, no
//! lock, no HTTP. Every write takes the next resource version.

use super::defaults;
use super::status::Status;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;

/// What is new about a write: when it happens, and as whom.
#[derive(Debug, Clone)]
pub struct Stamp {
    /// `creationTimestamp` or `deletionTimestamp`.
    pub now: DateTime<Utc>,
    /// The uid of what is created.
    pub uid: Uuid,
}

impl Stamp {
    /// Now, with a random uid.
    pub fn now() -> Self {
        Self { now: Utc::now(), uid: Uuid::new_v4() }
    }

    fn time(&self) -> String {
        self.now.to_rfc3339_opts(SecondsFormat::Secs, true)
    }
}

/// `DeleteOptions`, as far as they matter here.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeleteOptions {
    /// Only the object with this uid.
    pub uid: Option<String>,
    /// Only this version of the object.
    pub resource_version: Option<String>,
    /// How long the Pod may take to end, where something runs it.
    pub grace_period_seconds: Option<u64>,
}

impl DeleteOptions {
    /// Reads the body of a DELETE; an empty one is allowed.
    pub fn parse(body: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Self {
            uid: text(&body["preconditions"]["uid"]),
            resource_version: text(&body["preconditions"]["resourceVersion"]),
            grace_period_seconds: body["gracePeriodSeconds"].as_u64(),
        }
    }

    fn check(&self, name: &str, metadata: &Value) -> Result<(), Status> {
        let pairs = [
            ("UID", &self.uid, &metadata["uid"]),
            ("ResourceVersion", &self.resource_version, &metadata["resourceVersion"]),
        ];
        for (what, wanted, is) in pairs {
            let (Some(wanted), is) = (wanted, is.as_str().unwrap_or_default()) else {
                continue;
            };
            if wanted != is {
                let detail =
                    format!("Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {is}");
                return Err(Status::conflict("pods", name, &detail));
            }
        }
        Ok(())
    }
}

/// A deletion: the Pod as it was last, and whether it is gone.
#[derive(Debug)]
pub struct Deletion {
    /// The Pod, with its `deletionTimestamp`.
    pub pod: Value,
    /// False while finalizers or a node still hold it.
    pub gone: bool,
}

/// All Pods, by namespace and name.
#[derive(Debug, Default)]
pub struct Store {
    pods: BTreeMap<(String, String), Value>,
    version: u64,
}

fn key(namespace: &str, name: &str) -> (String, String) {
    (namespace.to_owned(), name.to_owned())
}

impl Store {
    /// The version of the latest write.
    pub fn resource_version(&self) -> String {
        self.version.to_string()
    }

    fn next_version(&mut self) -> Value {
        self.version += 1;
        json!(self.version.to_string())
    }

    /// Removes all Pods; versions go on.
    pub fn clear(&mut self) {
        self.pods.clear();
    }

    /// One Pod.
    pub fn get(&self, namespace: &str, name: &str) -> Result<&Value, Status> {
        let pod = self.pods.get(&key(namespace, name));
        pod.ok_or_else(|| Status::not_found("pods", name))
    }

    /// The Pods of a namespace, or of all of them.
    pub fn list(&self, namespace: Option<&str>) -> impl Iterator<Item = &Value> {
        let within = move |at: &str| namespace.is_none_or(|namespace| namespace == at);
        let pods = self.pods.iter();
        pods.filter(move |((at, _), _)| within(at)).map(|(_, pod)| pod)
    }

    /// Creates a Pod; a dry run only says what would be stored.
    pub fn create(&mut self, mut pod: Value, stamp: &Stamp, dry: bool) -> Result<Value, Status> {
        let metadata = &mut pod["metadata"];
        metadata["uid"] = json!(stamp.uid.to_string());
        metadata["creationTimestamp"] = json!(stamp.time());
        metadata["generation"] = json!(1);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let key = (text(&metadata["namespace"]), text(&metadata["name"]));
        defaults::status(&mut pod);
        if self.pods.contains_key(&key) {
            return Err(Status::already_exists("pods", &key.1));
        }
        if !dry {
            pod["metadata"]["resourceVersion"] = self.next_version();
            self.pods.insert(key, pod.clone());
        }
        Ok(pod)
    }

    /// Stores a Pod that has been changed. What changes nothing is no write.
    /// A Pod that was only held by finalizers goes with the last of them.
    pub fn update(&mut self, namespace: &str, name: &str, mut pod: Value) -> Result<Value, Status> {
        if self.get(namespace, name)? == &pod {
            return Ok(pod);
        }
        pod["metadata"]["resourceVersion"] = self.next_version();
        let key = key(namespace, name);
        match is_being_deleted(&pod) && !is_held(&pod) {
            true => self.pods.remove(&key),
            false => self.pods.insert(key, pod.clone()),
        };
        Ok(pod)
    }

    /// Deletes a Pod: at once, unless finalizers or a node hold it.
    pub fn delete(
        &mut self,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
        stamp: &Stamp,
    ) -> Result<Deletion, Status> {
        let mut pod = self.get(namespace, name)?.clone();
        options.check(name, &pod["metadata"])?;
        if !is_being_deleted(&pod) {
            let grace = grace_period(&pod, options);
            pod["metadata"]["deletionTimestamp"] = json!(stamp.time());
            pod["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
            pod["metadata"]["resourceVersion"] = self.next_version();
        } else if options.grace_period_seconds == Some(0) {
            pod["metadata"]["deletionGracePeriodSeconds"] = json!(0);
        }
        let gone = !is_held(&pod);
        match gone {
            true => self.pods.remove(&key(namespace, name)),
            false => self.pods.insert(key(namespace, name), pod.clone()),
        };
        Ok(Deletion { pod, gone })
    }
}

fn has_node(pod: &Value) -> bool {
    let node = pod["spec"]["nodeName"].as_str();
    node.is_some_and(|node| !node.is_empty())
}

fn grace_period(pod: &Value, options: &DeleteOptions) -> u64 {
    let own = pod["spec"]["terminationGracePeriodSeconds"].as_u64();
    match has_node(pod) {
        true => options.grace_period_seconds.or(own).unwrap_or(30),
        false => 0,
    }
}

fn is_being_deleted(pod: &Value) -> bool {
    pod["metadata"]["deletionTimestamp"].is_string()
}

fn is_held(pod: &Value) -> bool {
    let finalizers = pod["metadata"]["finalizers"].as_array();
    let grace = pod["metadata"]["deletionGracePeriodSeconds"].as_u64();
    finalizers.is_some_and(|list| !list.is_empty()) || grace.unwrap_or_default() > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str) -> Value {
        json!({"metadata": {"name": name, "namespace": "n"}, "spec": {}})
    }

    fn stored(pod: Value) -> Store {
        let mut store = Store::default();
        store.create(pod, &Stamp::now(), false).unwrap();
        store
    }

    fn delete(store: &mut Store, options: &DeleteOptions) -> Result<Deletion, Status> {
        store.delete("n", "x", options, &Stamp::now())
    }

    #[test]
    fn name_is_taken_once() {
        let mut store = stored(pod("x"));
        let status = store.create(pod("x"), &Stamp::now(), false).unwrap_err();
        assert_eq!((status.code, status.reason), (409, "AlreadyExists"));
        assert_eq!(store.list(Some("n")).count(), 1);
        assert_eq!(store.list(Some("other")).count(), 0);
    }

    #[test]
    fn dry_run_stores_nothing_and_takes_no_version() {
        let mut store = Store::default();
        let pod = store.create(pod("x"), &Stamp::now(), true).unwrap();
        assert!(pod["metadata"]["uid"].is_string());
        assert_eq!(store.get("n", "x").unwrap_err().code, 404);
        assert_eq!(store.resource_version(), "0");
    }

    #[test]
    fn deleting_another_uid_is_a_conflict() {
        let mut store = stored(pod("x"));
        let options = DeleteOptions::parse(&json!({"preconditions": {"uid": "other"}}));
        let status = delete(&mut store, &options).unwrap_err();
        assert_eq!((status.code, status.reason), (409, "Conflict"));
        assert!(status.message.contains("Precondition failed: UID in precondition: other, UID in object meta: "));
    }

    #[test]
    fn pod_without_a_node_is_removed_at_once() {
        let mut store = stored(pod("x"));
        let deletion = delete(&mut store, &DeleteOptions::default()).unwrap();
        assert!(deletion.gone);
        assert_eq!(deletion.pod["metadata"]["deletionGracePeriodSeconds"], 0);
        assert_eq!(delete(&mut store, &DeleteOptions::default()).unwrap_err().code, 404);
    }

    #[test]
    fn finalizer_holds_the_pod_until_it_is_removed() {
        let mut held = pod("x");
        held["metadata"]["finalizers"] = json!(["a/b"]);
        let mut store = stored(held);
        let mut deletion = delete(&mut store, &DeleteOptions::default()).unwrap();
        assert!(!deletion.gone);
        assert!(is_being_deleted(store.get("n", "x").unwrap()));
        deletion.pod["metadata"]["finalizers"] = json!([]);
        store.update("n", "x", deletion.pod).unwrap();
        assert!(store.get("n", "x").is_err());
    }

    #[test]
    fn unchanged_update_keeps_its_version() {
        let mut store = stored(pod("x"));
        let same = store.get("n", "x").unwrap().clone();
        store.update("n", "x", same).unwrap();
        assert_eq!(store.resource_version(), "1");
    }
}
