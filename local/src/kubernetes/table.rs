//! Objects as a `Table`, which `kubectl get` asks for and prints.
//!
//! In: an object or a list as it would be answered. Out: the same as rows and columns, with a Pod's READY, STATUS, RESTARTS
//! and AGE as kubectl users know them.

use super::store::{has_ended, is_being_deleted};
use chrono::{DateTime, Utc};
use http::HeaderMap;
use http::header::ACCEPT;
use provisioner::pod::{each, text};
use serde_json::{Value, json};

/// Whether the client would rather have a table.
pub fn wanted(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("as=Table"))
}

/// An object, or a list of them, as a table.
pub fn of(answer: &Value, now: DateTime<Utc>) -> Value {
    let items = answer["items"].as_array().map_or(std::slice::from_ref(answer), Vec::as_slice);
    let pods = text(&answer["kind"]).trim_end_matches("List") == "Pod";
    let columns: &[&str] = match pods {
        true => &["Name", "Ready", "Status", "Restarts", "Age"],
        false => &["Name", "Age"],
    };
    let metadata = &answer["metadata"];
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": metadata["resourceVersion"], "continue": metadata["continue"]},
        "columnDefinitions": columns.iter().map(|name| column(name)).collect::<Vec<_>>(),
        "rows": items.iter().map(|item| row(item, pods, now)).collect::<Vec<_>>(),
    })
}

fn column(name: &str) -> Value {
    let format = if name == "Name" { "name" } else { "" };
    json!({"name": name, "type": "string", "format": format, "description": "", "priority": 0})
}

fn row(item: &Value, pod: bool, now: DateTime<Utc>) -> Value {
    let metadata = &item["metadata"];
    let mut cells = vec![metadata["name"].clone()];
    if pod {
        let is_sidecar = |container: &&Value| container["restartPolicy"] == "Always";
        let sidecars = each(&item["spec"]["initContainers"]).filter(is_sidecar).count();
        let all = each(&item["spec"]["containers"]).count() + sidecars;
        let ready = statuses(item).filter(|status| status["ready"] == true).count();
        cells.extend([json!(format!("{ready}/{all}")), json!(status(item, ready, all)), json!(restarts(item, now))]);
    }
    cells.push(json!(age(&metadata["creationTimestamp"], now)));
    let object = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata});
    json!({"cells": cells, "object": object})
}

/// The states of its containers, and of the sidecars among its init containers.
fn statuses(pod: &Value) -> impl Iterator<Item = &Value> {
    let init = each(&pod["status"]["initContainerStatuses"]).filter(|status| status["state"]["running"].is_object());
    each(&pod["status"]["containerStatuses"]).chain(init)
}

/// How the first container has ended, unless there is more to be said of the Pod.
fn status(pod: &Value, ready: usize, all: usize) -> &str {
    let (gated, status) = (super::defaults::SCHEDULING_GATED, &pod["status"]);
    let phase = status["phase"].as_str().unwrap_or("Unknown");
    let ended = statuses(pod).find_map(|status| status["state"]["terminated"]["reason"].as_str());
    match ended.or(status["reason"].as_str()) {
        _ if is_being_deleted(pod) && !has_ended(pod) => "Terminating",
        _ if each(&status["conditions"]).any(|condition| condition["reason"] == gated) => gated,
        Some("Completed") if ready == all => "Running",
        Some("Completed") if ready > 0 => "NotReady",
        reason => reason.unwrap_or(phase),
    }
}

fn restarts(pod: &Value, now: DateTime<Utc>) -> String {
    let count: u64 = statuses(pod).filter_map(|status| status["restartCount"].as_u64()).sum();
    match statuses(pod).find_map(|status| status["lastState"]["terminated"].get("finishedAt")) {
        Some(last) => format!("{count} ({} ago)", age(last, now)),
        None => count.to_string(),
    }
}

fn age(created: &Value, now: DateTime<Utc>) -> String {
    let Ok(created) = DateTime::parse_from_rfc3339(text(created)) else { return "<unknown>".to_owned() };
    let seconds = (now - created.to_utc()).num_seconds().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..10_800 => format!("{}m", seconds / 60),
        10_800..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    fn cells(pod: Value) -> Value {
        of(&pod, Utc::now())["rows"][0]["cells"].clone()
    }

    #[test]
    fn pod_is_a_row_with_its_status() {
        let mut pod = json!({
            "kind": "Pod",
            "metadata": {"name": "x"},
            "spec": {"containers": [{}, {}], "schedulingGates": [{"name": "a/b"}]},
        });
        super::super::defaults::status(&mut pod);
        assert_eq!(cells(pod.clone()), json!(["x", "0/2", "SchedulingGated", "0", "<unknown>"]));
        super::super::defaults::released(&mut pod);
        assert_eq!(cells(pod)[2], "Pending");
    }

    #[test]
    fn a_client_that_runs_restarts_and_ends_is_seen_to() {
        let state = |client: Value, ready: bool| {
            let sidecar = json!({"ready": true, "restartCount": 0, "state": {"running": {}}});
            let client = json!({"ready": ready, "restartCount": 1, "state": client,
                "lastState": {"terminated": {"finishedAt": (Utc::now() - TimeDelta::seconds(130)).to_rfc3339()}}});
            let cells = cells(json!({
                "kind": "Pod", "spec": {"containers": [{}, {}], "initContainers": [{}]},
                "status": {"phase": "Running", "containerStatuses": [client, sidecar]},
            }));
            [cells[1].clone(), cells[2].clone(), cells[3].clone()]
        };
        assert_eq!(state(json!({"running": {}}), true), ["2/2", "Running", "1 (2m ago)"]);
        let ended = |reason: &str| state(json!({"terminated": {"reason": reason}}), false);
        assert_eq!(ended("Completed"), ["1/2", "NotReady", "1 (2m ago)"]);
        assert_eq!(ended("Error")[1], "Error");
    }

    #[test]
    fn list_has_a_row_for_each_item() {
        let list = json!({"kind": "NamespaceList", "items": [{"metadata": {"name": "x"}}, {}]});
        let table = of(&list, Utc::now());
        assert_eq!(table["rows"].as_array().unwrap().len(), 2);
        assert_eq!(table["columnDefinitions"][1]["name"], "Age");
    }

    #[test]
    fn ages_are_as_short_as_kubectls() {
        let now = Utc::now();
        for (seconds, expect) in [(5, "5s"), (125, "2m"), (700, "11m"), (9 * 3600, "9h"), (72 * 3600, "3d")] {
            let created = json!((now - TimeDelta::seconds(seconds)).to_rfc3339());
            assert_eq!(age(&created, now), expect);
        }
    }
}
