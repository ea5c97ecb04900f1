//! What a kubelet makes of a Pod, judged as the provisioner judges a Pod: by its `state`.

use super::*;
use crate::kubernetes::defaults;
use provisioner::state::{End, EndReason, Observed, State};
use provisioner::testing::{deleting, merged, released, routed, wanted};
use serde::Deserialize;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
}

/// A client that may be scheduled.
fn client(spec: Value) -> Value {
    let mut pod = released(merged(routed(wanted(&[])), &json!({ "spec": spec })));
    defaults::released(&mut pod);
    defaults::spec(&mut pod);
    pod
}

fn changed(next: Option<Next>) -> Value {
    match next {
        Some(Next::Changed(pod)) => pod,
        other => panic!("{other:?}"),
    }
}

/// The same, running.
fn running(spec: Value) -> Value {
    let placed = changed(next(&client(spec), at(0)));
    assert!(is_set(&placed["spec"]["nodeName"]) && state(&placed) == State::Waiting);
    changed(next(&placed, at(1)))
}

fn state(pod: &Value) -> State {
    Observed::deserialize(pod).unwrap().state()
}

fn ended(pod: &Value) -> End {
    match state(pod) {
        State::Ended(end) => end,
        other => panic!("{other:?}: {pod}"),
    }
}

#[test]
fn a_gated_pod_is_left_alone_and_a_released_one_is_placed_and_then_runs() {
    assert_eq!(next(&routed(wanted(&[])), at(0)), None);
    let pod = running(json!({}));
    assert_eq!(state(&pod), State::Running(Some(at(1))));
    assert_eq!(pod["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"], 0);
    assert!(pod["status"]["podIP"].as_str().unwrap().parse::<std::net::Ipv4Addr>().is_ok(), "{pod}");
    assert_eq!(next(&pod, at(2)), None);
}

#[test]
fn a_native_sidecar_goes_on_running_until_the_client_has_ended() {
    let sidecar = json!({"name": "gateway-sidecar", "image": "i", "restartPolicy": "Always"});
    let mut pod = client(json!({"restartPolicy": "Never"}));
    pod["spec"]["containers"].as_array_mut().unwrap().retain(|container| container["name"] == "client");
    pod["spec"]["initContainers"].as_array_mut().unwrap().push(sidecar);
    let pod = changed(next(&changed(next(&pod, at(0))), at(1)));
    assert!(is_running(&pod["status"]["initContainerStatuses"][1]) && matches!(state(&pod), State::Running(_)));
    let over = meet(&pod, Fate::Exit(0), at(2)).unwrap();
    assert_eq!((&over["status"]["phase"], ended(&over).reason), (&json!("Succeeded"), EndReason::Completed));
    assert!(!is_running(&over["status"]["initContainerStatuses"][1]));
    assert_eq!(next(&over, at(3)), None);
}

#[test]
fn a_client_that_ends_is_started_again_where_its_restart_policy_says_so() {
    for (policy, code, is_final) in
        [("Always", 0, false), ("OnFailure", 1, false), ("OnFailure", 0, true), ("Never", 1, true)]
    {
        let over = meet(&running(json!({"restartPolicy": policy})), Fate::Exit(code), at(2)).unwrap();
        match next(&over, at(3)) {
            Some(Next::Changed(pod)) if !is_final => {
                assert_eq!(state(&pod), State::Running(Some(at(3))));
                assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], 1);
            }
            None if is_final => assert_eq!((ended(&over).exit_code, ended(&over).ended_at), (Some(code), Some(at(2)))),
            other => panic!("{policy} {code}: {other:?}"),
        }
    }
}

#[test]
fn a_client_without_a_node_has_ended_and_its_pod_is_removed() {
    let lost = meet(&running(json!({})), Fate::NodeLost, at(2)).unwrap();
    assert_eq!(ended(&lost).reason, EndReason::NodeLost);
    assert_eq!(next(&lost, at(3)), Some(Next::Removed));
    assert_eq!(meet(&lost, Fate::Exit(0), at(3)).map(|pod| ended(&pod).reason), None);
}

#[test]
fn a_client_that_runs_too_long_is_ended() {
    let pod = running(json!({"activeDeadlineSeconds": 60}));
    assert_eq!(next(&pod, at(60)), None);
    let late = changed(next(&pod, at(61)));
    assert_eq!(ended(&late).reason, EndReason::DeadlineExceeded);
    assert_eq!(next(&late, at(62)), None);
}

#[test]
fn a_deleted_client_ends_its_containers_and_is_then_removed() {
    let grace = json!({"metadata": {"deletionGracePeriodSeconds": 30}});
    let going = merged(deleting(running(json!({}))), &grace);
    let over = changed(next(&going, at(3)));
    assert_eq!(over["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"], 143);
    assert_eq!(ended(&over).reason, EndReason::Deleted);
    assert_eq!(next(&over, at(4)), Some(Next::Removed));
    // A finalizer holds it: the node has nothing left to do.
    let held = merged(over, &json!({"metadata": {"deletionGracePeriodSeconds": 0}}));
    assert_eq!(next(&held, at(5)), None);
}
