//! What is compared of an answer.

use std::collections::BTreeMap;

use provisioner::pod::{each, text};
use serde_json::{Value, json};

/// What the webhook of the gateway `foo` is called, here and there.
const WEBHOOKS: [&str; 2] = ["pod-gateway-foo.gateway-system.svc.cluster.local", "foo.gateway.example"];

/// The uids and versions that a server has made up so far.
#[derive(Default)]
pub struct View(Vec<String>);

impl View {
    /// What there is to see: two servers that behave alike give the same. The words for people may be left out.
    pub fn of(&mut self, code: u16, body: &Value, is_without_words: bool) -> Value {
        let mut seen = match text(&body["kind"]) {
            "Status" => self.status(body),
            "Pod" => self.pod(body),
            "Namespace" => json!({"name": body["metadata"]["name"], "phase": body["status"]["phase"]}),
            "Table" => table(body),
            "APIResourceList" => resources(body),
            "APIVersions" => json!({"versions": body["versions"]}),
            kind if kind.ends_with("List") => list(body),
            _ if body["gitVersion"].is_string() => json!({"major": body["major"], "minor": body["minor"]}),
            _ => json!({"message": body}),
        };
        seen["code"] = json!(code);
        if is_without_words {
            seen["message"].take();
            seen["causes"].take();
        }
        seen
    }

    fn status(&self, body: &Value) -> Value {
        let mut message =
            WEBHOOKS.iter().fold(text(&body["message"]).to_owned(), |said, name| said.replace(name, "WEBHOOK"));
        for made_up in &self.0 {
            message = message.replace(&format!("record ({made_up})"), "record (VERSION)");
            // A version is too short to be told from other numbers.
            message = if made_up.contains('-') { message.replace(made_up, "UID") } else { message };
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
    fn pod(&mut self, body: &Value) -> Value {
        let metadata = &body["metadata"];
        let is_there = |field: &str| metadata[field].is_string();
        json!({
            "name": name(body),
            "uid": self.place(&metadata["uid"]), "version": self.place(&metadata["resourceVersion"]),
            "namespace": metadata["namespace"], "generation": metadata["generation"],
            "created": is_there("creationTimestamp"),
            "deleted": [json!(is_there("deletionTimestamp")), metadata["deletionGracePeriodSeconds"].clone()],
            "labels": metadata["labels"], "annotations": metadata["annotations"], "finalizers": metadata["finalizers"],
            "spec": body["spec"], "phase": body["status"]["phase"],
        })
    }

    /// Where a value that the server made up stood first.
    fn place(&mut self, value: &Value) -> Option<usize> {
        let value = value.as_str()?;
        self.0.iter().position(|known| known == value).or_else(|| {
            self.0.push(value.to_owned());
            Some(self.0.len() - 1)
        })
    }
}

/// The name of an object, or what a made up one begins with. That of a namespace is made up as well, and the same for both.
fn name(object: &Value) -> &str {
    let metadata = &object["metadata"];
    let generated = metadata["generateName"].as_str().filter(|_| metadata["namespace"].is_string());
    generated.unwrap_or(text(&metadata["name"]))
}

fn list(body: &Value) -> Value {
    let metadata = &body["metadata"];
    json!({
        "kind": body["kind"],
        "items": each(&body["items"]).map(name).collect::<Vec<_>>(),
        "version": metadata["resourceVersion"].is_string(),
        "continue": !text(&metadata["continue"]).is_empty(),
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
        "rows": each(&body["rows"]).map(|row| json!([cells(row), name(&row["object"])])).collect::<Vec<_>>(),
    })
}

/// Of discovery, the kinds that both have.
fn resources(body: &Value) -> Value {
    let served = ["pods", "podtemplates", "namespaces", "events"];
    let found = each(&body["resources"]).filter(|one| served.contains(&text(&one["name"])));
    let seen = found.map(|one| {
        (text(&one["name"]), json!([one["kind"], one["singularName"], one["namespaced"], one["shortNames"]]))
    });
    json!({"groupVersion": body["groupVersion"], "resources": seen.collect::<BTreeMap<_, _>>()})
}
