//! What the scheduler, a kubelet and the Pod garbage collector make of Pods, as far as a client's life needs them.
//!
//! In: a Pod as it is stored, and the time. Out: what becomes of it next. Pure: `server` asks again and again, and has
//! `store` write what comes of it. One step is what a watcher sees as one change. No container runs: how a client ends is
//! for [`Fate`] to say.

use super::store::{has_ended, is_being_deleted, is_gated, time};
use chrono::{DateTime, TimeDelta, Utc};
use provisioner::pod::{CLIENT_CONTAINER, each, is_set, text};
use serde_json::{Value, json};
use uuid::Uuid;

/// The only node.
const NODE: &str = "embedded-node";
/// What a command ends with that heeds SIGTERM.
const SIGTERM: i32 = 143;
/// Why the Pod garbage collector removes a Pod, as its condition says.
const LOST: &str = "DeletionByPodGC";

/// What becomes of a Pod.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// It is this from now on.
    Changed(Value),
    /// It is removed at once.
    Removed,
}

/// How a client that runs comes to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Its command ends with this code. Its Pod's `restartPolicy` says whether it is started again.
    Exit(i32),
    /// Its node is gone, and never comes back.
    NodeLost,
}

/// What becomes of a Pod by itself; nothing where it stays as it is.
pub fn next(pod: &Value, now: DateTime<Utc>) -> Option<Next> {
    let (mut next, is_placed) = (pod.clone(), is_set(&pod["spec"]["nodeName"]));
    match () {
        () if is_being_deleted(pod) && is_placed => {
            let is_asked = is_set(&pod["metadata"]["deletionGracePeriodSeconds"]);
            if !stop(&mut next, now) {
                return is_asked.then_some(Next::Removed);
            }
        }
        () if is_gated(pod) || is_being_deleted(pod) => return None,
        () if has_ended(pod) => {
            let is_lost = each(&pod["status"]["conditions"]).any(|condition| condition["reason"] == LOST);
            return is_lost.then_some(Next::Removed);
        }
        () if !is_placed => schedule(&mut next, now),
        () if !is_set(&pod["status"]["startTime"]) => start(&mut next, now),
        () if is_late(pod, now) => run_out_of_time(&mut next, now),
        () => restart(&mut next, now),
    }
    (next != *pod).then_some(Next::Changed(next))
}

/// What becomes of a Pod whose client meets its fate; nothing where the client doesn't run.
pub fn meet(pod: &Value, fate: Fate, now: DateTime<Utc>) -> Option<Value> {
    let mut pod = Some(pod.clone()).filter(|pod| !has_ended(pod))?;
    let client = statuses(&mut pod).find(|status| status["name"] == CLIENT_CONTAINER && is_running(status))?;
    if let Fate::Exit(code) = fate {
        end(client, code, now);
        settle_phase(&mut pod, now);
        return Some(pod);
    }
    pod["status"]["phase"] = json!("Failed");
    let message = "PodGC: node no longer exists";
    let lost = json!({"type": "DisruptionTarget", "status": "True", "reason": LOST, "message": message});
    add_condition(&mut pod, lost, now);
    Some(pod)
}

fn schedule(pod: &mut Value, now: DateTime<Utc>) {
    pod["spec"]["nodeName"] = json!(NODE);
    pod["status"]["conditions"] = json!([]);
    add_condition(pod, json!({"type": "PodScheduled", "status": "True"}), now);
}

fn start(pod: &mut Value, now: DateTime<Utc>) {
    let running = json!({"running": {"startedAt": time(now)}});
    let ended =
        json!({"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": time(now), "finishedAt": time(now)}});
    let status = |container: &Value, state: &Value| {
        let is_up = *state == running;
        json!({"name": container["name"], "image": container["image"], "imageID": "", "restartCount": 0, "ready": true,
            "started": is_up, "state": state})
    };
    let is_sidecar = |container: &Value| container["restartPolicy"] == "Always";
    let init = |it: &Value| status(it, if is_sidecar(it) { &running } else { &ended });
    let inits: Vec<_> = each(&pod["spec"]["initContainers"]).map(init).collect();
    let containers: Vec<_> = each(&pod["spec"]["containers"]).map(|it| status(it, &running)).collect();
    let [high, low, ..] = Uuid::parse_str(text(&pod["metadata"]["uid"])).unwrap_or_default().into_bytes();
    pod["status"]["podIP"] = json!(format!("10.244.{high}.{low}"));
    pod["status"]["phase"] = json!("Running");
    pod["status"]["startTime"] = time(now);
    pod["status"]["initContainerStatuses"] = json!(inits);
    pod["status"]["containerStatuses"] = json!(containers);
    for condition in ["Initialized", "ContainersReady", "Ready"] {
        add_condition(pod, json!({"type": condition, "status": "True"}), now);
    }
}

