use k8s_openapi::api::core::v1::Pod as KubernetesPod;
use serde_json::{Value, json};

use super::*;
use crate::testing::{self, merged, routed, wanted};

/// When the client ended, a time before it, one well after it, and the start.
const EXIT: &str = "2026-01-01T01:00:00Z";
const BEFORE: &str = "2026-01-01T00:59:00Z";
const AFTER: &str = "2026-01-01T01:02:00Z";
const START: &str = "2026-01-01T00:00:00Z";

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// The scheduled Pod of a client, before its containers are known, with a change merged into it.
fn pod(change: &Value) -> Value {
    let mut pod = testing::with_client(routed(wanted(&[])), &json!({}));
    let status = pod["status"].as_object_mut().unwrap();
    status.retain(|name, _| !name.ends_with("ontainerStatuses"));
    merged(pod, change)
}

/// The client of a Pod, after a check that Kubernetes knows all its fields.
#[track_caller]
fn observed(pod: &Value) -> Observed {
    let known: KubernetesPod = serde_json::from_value(pod.clone()).unwrap();
    assert_eq!(serde_json::to_value(known).unwrap(), *pod, "a field is misspelt or unknown");
    Observed::deserialize(pod).unwrap()
}

fn container(name: &str, state: Value) -> Value {
    json!({"name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state})
}

fn running() -> Value {
    json!({"running": {"startedAt": START}})
}

fn exited(code: i32, reason: &str) -> Value {
    json!({"terminated": {"exitCode": code, "reason": reason, "finishedAt": EXIT}})
}

fn waiting(reason: &str) -> Value {
    json!({"waiting": {"reason": reason}})
}

/// A Pod whose gateway's init container has succeeded, and whose sidecar runs.
fn with_client(state: Value, change: &Value) -> Value {
    merged(testing::with_client(routed(wanted(&[])), &state), change)
}

fn never() -> Value {
    json!({"spec": {"restartPolicy": "Never"}})
}

#[track_caller]
fn end_of(pod: &Value) -> End {
    match observed(pod).state() {
        State::Ended(end) => end,
        other => panic!("{other:?} of {}", pod["status"]),
    }
}

#[track_caller]
fn check_reason(pod: &Value, expected: EndReason) {
    assert_eq!(end_of(pod).reason, expected, "{}", pod["status"]);
}

/// Its deletion was requested at this time, with a grace period of 30 seconds.
fn deleted(pod: Value, at: &str) -> Value {
    let timestamp = (time(at) + TimeDelta::seconds(30)).to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    merged(pod, &json!({"metadata": {"deletionTimestamp": timestamp, "deletionGracePeriodSeconds": 30}}))
}

fn asked_to_end() -> Value {
    json!({"metadata": {"annotations": {TERMINATION: "an answer's id"}}})
}

fn disrupted(reason: &str, at: &str) -> Value {
    let (ty, status) = ("DisruptionTarget", "True");
    let message = format!("because of {reason}");
    json!({"status": {"conditions": [
        {"type": ty, "status": status, "reason": reason, "message": message, "lastTransitionTime": at},
    ]}})
}

// Waiting and running.

#[test]
fn a_client_runs_once_its_gateway_has_set_the_routes_and_it_has_started() {
    let client = observed(&with_client(running(), &json!({})));
    assert_eq!(client.state(), State::Running(Some(time(START))));
    assert_eq!((client.ip(), client.node(), client.is_gated()), (Some("10.0.0.7"), Some("node-1"), false));
    assert!(observed(&routed(wanted(&[]))).is_gated());
    let routes = |init: Value| {
        let mut pod = with_client(running(), &json!({}));
        pod["status"]["initContainerStatuses"] = json!([init]);
        observed(&pod).state()
    };
    for state in [running(), waiting("PodInitializing"), exited(1, "Error"), exited(137, "OOMKilled")] {
        assert_eq!(routes(container("gateway-init", state.clone())), State::Waiting, "{state}");
    }
    assert_eq!(routes(container("setup", exited(0, "Completed"))), State::Waiting);
}

#[test]
fn a_client_that_is_to_start_again_has_not_ended() {
    for state in [
        waiting("CrashLoopBackOff"),
        waiting("ImagePullBackOff"),
        exited(0, "Completed"),
        exited(1, "Error"),
        exited(137, "OOMKilled"),
        exited(143, "Error"),
    ] {
        assert_eq!(observed(&with_client(state.clone(), &json!({}))).state(), State::Waiting, "{state}");
    }
    let on_failure = json!({"spec": {"restartPolicy": "OnFailure"}});
    assert_eq!(observed(&with_client(exited(1, "Error"), &on_failure)).state(), State::Waiting);
}

#[test]
fn a_pod_of_which_nothing_is_known_yet_waits() {
    let bare = json!({"metadata": {"name": "a", "namespace": "n", "uid": "u"}});
    assert_eq!(Observed::deserialize(&bare).unwrap().state(), State::Waiting);
    assert_eq!(observed(&pod(&json!({}))).state(), State::Waiting);
}

// Ended.

#[test]
fn a_crawler_that_ended_well_has_ended_though_its_gateways_sidecar_runs_on() {
    let end = end_of(&with_client(exited(0, "Completed"), &never()));
    let expected = End { reason: EndReason::Completed, exit_code: Some(0), message: None, ended_at: Some(time(EXIT)) };
    assert_eq!(end, expected);
    check_reason(
        &with_client(exited(0, "Completed"), &json!({"spec": {"restartPolicy": "OnFailure"}})),
        EndReason::Completed,
    );
    check_reason(&with_client(exited(1, "Error"), &never()), EndReason::Error);
    check_reason(&with_client(exited(137, "OOMKilled"), &never()), EndReason::OOMKilled);
}

#[test]
fn a_containers_own_restart_policy_comes_before_its_pods() {
    let own = |policy: &str| json!({"spec": {"containers": [{"name": "client", "restartPolicy": policy}]}});
    check_reason(&with_client(exited(1, "Error"), &own("Never")), EndReason::Error);
    let again = with_client(exited(1, "Error"), &merged(never(), &own("Always")));
    assert_eq!(observed(&again).state(), State::Waiting);
    // Another container's policy doesn't matter.
    let others = json!({"spec": {"containers": [{"name": "gateway-sidecar", "restartPolicy": "Never"}]}});
    assert_eq!(observed(&with_client(exited(1, "Error"), &others)).state(), State::Waiting);
}

/// Kubernetes, "Pod Lifecycle", "Individual container restart policy and rules": a rule that matches comes first.
#[test]
fn a_restart_rule_starts_the_client_again_on_the_exits_that_it_names_and_on_no_other() {
    let rule = |operator: &str, values: &[i32]| {
        let rule = json!({"action": "Restart", "exitCodes": {"operator": operator, "values": values}});
        json!({"spec": {"containers": [
            {"name": "client", "restartPolicy": "Never", "restartPolicyRules": [rule]},
        ]}})
    };
    let state = |code, rule: &Value| observed(&with_client(exited(code, "Error"), rule)).state();
    assert_eq!(state(42, &rule("In", &[41, 42])), State::Waiting);
    assert_eq!(state(1, &rule("NotIn", &[0])), State::Waiting);
    check_reason(&with_client(exited(1, "Error"), &rule("In", &[42])), EndReason::Error);
    check_reason(&with_client(exited(0, "Completed"), &rule("NotIn", &[0])), EndReason::Completed);
    // An unknown rule may start it again; the phase of the Pod says when it has ended.
    let strange = json!({"spec": {"containers": [
        {"name": "client", "restartPolicy": "Never", "restartPolicyRules": [{"action": "Restart"}]},
    ]}});
    assert_eq!(state(1, &strange), State::Waiting);
    check_reason(
        &with_client(exited(1, "Error"), &merged(strange, &json!({"status": {"phase": "Failed"}}))),
        EndReason::Error,
    );
}

#[test]
fn a_pod_that_is_deleted_was_not_completed_whatever_its_client_says_to_the_signal() {
    let over = json!({"status": {"phase": "Succeeded"}});
    for policy in [json!({}), never(), json!({"spec": {"restartPolicy": "OnFailure"}})] {
        for exit in [exited(0, "Completed"), exited(143, "Error"), exited(137, "Error")] {
            let client = deleted(with_client(exit, &merged(policy.clone(), &over)), BEFORE);
            check_reason(&client, EndReason::Deleted);
            check_reason(&merged(client, &asked_to_end()), EndReason::Terminated);
        }
    }
}

#[test]
fn a_client_that_had_ended_before_its_pod_was_deleted_ended_by_itself() {
    let client = merged(with_client(exited(0, "Completed"), &never()), &asked_to_end());
    check_reason(&deleted(client.clone(), AFTER), EndReason::Completed);
    // Once its Pod is gone, its last state says the same.
    assert_eq!(observed(&deleted(client, AFTER)).end().reason, EndReason::Completed);
    // A client that is always started again never ends by itself.
    let looping = with_client(exited(1, "Error"), &json!({"status": {"phase": "Failed"}}));
    check_reason(&deleted(looping, AFTER), EndReason::Deleted);
}

/// Its node's clock may be behind the API server's, and `kubectl delete --now` replaces the time of the first request.
#[test]
fn a_client_that_ended_shortly_before_its_deletion_may_have_been_ended_by_it() {
    let client = merged(with_client(exited(0, "Completed"), &never()), &asked_to_end());
    check_reason(&deleted(client.clone(), "2026-01-01T01:00:04Z"), EndReason::Terminated);
    let now = json!({"metadata": {"deletionTimestamp": "2026-01-01T01:00:10Z", "deletionGracePeriodSeconds": 1}});
    check_reason(&merged(client.clone(), &now), EndReason::Terminated);
    let patient = json!({"spec": {"terminationGracePeriodSeconds": 600}, "metadata": {
        "deletionTimestamp": "2026-01-01T01:05:00Z", "deletionGracePeriodSeconds": 1,
    }});
    check_reason(&merged(client, &patient), EndReason::Terminated);
    let evicted = with_client(exited(0, "Completed"), &merged(never(), &disrupted("EvictionByEvictionAPI", AFTER)));
    check_reason(&deleted(evicted, "2026-01-01T01:00:04Z"), EndReason::Evicted);
}

/// The kubelet starts it again until it sees the deletion.
#[test]
fn a_client_that_may_start_again_has_not_ended_while_its_pod_is_being_deleted() {
    for exit in [exited(0, "Completed"), exited(143, "Error")] {
        assert_eq!(observed(&deleted(with_client(exit, &json!({})), BEFORE)).state(), State::Waiting);
    }
    assert_eq!(
        observed(&deleted(with_client(running(), &json!({})), BEFORE)).state(),
        State::Running(Some(time(START)))
    );
}

#[test]
fn what_kubernetes_ends_has_kubernetes_reason() {
    let failed = |reason: &str| json!({"status": {"phase": "Failed", "reason": reason, "message": format!("because of {reason}")}});
    for (reason, expected) in [
        ("DeadlineExceeded", EndReason::DeadlineExceeded),
        ("Evicted", EndReason::Evicted),
        ("Preempting", EndReason::Evicted),
        ("Terminated", EndReason::Evicted),
        ("NodeShutdown", EndReason::Evicted),
        ("NodeLost", EndReason::NodeLost),
        ("UnexpectedAdmissionError", EndReason::Error),
        ("OutOfcpu", EndReason::Error),
    ] {
        for client in [pod(&failed(reason)), with_client(exited(137, "Error"), &failed(reason))] {
            let end = end_of(&client);
            assert_eq!((end.reason, end.message), (expected, Some(format!("because of {reason}"))));
        }
    }
    for (reason, expected) in [
        ("PreemptionByScheduler", EndReason::Evicted),
        ("DeletionByTaintManager", EndReason::NodeLost),
        ("EvictionByEvictionAPI", EndReason::Evicted),
        ("DeletionByPodGC", EndReason::NodeLost),
        ("TerminationByKubelet", EndReason::Evicted),
    ] {
        let change = merged(disrupted(reason, BEFORE), &json!({"status": {"phase": "Failed"}}));
        let end = end_of(&deleted(with_client(exited(143, "Error"), &change), BEFORE));
        assert_eq!((end.reason, end.message), (expected, Some(format!("because of {reason}"))));
    }
}

/// Otherwise its end would be reported twice, with two reasons.
#[test]
fn a_client_that_had_ended_before_its_pod_was_ended_keeps_its_own_end() {
    let ended = || with_client(exited(0, "Completed"), &never());
    check_reason(&merged(ended(), &disrupted("EvictionByEvictionAPI", AFTER)), EndReason::Completed);
    // The node writes this only once all containers have ended.
    check_reason(&merged(ended(), &disrupted("TerminationByKubelet", AFTER)), EndReason::Evicted);
    let deadline = |seconds: i64| {
        json!({"spec": {"activeDeadlineSeconds": seconds},
               "status": {"phase": "Failed", "reason": "DeadlineExceeded"}})
    };
    check_reason(&merged(ended(), &deadline(7_200)), EndReason::Completed);
    check_reason(&merged(ended(), &deadline(3_500)), EndReason::DeadlineExceeded);
}

#[test]
fn a_client_that_could_not_start_ended_in_an_error() {
    let failed = json!({"status": {
        "phase": "Failed",
        "initContainerStatuses": [container("gateway-init", exited(1, "Error"))],
        "containerStatuses": [container("client", waiting("PodInitializing"))],
        "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": AFTER}],
    }});
    let failed = pod(&merged(never(), &failed));
    let end = end_of(&failed);
    assert_eq!((end.reason, end.exit_code, end.ended_at), (EndReason::Error, None, Some(time(AFTER))));
    assert_eq!(end.message.as_deref(), Some("it never started: its init container gateway-init ended with 1"));
    // Then its init container is not to blame.
    assert_eq!(observed(&deleted(failed.clone(), BEFORE)).end().message, None);
    let said = json!({"status": {"message": "because"}});
    assert_eq!(end_of(&merged(failed, &said)).message.as_deref(), Some("because"));
}

