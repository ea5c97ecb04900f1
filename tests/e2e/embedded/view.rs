//! What is compared of an answer.

use std::collections::BTreeMap;

use provisioner::pod::each;
use serde_json::{Value, json};

/// What the webhook of the gateway `foo` is called, here and there.
const WEBHOOKS: [&str; 2] = ["pod-gateway-foo.gateway-system.svc.cluster.local", "foo.gateway.example"];

/// Uid and version of the Pods, by name.
type Known = BTreeMap<String, (String, String)>;

/// What there is to see: two servers that behave alike give the same.
pub fn of(code: u16, body: &Value, known: &Known) -> Value {
    let mut seen = match body["kind"].as_str() {
        Some("Status") => status(body, known),
        Some("Pod") => pod(body, known),
        Some("Namespace") => json!({"name": body["metadata"]["name"], "phase": body["status"]["phase"]}),
        Some("Table") => table(body),
        Some("APIResourceList") => resources(body),
        Some("APIGroupList") => json!({"kind": body["kind"]}),
        Some("APIVersions") => json!({"versions": body["versions"]}),
        Some(kind) if kind.ends_with("List") => list(body, known),
        _ if body["gitVersion"].is_string() => json!({"major": body["major"], "minor": body["minor"]}),
        _ => json!({"text": body}),
    };
    seen["code"] = json!(code);
    seen
}

fn status(body: &Value, known: &Known) -> Value {
    let mut message = body["message"].as_str().unwrap_or_default().to_owned();
    for webhook in WEBHOOKS {
        message = message.replace(webhook, "WEBHOOK");
    }
    for (uid, version) in known.values() {
        message = message.replace(uid.as_str(), "UID").replace(&format!("record ({version})"), "record (VERSION)");
    }
    let details = &body["details"];
    // Some rules are looked at twice there.
    let mut causes: Vec<String> = each(&details["causes"]).map(Value::to_string).collect();
    causes.sort_unstable();
    causes.dedup();
    json!({
        "status": body["status"], "reason": body["reason"], "message": message, "says": body["code"],
        "kind": details["kind"], "name": details["name"], "causes": causes,
    })
}

/// All of a Pod but its status, and what differs from server to server.
fn pod(body: &Value, known: &Known) -> Value {
    let metadata = &body["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    // The name of a namespace is made up as well, and the same for both.
    let generated = metadata["generateName"].as_str().filter(|_| metadata["namespace"].is_string());
    let is_there = |field: &str| metadata[field].is_string();
    let changed = |field: &str, before: &dyn Fn(&(String, String)) -> String| {
        known.get(name).map(|known| metadata[field].as_str().is_some_and(|now| now != before(known)))
    };
    json!({
        "name": generated.map_or(name, |prefix| prefix),
        "namespace": metadata["namespace"],
        "uid": [json!(is_there("uid")), json!(changed("uid", &|known| known.0.clone()))],
        "version": [json!(is_there("resourceVersion")), json!(changed("resourceVersion", &|known| known.1.clone()))],
        "generation": metadata["generation"],
        "created": is_there("creationTimestamp"),
        "deleted": [json!(is_there("deletionTimestamp")), metadata["deletionGracePeriodSeconds"].clone()],
        "labels": metadata["labels"], "annotations": metadata["annotations"], "finalizers": metadata["finalizers"],
        "spec": spec(&body["spec"]),
        "phase": body["status"]["phase"],
    })
}

/// A PodSpec without the values that a gateway's webhook is configured with, but for its address.
fn spec(spec: &Value) -> Value {
    let mut spec = spec.clone();
    for list in ["initContainers", "containers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        let variables = containers.filter_map(|container| container.get_mut("env")?.as_array_mut()).flatten();
        variables.filter(|variable| variable["name"] != "gateway").for_each(|variable| variable["value"] = json!("…"));
    }
    for volume in spec.get_mut("volumes").and_then(Value::as_array_mut).into_iter().flatten() {
        volume["configMap"] = json!(volume["configMap"].is_object());
    }
    if spec["dnsConfig"].is_object() {
        spec["dnsConfig"] = json!("…");
    }
    spec
}

fn list(body: &Value, known: &Known) -> Value {
    let metadata = &body["metadata"];
    json!({
        "kind": body["kind"],
        "items": each(&body["items"]).map(|item| pod(item, known)["name"].clone()).collect::<Vec<_>>(),
        "version": metadata["resourceVersion"].is_string(),
        "continue": metadata["continue"].as_str().is_some_and(|token| !token.is_empty()),
        "remaining": metadata["remainingItemCount"],
    })
}

/// The columns that kubectl prints without being asked for more, and the rows.
fn table(body: &Value) -> Value {
    let columns: Vec<_> = each(&body["columnDefinitions"]).filter(|column| column["priority"] == 0).collect();
    // The age stands last, and the two were asked at different times.
    let cells = |row: &Value| row["cells"].as_array().map(|cells| cells[..columns.len() - 1].to_vec());
    json!({
        "columns": columns.iter().map(|column| [&column["name"], &column["type"], &column["format"]]).collect::<Vec<_>>(),
        "rows": each(&body["rows"]).map(|row| json!([cells(row), row["object"]["metadata"]["name"]])).collect::<Vec<_>>(),
    })
}

/// Of discovery, the kinds that both have.
fn resources(body: &Value) -> Value {
    let served = ["pods", "podtemplates", "namespaces", "events"];
    let found = each(&body["resources"]).filter(|one| served.iter().any(|name| one["name"] == *name));
    let seen = found.map(|one| {
        (one["name"].to_string(), json!([one["kind"], one["singularName"], one["namespaced"], one["shortNames"]]))
    });
    json!({"groupVersion": body["groupVersion"], "resources": seen.collect::<BTreeMap<_, _>>()})
}

/// The same without the words for people.
pub fn without_words(seen: &Value) -> Value {
    let mut seen = seen.clone();
    for field in ["message", "causes", "text"] {
        seen.as_object_mut().and_then(|seen| seen.remove(field));
    }
    seen
}

/// What makes ours theirs, field by field; or both, where they have little in common.
pub fn differences(ours: &Value, theirs: &Value) -> String {
    let short = |text: String| text.chars().take(700).collect::<String>();
    match ours["code"] == theirs["code"] {
        true => json_patch::diff(ours, theirs).iter().map(|change| short(format!("    {change}\n"))).collect(),
        false => [("embedded", ours), ("real    ", theirs)]
            .map(|(whose, seen)| short(format!("    {whose} {seen}")))
            .join("\n"),
    }
}