/// Ends the containers of a Pod, as after a SIGTERM; false where none runs.
fn stop(pod: &mut Value, now: DateTime<Utc>) -> bool {
    let mut running = statuses(pod).filter(|status| is_running(status)).peekable();
    let is_any = running.peek().is_some();
    running.for_each(|status| end(status, SIGTERM, now));
    if is_any {
        pod["status"]["phase"] = json!("Failed");
    }
    is_any
}

fn is_late(pod: &Value, now: DateTime<Utc>) -> bool {
    let started = DateTime::parse_from_rfc3339(text(&pod["status"]["startTime"]));
    let deadline = pod["spec"]["activeDeadlineSeconds"].as_i64().map(TimeDelta::seconds);
    started.ok().zip(deadline).is_some_and(|(started, deadline)| started + deadline <= now)
}

fn run_out_of_time(pod: &mut Value, now: DateTime<Utc>) {
    stop(pod, now);
    pod["status"]["phase"] = json!("Failed");
    pod["status"]["reason"] = json!("DeadlineExceeded");
    pod["status"]["message"] = json!("Pod was active on the node longer than the specified deadline");
}

/// Starts every container of a Pod again that has ended and is not to.
fn restart(pod: &mut Value, now: DateTime<Utc>) {
    let policy = text(&pod["spec"]["restartPolicy"]).to_owned();
    for status in list(pod, "containerStatuses").filter(|it| is_restarted(&policy, it)) {
        status["lastState"] = status["state"].take();
        status["state"] = json!({"running": {"startedAt": time(now)}});
        status["ready"] = json!(true);
        status["restartCount"] = json!(status["restartCount"].as_u64().unwrap_or_default() + 1);
    }
}

fn is_restarted(policy: &str, status: &Value) -> bool {
    let code = status["state"]["terminated"]["exitCode"].as_i64();
    code.is_some_and(|code| policy == "Always" || policy == "OnFailure" && code != 0)
}

/// A Pod is over with the last of its containers; sidecars among the init containers end then.
fn settle_phase(pod: &mut Value, now: DateTime<Utc>) {
    let policy = text(&pod["spec"]["restartPolicy"]).to_owned();
    let goes_on = |status: &Value| is_running(status) || is_restarted(&policy, status);
    if each(&pod["status"]["containerStatuses"]).any(goes_on) {
        return;
    }
    let has_failed = each(&pod["status"]["containerStatuses"]).any(|it| it["state"]["terminated"]["exitCode"] != 0);
    list(pod, "initContainerStatuses").filter(|it| is_running(it)).for_each(|it| end(it, 0, now));
    pod["status"]["phase"] = json!(if has_failed { "Failed" } else { "Succeeded" });
}

fn end(status: &mut Value, code: i32, now: DateTime<Utc>) {
    let reason = if code == 0 { "Completed" } else { "Error" };
    let started = status["state"]["running"]["startedAt"].take();
    status["ready"] = json!(false);
    status["state"] = json!({"terminated": {
        "exitCode": code, "reason": reason, "startedAt": started, "finishedAt": time(now),
    }});
}

fn is_running(status: &Value) -> bool {
    is_set(&status["state"]["running"])
}

fn list<'a>(pod: &'a mut Value, list: &str) -> impl Iterator<Item = &'a mut Value> {
    pod["status"].get_mut(list).and_then(Value::as_array_mut).into_iter().flatten()
}

/// The states of all containers.
fn statuses(pod: &mut Value) -> impl Iterator<Item = &mut Value> {
    let lists = pod["status"].as_object_mut().into_iter().flatten();
    let lists = lists.filter(|(name, _)| ["initContainerStatuses", "containerStatuses"].contains(&name.as_str()));
    lists.filter_map(|(_, list)| list.as_array_mut()).flatten()
}

fn add_condition(pod: &mut Value, mut condition: Value, now: DateTime<Utc>) {
    condition["lastTransitionTime"] = time(now);
    if let Some(conditions) = pod["status"]["conditions"].as_array_mut() {
        conditions.push(condition);
    }
}

#[cfg(test)]
mod tests;
