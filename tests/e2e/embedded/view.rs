//! What is compared of an answer.

use std::collections::BTreeSet;

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
            kind if kind.ends_with("List") => list(body),
            _ => body.clone(),
        };
        if is_without_words {
            seen["message"].take();
            seen["causes"].take();
        }
        json!([code, seen])
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
        // Some rules are looked at twice there, and the message has several in another order.
        let causes: BTreeSet<String> = each(&details["causes"]).map(Value::to_string).collect();
        let message = if causes.len() > 1 { json!(null) } else { json!(message) };
        json!({
            "status": body["status"], "reason": body["reason"], "message": message, "says": body["code"],
            "kind": details["kind"], "name": details["name"], "causes": causes,
        })
    }

    /// All of a Pod but its status, and what differs from server to server.
    fn pod(&mut self, body: &Value) -> Value {
        let mut metadata = body["metadata"].clone();
        metadata["managedFields"].take();
        for field in ["uid", "resourceVersion"] {
            metadata[field] = json!(self.place(&metadata[field]));
        }
        for field in ["creationTimestamp", "deletionTimestamp"] {
            metadata[field] = json!(metadata[field].is_string());
        }
        json!({"metadata": metadata, "spec": body["spec"], "phase": body["status"]["phase"]})
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

fn list(body: &Value) -> Value {
    let metadata = &body["metadata"];
    let has_next = !text(&metadata["continue"]).is_empty();
    let names: Vec<_> = each(&body["items"]).map(|item| text(&item["metadata"]["name"])).collect();
    json!([body["kind"], names, metadata["resourceVersion"].is_string(), has_next, metadata["remainingItemCount"]])
}