#[test]
fn what_a_client_says_at_its_end_comes_before_what_its_pod_says() {
    let client = json!({"status": {"message": "the Pod's"}});
    let mut said = exited(1, "Error");
    said["terminated"]["message"] = json!("the client's");
    assert_eq!(end_of(&with_client(said, &merged(never(), &client))).message.as_deref(), Some("the client's"));
    assert_eq!(
        end_of(&with_client(exited(1, "Error"), &merged(never(), &client))).message.as_deref(),
        Some("the Pod's")
    );
    let mut silent = exited(1, "Error");
    silent["terminated"]["message"] = json!("");
    assert_eq!(end_of(&with_client(silent.clone(), &merged(never(), &client))).message.as_deref(), Some("the Pod's"));
    assert_eq!(end_of(&with_client(silent, &never())).message, None);
}

#[test]
fn a_pod_that_is_gone_ended_when_its_client_did_or_when_it_was_deleted() {
    let at = |pod: &Value| observed(pod).end().ended_at;
    assert_eq!(at(&deleted(with_client(exited(143, "Error"), &json!({})), BEFORE)), Some(time(EXIT)));
    // Its conditions may be days old.
    let running = with_client(running(), &json!({}));
    assert_eq!(at(&deleted(running.clone(), BEFORE)), Some(time(BEFORE) + TimeDelta::seconds(30)));
    assert_eq!((observed(&running).end().reason, at(&running)), (EndReason::Deleted, Some(time(START))));
    let bare = json!({"metadata": {"name": "a", "namespace": "n", "uid": "u", "creationTimestamp": EXIT}});
    assert_eq!(Observed::deserialize(&bare).unwrap().end().ended_at, Some(time(EXIT)));
}

