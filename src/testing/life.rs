//! A client's Pod on a node.

use serde_json::{Value, json};

use super::{merged, released};

/// A client's Pod that was released and scheduled at midnight: its gateway's init container has succeeded, its sidecar
/// runs, and its client is in this `state` (a core/v1 ContainerState, with the time 01:00).
pub fn with_client(pod: Value, state: &Value) -> Value {
    let midnight = "2026-01-01T00:00:00Z";
    let container = |name: &str, state: &Value| json!({"name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state});
    let set = json!({"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": midnight}});
    let scheduled = json!({
        "spec": {"restartPolicy": "Always", "nodeName": "node-1"},
        "status": {
            "phase": "Running",
            "startTime": midnight,
            "podIP": "10.0.0.7",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": midnight}],
            "initContainerStatuses": [container("gateway-init", &set)],
            "containerStatuses": [
                container("client", state),
                container("gateway-sidecar", &json!({"running": {"startedAt": midnight}})),
            ],
        },
    });
    merged(released(pod), &scheduled)
}

/// The same whose client runs.
pub fn client_running(pod: Value) -> Value {
    with_client(pod, &json!({"running": {"startedAt": "2026-01-01T01:00:00Z"}}))
}

/// The same whose client has ended for good, with this code.
pub fn client_ended(pod: Value, code: i32) -> Value {
    let state = json!({"terminated": {"exitCode": code, "reason": "Error", "finishedAt": "2026-01-01T01:00:00Z"}});
    merged(with_client(pod, &state), &json!({"spec": {"restartPolicy": "Never"}}))
}
