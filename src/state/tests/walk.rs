//! Every combination of the fields that determine a client's state, compared with the documentation of Kubernetes.

use super::*;

/// A policy as the Pod has it, and after which of the exits 0, 1, 137 and 143 it starts the client again.
///
/// Kubernetes, "Pod Lifecycle", "Container restarts": `Always` after any exit, `OnFailure` after any but 0, `Never` after
/// none; a container's own policy comes before its Pod's, and before both comes a rule that matches.
fn policies() -> [(Value, &'static [i32]); 9] {
    let own = |pods: &str, policy: &str, rules: Value| {
        json!({"restartPolicy": pods, "containers": [
            {"name": "client", "restartPolicy": policy, "restartPolicyRules": rules},
        ]})
    };
    let rule = |operator: &str, code: i32| json!([{"action": "Restart", "exitCodes": {"operator": operator, "values": [code]}}]);
    [
        (json!({"restartPolicy": "Always"}), &[0, 1, 137, 143]),
        (json!({"restartPolicy": "OnFailure"}), &[1, 137, 143]),
        (json!({"restartPolicy": "Never"}), &[]),
        (own("Always", "Never", json!(null)), &[]),
        (own("Always", "OnFailure", json!(null)), &[1, 137, 143]),
        (own("Never", "Always", json!(null)), &[0, 1, 137, 143]),
        (own("Always", "Never", rule("In", 1)), &[1]),
        (own("Always", "Never", rule("NotIn", 0)), &[1, 137, 143]),
        // Another container is not the client, even if it ends first, which a native sidecar doesn't.
        (json!({"restartPolicy": "Never", "initContainers": [{"name": "proxy", "restartPolicy": "Always"}]}), &[]),
    ]
}

/// The state of the container `client`, and its exit code if it has ended.
fn clients() -> [(Option<Value>, Option<i32>); 7] {
    [
        (Some(running()), None),
        (None, None),
        (Some(waiting("CrashLoopBackOff")), None),
        (Some(exited(0, "Completed")), Some(0)),
        (Some(exited(1, "Error")), Some(1)),
        (Some(exited(137, "OOMKilled")), Some(137)),
        (Some(exited(143, "Error")), Some(143)),
    ]
}

/// The state of the gateway's init container. Only the first has set the routes.
fn gateways() -> [Option<Value>; 5] {
    let [ended, failed] = [exited(0, "Completed"), exited(1, "Error")];
    [Some(ended), None, Some(running()), Some(failed), Some(waiting("PodInitializing"))]
}

/// What ended the Pod from outside: the reason, and whether it certainly came after the client's exit.
type Cause = Option<(EndReason, bool)>;

/// Whether somebody deleted the Pod.
fn deletions() -> [(Value, Cause); 5] {
    let by = |at: &str, annotations: Value| deleted(merged(json!({"metadata": {}}), &annotations), at);
    [
        (json!({}), None),
        (by(BEFORE, json!({})), Some((EndReason::Deleted, false))),
        (by(AFTER, json!({})), Some((EndReason::Deleted, true))),
        (by(BEFORE, asked_to_end()), Some((EndReason::Terminated, false))),
        (by(AFTER, asked_to_end()), Some((EndReason::Terminated, true))),
    ]
}

/// Kubernetes, "Disruptions", "Pod disruption conditions"; "Node-pressure Eviction"; "Node Shutdowns"; and "Jobs" for the
/// deadline of a Pod.
fn disruptions() -> Vec<(Value, Cause)> {
    let said = |reason: &str| json!({"status": {"reason": reason}});
    let deadline =
        |seconds: u32| merged(said("DeadlineExceeded"), &json!({"spec": {"activeDeadlineSeconds": seconds}}));
    let mut all = vec![
        (json!({}), None),
        (said("Evicted"), Some((EndReason::Evicted, false))),
        (said("Preempting"), Some((EndReason::Evicted, false))),
        (said("Terminated"), Some((EndReason::Evicted, false))),
        (said("NodeShutdown"), Some((EndReason::Evicted, false))),
        (said("NodeLost"), Some((EndReason::NodeLost, false))),
        (said("UnexpectedAdmissionError"), None),
        (deadline(3_540), Some((EndReason::DeadlineExceeded, false))),
        (deadline(3_660), Some((EndReason::DeadlineExceeded, true))),
        (merged(disrupted("EvictionByEvictionAPI", BEFORE), &said("Evicted")), Some((EndReason::Evicted, false))),
        (merged(disrupted("TerminationByKubelet", AFTER), &said("Evicted")), Some((EndReason::Evicted, false))),
        (disrupted("TerminationByKubelet", BEFORE), Some((EndReason::Evicted, false))),
        (disrupted("TerminationByKubelet", AFTER), Some((EndReason::Evicted, false))),
    ];
    for (reason, end) in [
        ("PreemptionByScheduler", EndReason::Evicted),
        ("DeletionByTaintManager", EndReason::NodeLost),
        ("EvictionByEvictionAPI", EndReason::Evicted),
        ("DeletionByPodGC", EndReason::NodeLost),
    ] {
        all.extend([(disrupted(reason, BEFORE), Some((end, false))), (disrupted(reason, AFTER), Some((end, true)))]);
    }
    let mut averted = disrupted("EvictionByEvictionAPI", BEFORE);
    averted["status"]["conditions"][0]["status"] = json!("False");
    all.push((averted, None));
    all
}

/// The reason of a client that ended by itself.
fn own(code: Option<i32>, phase: &str) -> EndReason {
    match (code, phase) {
        (Some(0), _) | (None, "Succeeded") => EndReason::Completed,
        (Some(137), _) => EndReason::OOMKilled,
        _ => EndReason::Error,
    }
}

/// The Pods for a row of choices without the last two, each of which is merged into it.
fn base(phase: &str, policy: &Value, client: &Option<Value>, gateway: &Option<Value>) -> Value {
    let statuses = |name: &str, state: &Option<Value>| {
        state.iter().map(|state| container(name, state.clone())).collect::<Vec<_>>()
    };
    let mut containers = statuses("client", client);
    containers.push(container("gateway-sidecar", running()));
    let status = json!({
        "phase": phase,
        "initContainerStatuses": statuses("gateway-init", gateway),
        "containerStatuses": containers,
    });
    pod(&json!({"spec": policy, "status": status}))
}

/// The same without unread fields, which would take most of the time.
fn shortened(mut pod: Value) -> Value {
    for list in ["initContainers", "containers"] {
        for container in pod["spec"][list].as_array_mut().into_iter().flatten() {
            container.as_object_mut().unwrap().retain(|field, _| field == "name" || field.starts_with("restart"));
        }
    }
    pod["metadata"].as_object_mut().unwrap().retain(|field, _| matches!(field.as_str(), "name" | "namespace" | "uid"));
    pod
}

/// The documented state of a client that runs behind its gateway or not, and has ended for good or not, in a Pod with
/// this phase, whatever else ended the Pod.
fn documented(phase: &str, is_running: bool, code: Option<i32>, is_final: bool, causes: [&Cause; 2]) -> String {
    if !is_final && !matches!(phase, "Succeeded" | "Failed") {
        return if is_running { "Running" } else { "Waiting" }.to_owned();
    }
    // What comes after a client's own end didn't end it. Of the other two, the disruption is the reason for the
    // deletion.
    let causes = || causes.into_iter().flatten();
    let is_first = causes().all(|(_, is_later)| is_final && *is_later);
    let reason = causes().next().filter(|_| !is_first).map_or(own(code, phase), |(reason, _)| *reason);
    format!("{reason:?}")
}

fn found(pod: &Value) -> String {
    match Observed::deserialize(pod).unwrap().state() {
        State::Running(_) => "Running".to_owned(),
        State::Waiting => "Waiting".to_owned(),
        State::Ended(end) => format!("{:?}", end.reason),
    }
}

#[test]
fn every_combination_is_in_the_state_that_kubernetes_documents() {
    let (policies, clients, gateways, deletions) = (policies(), clients(), gateways(), deletions());
    let disruptions = disruptions();
    let mut ends = std::collections::HashMap::new();
    for phase in ["Running", "Pending", "Succeeded", "Failed", "Unknown"] {
        for ((policy, restarts), (client, code)) in
            policies.iter().flat_map(|policy| clients.iter().map(move |client| (policy, client)))
        {
            let is_final = code.is_some_and(|code| !restarts.contains(&code));
            for (at, gateway) in gateways.iter().enumerate() {
                let is_running = *client == Some(running()) && at == 0;
                let base = shortened(base(phase, policy, client, gateway));
                for (deletion, deleter) in &deletions {
                    let base = merged(base.clone(), deletion);
                    for (disruption, disruptor) in &disruptions {
                        let pod = merged(base.clone(), disruption);
                        let (found, causes) = (found(&pod), [disruptor, deleter]);
                        assert_eq!(found, documented(phase, is_running, *code, is_final, causes), "{pod:#}");
                        *ends.entry(found).or_insert(0) += 1;
                    }
                }
            }
        }
    }
    assert_eq!(ends.values().sum::<usize>(), 5 * 9 * 7 * 5 * 5 * disruptions.len());
    assert_eq!(ends.len(), 2 + EndReason::ALL.len(), "{ends:?}");
}

/// Otherwise a field's name could be wrong in all of them.
#[test]
fn kubernetes_knows_every_field_of_every_choice() {
    for (policy, _) in policies() {
        observed(&base("Running", &policy, &Some(running()), &None));
    }
    for (choice, _) in deletions().into_iter().chain(disruptions()) {
        observed(&pod(&choice));
    }
}
