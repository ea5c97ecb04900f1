//! What an API server fills in where a Pod says nothing.
//!
//! In: a Pod as JSON. Out: the same Pod with the defaults of core/v1, of the
//! ServiceAccount and DefaultTolerationSeconds admission plugins, and the
//! status of a new Pod. Applying it twice changes nothing, as it must, since
//! webhooks add containers afterwards. Absent on purpose: the service
//! account's token volume.

use super::store::is_gated;
use provisioner::pod::text;
use serde_json::{Value, json};

/// The condition's reason while a Pod has scheduling gates.
pub const SCHEDULING_GATED: &str = "SchedulingGated";

/// Fills in the spec's defaults.
pub fn spec(pod: &mut Value) {
    let spec = &mut pod["spec"];
    let tolerations = ["not-ready", "unreachable"].map(toleration);
    let defaults = json!({
        "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
        "serviceAccountName": "default", "securityContext": {}, "schedulerName": "default-scheduler", "priority": 0,
        "preemptionPolicy": "PreemptLowerPriority", "enableServiceLinks": true, "tolerations": tolerations,
    });
    fill(spec, defaults);
    let account = json!({"serviceAccount": spec["serviceAccountName"]});
    fill(spec, account);
    for list in ["containers", "initContainers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let defaults = json!({
                "imagePullPolicy": pull_policy(text(&container["image"])), "resources": {},
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            });
            fill(container, defaults);
        }
    }
}

/// The status of a Pod that has just been created.
pub fn status(pod: &mut Value) {
    pod["status"] = json!({"phase": "Pending"});
    if is_gated(pod) {
        let gated = unscheduled(SCHEDULING_GATED, "Scheduling is blocked due to non-empty scheduling gates");
        pod["status"]["conditions"] = json!([gated]);
    }
}

/// What the scheduler of a cluster without nodes says of a released Pod. It
/// is the one thing told here that is not the API server's own.
pub fn released(pod: &mut Value) {
    pod["status"]["conditions"] = json!([unscheduled("Unschedulable", "no nodes available to schedule pods")]);
}

fn unscheduled(reason: &str, message: &str) -> Value {
    json!({"type": "PodScheduled", "status": "False", "reason": reason, "message": message})
}

fn fill(object: &mut Value, defaults: Value) {
    for (key, value) in defaults.as_object().into_iter().flatten() {
        if object[key].is_null() {
            object[key] = value.clone();
        }
    }
}

fn pull_policy(image: &str) -> &'static str {
    let name = image.rsplit('/').next().unwrap_or_default();
    let is_latest = name.split_once(':').is_none_or(|(_, tag)| tag == "latest");
    if is_latest && !name.contains('@') { "Always" } else { "IfNotPresent" }
}

fn toleration(condition: &str) -> Value {
    let key = format!("node.kubernetes.io/{condition}");
    json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Value {
        json!({"spec": {"containers": [{"name": "c", "image": "alpine/curl"}]}})
    }

    #[test]
    fn defaults_are_applied_once_and_for_all() {
        let mut once = pod();
        spec(&mut once);
        let mut twice = once.clone();
        spec(&mut twice);
        assert_eq!(once, twice);
        assert_eq!(once["spec"]["restartPolicy"], "Always");
        assert_eq!(once["spec"]["serviceAccount"], "default");
        assert_eq!(once["spec"]["containers"][0]["imagePullPolicy"], "Always");
    }

    #[test]
    fn what_the_pod_says_stays() {
        let mut pod = pod();
        pod["spec"]["restartPolicy"] = json!("Never");
        spec(&mut pod);
        assert_eq!(pod["spec"]["restartPolicy"], "Never");
    }

    #[test]
    fn only_untagged_and_latest_images_are_always_pulled() {
        for image in ["curl", "alpine/curl", "host:5000/curl", "curl:latest"] {
            assert_eq!(pull_policy(image), "Always", "{image}");
        }
        for image in ["curl:8", "host:5000/curl:8", "curl@sha256:ab"] {
            assert_eq!(pull_policy(image), "IfNotPresent", "{image}");
        }
    }

    #[test]
    fn gated_pod_says_that_it_is_gated() {
        let mut pod = pod();
        status(&mut pod);
        assert_eq!(pod["status"], json!({"phase": "Pending"}));
        pod["spec"]["schedulingGates"] = json!([{"name": "a/b"}]);
        status(&mut pod);
        assert_eq!(pod["status"]["conditions"][0]["reason"], SCHEDULING_GATED);
    }
}
