//! What an API server fills in where a Pod says nothing.
//!
//! In: a Pod as JSON. Out: the same Pod with the defaults of core/v1, of the
//! ServiceAccount and DefaultTolerationSeconds admission plugins, and the
//! status of a new Pod. Applying it twice changes nothing, as it must, since
//! webhooks add containers afterwards. Absent on purpose: the service
//! account's token volume.

use serde_json::{Map, Value, json};

use super::observe::PodView;

/// The condition's reason while a Pod has scheduling gates.
pub const SCHEDULING_GATED: &str = "SchedulingGated";

/// Fills in the spec's defaults.
pub fn spec(pod: &mut Value) {
    let Some(spec) = object(&mut pod["spec"]) else {
        return;
    };
    fill(
        spec,
        [
            ("restartPolicy", json!("Always")),
            ("terminationGracePeriodSeconds", json!(30)),
            ("dnsPolicy", json!("ClusterFirst")),
            ("serviceAccountName", json!("default")),
            ("securityContext", json!({})),
            ("schedulerName", json!("default-scheduler")),
            ("priority", json!(0)),
            ("preemptionPolicy", json!("PreemptLowerPriority")),
            ("enableServiceLinks", json!(true)),
            ("tolerations", tolerations()),
        ],
    );
    let account = spec["serviceAccountName"].clone();
    fill(spec, [("serviceAccount", account)]);
    for list in ["containers", "initContainers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        containers.into_iter().flatten().for_each(container);
    }
}

/// The status of a Pod that has just been created.
pub fn status(pod: &mut Value) {
    pod["status"] = json!({ "phase": "Pending", "qosClass": qos_class(&pod["spec"]) });
    if PodView(pod).is_gated() {
        let message = "Scheduling is blocked due to non-empty scheduling gates";
        pod["status"]["conditions"] = json!([unscheduled(SCHEDULING_GATED, message)]);
    }
}

/// What the scheduler of a cluster without nodes says of a released Pod. It
/// is the one thing told here that is not the API server's own.
pub fn released(pod: &mut Value) {
    let message = "no nodes available to schedule pods";
    pod["status"]["conditions"] = json!([unscheduled("Unschedulable", message)]);
}

fn unscheduled(reason: &str, message: &str) -> Value {
    json!({
        "type": "PodScheduled",
        "status": "False",
        "reason": reason,
        "message": message,
        "lastProbeTime": null,
        "lastTransitionTime": null,
    })
}

fn object(value: &mut Value) -> Option<&mut Map<String, Value>> {
    if value.is_null() {
        *value = json!({});
    }
    value.as_object_mut()
}

fn fill<const N: usize>(map: &mut Map<String, Value>, defaults: [(&str, Value); N]) {
    for (key, value) in defaults {
        if map.get(key).is_none_or(Value::is_null) {
            map.insert(key.to_owned(), value);
        }
    }
}

fn container(container: &mut Value) {
    let policy = pull_policy(container["image"].as_str().unwrap_or_default());
    let Some(container) = object(container) else {
        return;
    };
    fill(
        container,
        [
            ("imagePullPolicy", json!(policy)),
            ("resources", json!({})),
            ("terminationMessagePath", json!("/dev/termination-log")),
            ("terminationMessagePolicy", json!("File")),
        ],
    );
}

fn pull_policy(image: &str) -> &'static str {
    let name = image.rsplit('/').next().unwrap_or_default();
    match name.split_once(':') {
        _ if name.contains('@') => "IfNotPresent",
        None | Some((_, "latest")) => "Always",
        Some(_) => "IfNotPresent",
    }
}

fn tolerations() -> Value {
    let unhealthy = |key| {
        json!({
            "key": format!("node.kubernetes.io/{key}"),
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": 300,
        })
    };
    json!([unhealthy("not-ready"), unhealthy("unreachable")])
}

fn qos_class(spec: &Value) -> &'static str {
    let lists = ["containers", "initContainers"].map(|list| spec[list].as_array());
    let containers: Vec<_> = lists.into_iter().flatten().flatten().collect();
    let any = |kind: &str| {
        let mut all = containers.iter().map(|it| &it["resources"][kind]);
        all.any(|it| it.as_object().is_some_and(|it| !it.is_empty()))
    };
    let limits = |it: &&Value| {
        let (limits, requests) = (&it["resources"]["limits"], &it["resources"]["requests"]);
        let both = limits["cpu"].is_string() && limits["memory"].is_string();
        both && (requests.is_null() || requests == limits)
    };
    match () {
        () if !any("limits") && !any("requests") => "BestEffort",
        () if containers.iter().all(limits) => "Guaranteed",
        () => "Burstable",
    }
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
        assert_eq!(pod["status"], json!({"phase": "Pending", "qosClass": "BestEffort"}));
        pod["spec"]["schedulingGates"] = json!([{"name": "a/b"}]);
        status(&mut pod);
        assert_eq!(pod["status"]["conditions"][0]["reason"], SCHEDULING_GATED);
    }
}