/// Anybody may write anything into a hint.
#[test]
fn a_time_at_the_end_of_the_calendar_ends_nothing() {
    for (timestamp, grace) in [("0000-01-01T00:00:00Z", i64::MAX / 1_000), (EXIT, i64::MAX), (EXIT, 1 << 62)] {
        let metadata = json!({"metadata": {"deletionTimestamp": timestamp, "deletionGracePeriodSeconds": grace}});
        let deleted = merged(with_client(exited(0, "Completed"), &never()), &metadata);
        assert_eq!(Observed::deserialize(&deleted).unwrap().end().reason, EndReason::Deleted);
    }
    let deadline = json!({"spec": {"activeDeadlineSeconds": i64::MAX / 1_000}, "status": {
        "phase": "Failed", "reason": "DeadlineExceeded", "startTime": "9999-12-31T00:00:00Z",
    }});
    let late = merged(with_client(exited(0, "Completed"), &never()), &deadline);
    assert_eq!(Observed::deserialize(&late).unwrap().end().reason, EndReason::DeadlineExceeded);
}

/// What the kubelet writes of a container that it lost.
fn lost() -> Value {
    json!({"terminated": {
        "exitCode": 137, "reason": "ContainerStatusUnknown",
        "message": "The container could not be located when the pod was terminated",
    }})
}

