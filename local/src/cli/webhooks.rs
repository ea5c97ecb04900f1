//! Whose Pods the gateways' webhooks are asked for, and what is wrong with how they are registered.
//!
//! The API server's own rules decide, but for `matchConditions`: those are CEL, which nothing here evaluates. A condition
//! that names the gateway key is taken to ask for the clients of those gateways that it quotes.

use provisioner::pod::{each, text};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Where a gateway's admission controller serves. It has no other path.
const PATH: &str = "/wh/mutating/setgateway";
/// A gateway that nobody has.
const NOBODYS: &str = "a-gateway-that-nobody-has";

/// The gateways' webhooks that are asked for Pods of the client namespace.
pub struct Webhooks {
    key: String,
    found: Vec<Webhook>,
}

struct Webhook {
    title: String,
    registered: Value,
}

/// What is wrong with the webhooks that are asked for the clients of one gateway.
#[derive(Debug, Default, PartialEq)]
pub struct Findings {
    /// Why every event would fail.
    pub problem: Option<String>,
    /// What else to mend.
    pub advice: Vec<String>,
}

impl Webhooks {
    /// Those of a `MutatingWebhookConfigurationList`, by the labels of the client `namespace`.
    pub fn of(list: &Value, namespace: &Value, key: &str) -> Self {
        let mut found = Vec::new();
        for configuration in each(&list["items"]) {
            let of = text(&configuration["metadata"]["name"]);
            let mine = each(&configuration["webhooks"]).filter(|webhook| is_a_gateways(webhook, key));
            let acting = mine.filter(|webhook| has_rule(webhook, "CREATE"));
            let labels = &namespace["metadata"]["labels"];
            for webhook in acting.filter(|webhook| selects(&webhook["namespaceSelector"], labels)) {
                let title = format!("the webhook {} of {of}", text(&webhook["name"]));
                found.push(Webhook { title, registered: webhook.clone() });
            }
        }
        Self { key: key.to_owned(), found }
    }

    /// Judges those that are asked for a client with these `labels`, whose gateway is one of `gateways`.
    pub fn judge(&self, labels: &Value, gateways: &[String]) -> Findings {
        let asked: Vec<_> = self.found.iter().filter(|webhook| webhook.asks_for(labels, &self.key)).collect();
        if asked.is_empty() {
            let gateway = text(&labels[&self.key]);
            let advice =
                format!("no webhook that is known for a gateway's, at {PATH}, is asked for clients of {gateway}");
            return Findings { problem: None, advice: vec![advice] };
        }
        let advice = asked.iter().flat_map(|webhook| webhook.advice(labels, &self.key, gateways)).collect();
        Findings { problem: asked.iter().find_map(|webhook| webhook.problem()), advice }
    }
}

impl Webhook {
    fn asks_for(&self, labels: &Value, key: &str) -> bool {
        let gateway = text(&labels[key]);
        let quotes =
            |condition: &str| [format!("'{gateway}'"), format!("{gateway:?}")].iter().any(|q| condition.contains(q));
        selects(&self.registered["objectSelector"], labels) && conditions(&self.registered, key).all(quotes)
    }

    /// It would act on the release of the gate as it did on the creation.
    fn problem(&self) -> Option<String> {
        has_rule(&self.registered, "UPDATE").then(|| {
            format!(
                "PodRejected: {} is registered for UPDATE too: it would change the Pod again when its gate is removed, \
                 which the API server refuses (422). Register it for CREATE alone",
                self.title
            )
        })
    }

    fn advice(&self, labels: &Value, key: &str, gateways: &[String]) -> Vec<String> {
        let (title, policy) = (&self.title, &self.registered["failurePolicy"]);
        let whose = self.whose(labels, key, gateways).map(|whose| {
            format!(
                "{title} is asked for the clients of {whose}: each create waits for it, and while it is down none of them \
                 starts. Give it an objectSelector with its own {key} (docs/operations.md, \"Many gateways\")"
            )
        });
        let lenient = (policy == "Ignore").then(|| {
            format!(
                "{title} has failurePolicy Ignore: while it is down its clients fail with GatewayNotInjected. With Fail \
                 they wait for it"
            )
        });
        whose.into_iter().chain(lenient).collect()
    }

    /// Whose clients it is asked for, where those are not of one gateway alone.
    fn whose(&self, labels: &Value, key: &str, gateways: &[String]) -> Option<String> {
        let asks_for = |gateway: &str| {
            let mut labels = labels.clone();
            labels[key] = json!(gateway);
            self.asks_for(&labels, key)
        };
        if asks_for(NOBODYS) {
            return Some("every gateway".to_owned());
        }
        let all = gateways.iter().map(String::as_str).filter(|gateway| asks_for(gateway)).collect::<BTreeSet<_>>();
        (all.len() > 1).then(|| Vec::from_iter(all).join(", "))
    }
}

/// Whether it is a gateway's: by its path, or because it looks at the gateway key.
fn is_a_gateways(webhook: &Value, key: &str) -> bool {
    let client = &webhook["clientConfig"];
    let is_there = [&client["service"]["path"], &client["url"]].into_iter().any(|place| text(place).ends_with(PATH));
    is_there
        || webhook["objectSelector"].to_string().contains(&format!("{key:?}"))
        || conditions(webhook, key).next().is_some()
}

/// The conditions that name the key.
fn conditions<'a>(webhook: &'a Value, key: &str) -> impl Iterator<Item = &'a str> {
    each(&webhook["matchConditions"])
        .map(|condition| text(&condition["expression"]))
        .filter(move |one| one.contains(key))
}

fn has_rule(webhook: &Value, operation: &str) -> bool {
    let has = |list: &Value, any: &[&str]| each(list).any(|one| any.contains(&text(one)));
    each(&webhook["rules"]).any(|rule| {
        has(&rule["operations"], &[operation, "*"])
            && has(&rule["apiGroups"], &["", "*"])
            && has(&rule["apiVersions"], &["v1", "*"])
            && has(&rule["resources"], &["pods", "*", "pods/*", "*/*"])
            && rule["scope"] != "Cluster"
    })
}

/// Whether a `LabelSelector` selects these labels; one that is empty or absent selects all.
fn selects(selector: &Value, labels: &Value) -> bool {
    let mut equal = selector["matchLabels"].as_object().into_iter().flatten();
    equal.all(|(key, value)| labels[key.as_str()] == *value)
        && each(&selector["matchExpressions"]).all(|requirement| {
            let value = &labels[text(&requirement["key"])];
            let is_in = each(&requirement["values"]).any(|one| one == value);
            match text(&requirement["operator"]) {
                "In" => is_in,
                "NotIn" => !is_in,
                "Exists" => value.is_string(),
                "DoesNotExist" => value.is_null(),
                _ => false,
            }
        })
}

#[cfg(test)]
mod tests;
