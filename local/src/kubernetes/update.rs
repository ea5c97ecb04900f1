//! What an update may change of a Pod.
//!
//! In: the stored Pod and the one that a patch made of it. Out: the Pod to store, or 400, 409 or 422. As in a real API
//! server, a Pod's spec is fixed but for its images, more tolerations, and the removal of scheduling gates. Left out, and
//! so refused: a shorter `activeDeadlineSeconds`, and what may be narrowed while a Pod is gated.

use super::defaults;
use super::status::{Cause, Status};
use super::store::{is_being_deleted, is_gated};
use super::validation;
use provisioner::pod::{each, text};
use serde_json::{Value, json};

const IMMUTABLE: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// What is said of an object that names another namespace than the request.
pub const OTHER_NAMESPACE: &str =
    "the namespace of the provided object does not match the namespace sent on the request";

/// Metadata that only the API server writes.
const SERVERS_OWN: [&str; 4] = ["creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds"];

/// Checks an update, and puts right what a client cannot set.
pub fn prepare(old: &Value, mut new: Value) -> Result<Value, Status> {
    let (was, is) = (&old["metadata"], &new["metadata"]);
    let name = text(&was["name"]);
    if was["name"] != is["name"] {
        let is = text(&is["name"]);
        let message = format!("the name of the object ({is}) does not match the name on the URL ({name})");
        return Err(Status::bad_request(message));
    }
    if was["namespace"] != is["namespace"] {
        return Err(Status::bad_request(OTHER_NAMESPACE));
    }
    if was["resourceVersion"] != is["resourceVersion"] {
        let detail = "the object has been modified; please apply your changes to the latest version and try again";
        return Err(Status::conflict("pods", name, detail));
    }
    let mut causes = validation::validate(&new);
    immutable_metadata(old, &new, &mut causes);
    new_scheduling_gates(&old["spec"], &new["spec"], &mut causes);
    immutable_spec(&old["spec"], &new["spec"], &mut causes);
    if !causes.is_empty() {
        return Err(Status::invalid("Pod", name, &causes));
    }
    settle(old, &mut new);
    Ok(new)
}

fn immutable_metadata(old: &Value, new: &Value, causes: &mut Vec<Cause>) {
    let (was, is) = (&old["metadata"], &new["metadata"]);
    if was["uid"] != is["uid"] {
        causes.push(Cause::invalid("metadata.uid", &is["uid"], "field is immutable"));
    }
    let added: Vec<_> = added(&was["finalizers"], &is["finalizers"]).map(|(_, it)| it.to_string()).collect();
    if is_being_deleted(old) && !added.is_empty() {
        let detail = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            added.join(", ")
        );
        causes.push(Cause::forbidden("metadata.finalizers", &detail));
    }
}

/// The items of a list, with their places, that were not in it before.
fn added<'a>(old: &'a Value, new: &'a Value) -> impl Iterator<Item = (usize, &'a Value)> {
    each(new).enumerate().filter(|(_, item)| each(old).all(|known| known != *item))
}

fn new_scheduling_gates(old: &Value, new: &Value, causes: &mut Vec<Cause>) {
    for (index, gate) in added(&old["schedulingGates"], &new["schedulingGates"]) {
        let name = text(&gate["name"]);
        let detail = format!("only deletion is allowed, but found new scheduling gate '{name}'");
        causes.push(Cause::forbidden(format!("spec.schedulingGates[{index}].name"), &detail));
    }
}

fn immutable_spec(old: &Value, new: &Value, causes: &mut Vec<Cause>) {
    for list in ["containers", "initContainers"] {
        if each(&old[list]).count() != each(&new[list]).count() {
            let detail = "pod updates may not add or remove containers";
            return causes.push(Cause::forbidden(format!("spec.{list}"), detail));
        }
    }
    if added(&new["tolerations"], &old["tolerations"]).next().is_some() {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        causes.push(Cause::forbidden("spec.tolerations", detail));
    }
    if without_mutable(old) != without_mutable(new) {
        causes.push(Cause::forbidden("spec", IMMUTABLE));
    }
}