/// As in kubernetes/kubernetes#122932.
#[test]
fn an_eviction_says_why_though_the_container_was_lost() {
    let why = "The node was low on resource: ephemeral-storage.";
    let evicted = json!({"status": {"phase": "Failed", "reason": "Evicted", "message": why}});
    let end = end_of(&with_client(lost(), &evicted));
    assert_eq!((end.reason, end.exit_code, end.message.as_deref()), (EndReason::Evicted, None, Some(why)));
}

/// The kubelet, `ShouldContainerBeRestarted`: whatever the policy.
#[test]
fn a_client_that_the_kubelet_lost_is_started_again() {
    let client = with_client(lost(), &never());
    assert_eq!(observed(&client).state(), State::Waiting);
    check_reason(&merged(client, &json!({"status": {"phase": "Failed"}})), EndReason::Error);
}

#[test]
fn the_init_container_that_failed_is_named_and_not_a_sidecar_that_ended_with_it() {
    let failed = json!({"status": {
        "phase": "Failed",
        "initContainerStatuses": [
            container("gateway-init", exited(0, "Completed")),
            container("gateway-sidecar", exited(137, "Error")),
            container("vault-agent-init", exited(1, "Error")),
        ],
        "containerStatuses": [container("client", waiting("PodInitializing"))],
    }});
    let end = end_of(&pod(&merged(never(), &failed)));
    assert_eq!(end.message.as_deref(), Some("it never started: its init container vault-agent-init ended with 1"));
}

mod walk;

/// How the node finally deletes a Pod: with grace period 0, and that time instead of the first request's. A sidecar that
/// ignores SIGTERM takes the whole grace period, and cleaning up takes some more.
#[test]
fn a_client_that_was_deleted_has_ended_so_when_the_node_has_taken_its_pod_away() {
    for (finished, expected) in
        [("2026-01-01T00:01:28Z", EndReason::Deleted), ("2026-01-01T00:00:29Z", EndReason::Error)]
    {
        let exit = json!({"exitCode": 137, "reason": "Error", "finishedAt": finished});
        let pod = json!({
            "metadata": {
                "name": "a", "namespace": "n", "uid": "u",
                "deletionTimestamp": "2026-01-01T00:02:00Z", "deletionGracePeriodSeconds": 0,
            },
            "spec": {"terminationGracePeriodSeconds": 30, "restartPolicy": "Never"},
            "status": {"phase": "Failed", "containerStatuses": [{"name": "client", "state": {"terminated": exit}}]},
        });
        assert_eq!(serde_json::from_value::<Observed>(pod).unwrap().end().reason, expected);
    }
}
