//! What an update may change of a Pod.
//!
//! In: the stored Pod and the one that a patch made of it. Out: the Pod to
//! store, or 400, 409 or 422. As in a real API server, a Pod's spec is fixed
//! but for its images, `activeDeadlineSeconds`, more tolerations, and the
//! removal of scheduling gates. Left out: what may be narrowed while a Pod is
//! gated (`nodeSelector`, `affinity`).

use super::cause::Cause;
use super::defaults;
use super::observe::PodView;
use super::shape;
use super::status::Status;
use super::validation;
use serde_json::{Value, json};

const IMMUTABLE: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// Metadata that only the API server writes.
const SERVERS_OWN: [&str; 4] = ["creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds"];

/// Checks an update, and puts right what a client cannot set.
pub fn prepare(old: &Value, mut new: Value) -> Result<Value, Status> {
    identity(old, &new)?;
    let name = text(&old["metadata"]["name"]);
    let fields = shape::decode(&new)?;
    if new["metadata"]["resourceVersion"] != old["metadata"]["resourceVersion"] {
        let detail = "the object has been modified; please apply your changes to the latest version and try again";
        return Err(Status::conflict("pods", name, detail));
    }
    let mut causes = validation::validate(&fields);
    causes.extend(immutable_metadata(old, &new));
    causes.extend(new_scheduling_gates(old, &new));
    causes.extend(immutable_spec(&old["spec"], &new["spec"]));
    if !causes.is_empty() {
        return Err(Status::invalid("Pod", name, causes));
    }
    settle(old, &mut new);
    Ok(new)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn identity(old: &Value, new: &Value) -> Result<(), Status> {
    let (was, is) = (&old["metadata"]["name"], &new["metadata"]["name"]);
    if was != is {
        let (is, was) = (text(is), text(was));
        let message = format!("the name of the object ({is}) does not match the name on the URL ({was})");
        return Err(Status::bad_request(message));
    }
    if old["metadata"]["namespace"] != new["metadata"]["namespace"] {
        let message = "the namespace of the object does not match the namespace on the request";
        return Err(Status::bad_request(message));
    }
    Ok(())
}

fn immutable_metadata(old: &Value, new: &Value) -> Option<Cause> {
    let uid = &new["metadata"]["uid"];
    (uid != &old["metadata"]["uid"]).then(|| Cause::invalid("metadata.uid", text(uid), "field is immutable"))
}

fn gates(pod: &Value) -> Vec<&str> {
    let gates = list(&pod["spec"]["schedulingGates"]).iter();
    gates.map(|gate| text(&gate["name"])).collect()
}

fn new_scheduling_gates(old: &Value, new: &Value) -> Vec<Cause> {
    let known = gates(old);
    let added = gates(new).into_iter().enumerate();
    let added = added.filter(|(_, gate)| !known.contains(gate));
    let cause = |(index, gate)| {
        let detail = format!("only deletion is allowed, but found new scheduling gate '{gate}'");
        Cause::forbidden(format!("spec.schedulingGates[{index}].name"), &detail)
    };
    added.map(cause).collect()
}

fn immutable_spec(old: &Value, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for containers in ["containers", "initContainers"] {
        if list(&old[containers]).len() != list(&new[containers]).len() {
            let detail = "pod updates may not add or remove containers";
            return vec![Cause::forbidden(format!("spec.{containers}"), detail)];
        }
    }
    if !only_added(&old["tolerations"], &new["tolerations"]) {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        causes.push(Cause::forbidden("spec.tolerations", detail));
    }
    if without_mutable(old) != without_mutable(new) {
        causes.push(Cause::forbidden("spec", IMMUTABLE));
    }
    causes
}

fn only_added(old: &Value, new: &Value) -> bool {
    let (old, new) = (list(old), list(new));
    old.iter().all(|toleration| new.contains(toleration))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn without_mutable(spec: &Value) -> Value {
    let mut spec = spec.clone();
    for field in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        spec.as_object_mut().and_then(|spec| spec.remove(field));
    }
    for containers in ["containers", "initContainers"] {
        let containers = spec.get_mut(containers).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            container["image"] = Value::Null;
        }
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
    if !PodView(new).is_gated() {
        new["spec"].as_object_mut().and_then(|it| it.remove("schedulingGates"));
    }
    if PodView(old).is_gated() && !PodView(new).is_gated() {
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
        assert_eq!(status.code, code, "{status}");
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