fn without_mutable(spec: &Value) -> Value {
    let mut spec = spec.clone();
    for field in ["schedulingGates", "tolerations"] {
        spec[field] = Value::Null;
    }
    for list in ["containers", "initContainers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        containers.into_iter().flatten().for_each(|container| container["image"] = Value::Null);
    }
    spec
}

fn settle(old: &Value, new: &mut Value) {
    for field in SERVERS_OWN {
        match old["metadata"].get(field) {
            Some(value) => new["metadata"][field] = value.clone(),
            None => drop(new["metadata"].as_object_mut().and_then(|it| it.remove(field))),
        }
    }
    new["status"] = old["status"].clone();
    if !is_gated(new) {
        new["spec"].as_object_mut().and_then(|it| it.remove("schedulingGates"));
    }
    if is_gated(old) && !is_gated(new) {
        defaults::released(new);
    }
    if new["spec"] != old["spec"] {
        let generation = old["metadata"]["generation"].as_u64().unwrap_or_default();
        new["metadata"]["generation"] = json!(generation + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Value {
        json!({
            "metadata": {"name": "x", "namespace": "n", "uid": "1", "resourceVersion": "7", "generation": 1},
            "spec": {
                "schedulingGates": [{"name": "a/b"}],
                "containers": [{"name": "client", "image": "i", "command": ["sleep"]}],
                "tolerations": [{"key": "k"}],
            },
            "status": {"phase": "Pending"},
        })
    }

    fn changed(pointer: &str, value: Value) -> Result<Value, Status> {
        let mut new = pod();
        *new.pointer_mut(pointer).unwrap() = value;
        prepare(&pod(), new)
    }

    #[track_caller]
    fn refused(pointer: &str, value: Value, code: u16, expect: &str) {
        let status = changed(pointer, value).unwrap_err();
        assert_eq!(status.code.as_u16(), code, "{status}");
        assert!(status.message.contains(expect), "{status}");
    }

    #[test]
    fn removing_the_last_gate_releases_the_pod() {
        let pod = changed("/spec/schedulingGates", json!([])).unwrap();
        assert_eq!(pod["spec"].get("schedulingGates"), None);
        assert_eq!(pod["status"]["conditions"][0]["reason"], "Unschedulable");
        assert_eq!(pod["metadata"]["generation"], 2);
    }

    #[test]
    fn adding_a_gate_is_refused() {
        let gates = json!([{"name": "a/b"}, {"name": "c/d"}]);
        let expect = "spec.schedulingGates[1].name: Forbidden: only deletion is allowed";
        refused("/spec/schedulingGates", gates, 422, expect);
    }

    #[test]
    fn images_may_change_and_commands_may_not() {
        assert!(changed("/spec/containers/0/image", json!("other")).is_ok());
        let expect = "spec: Forbidden: pod updates may not change fields other than";
        refused("/spec/containers/0/command", json!(["x"]), 422, expect);
        refused("/spec/tolerations", json!([]), 422, "spec.tolerations: Forbidden");
    }

    #[test]
    fn another_uid_is_invalid_and_another_version_a_conflict() {
        let expect = "metadata.uid: Invalid value: \"2\": field is immutable";
        refused("/metadata/uid", json!("2"), 422, expect);
        refused("/metadata/resourceVersion", json!("6"), 409, "has been modified");
        refused("/metadata/name", json!("y"), 400, "does not match the name");
    }

    #[test]
    fn status_and_the_servers_own_metadata_stay() {
        let pod = changed("/status/phase", json!("Running")).unwrap();
        assert_eq!(pod["status"]["phase"], "Pending");
        let pod = changed("/metadata/generation", json!(9)).unwrap();
        assert_eq!(pod["metadata"]["generation"], 1);
    }
}
