//! What becomes of an event in every state that the gateways' webhooks can be in.
//!
//! The table of `docs/webhooks.md` says it, and each of its rows is a test. Here stand the webhooks of each situation. How
//! they are registered, and what else is special, is in the situation's own words.

use std::sync::Arc;

use libtest_mimic::Trial;
use serde_json::Value;
use tests::cluster::gateway::{
    ASTRAY, BAR, FOO, FOO_ADDRESS, Gateway, add_gateway, add_init_container, add_raw_init_container, pin_and_wrap,
    take_gates,
};
use tests::cluster::webhook::State::{self, Down, Slow, Up};
use tests::cluster::webhook::{Act, Registration, Webhook, always};
use tests::cluster::{Cluster, Namespace, ROUTED};
use tests::events::pending;
use tests::markdown::rows;

use crate::outcome::{assert_pods, outcome_of};

/// A webhook: its name, what it does, and how it is.
type Hook = (&'static str, Act, State);

fn hook(name: &'static str, change: fn(&mut Value)) -> Hook {
    (name, always(change), Up)
}

fn gateway(name: &'static str, gateway: Gateway, state: State) -> Hook {
    (name, always(move |pod| gateway.inject(pod)), state)
}

fn refusing(operation: &'static str) -> Hook {
    let refuse = move |_: &mut Value, asked: &str| match asked == operation {
        true => Err("it is not welcome here".to_owned()),
        false => Ok(()),
    };
    ("refusing", Arc::new(refuse), Up)
}

/// The webhooks of a situation.
fn webhooks(situation: &str) -> Vec<Hook> {
    let [foo_is, bar_is] = [("foo", FOO), ("bar", BAR)].map(|(name, its)| move |state| gateway(name, its, state));
    let astray = || gateway("astray", ASTRAY, Up);
    let (early, late) = (hook("early", add_init_container), hook("late", add_init_container));
    match situation {
        says if says.starts_with("the gateway's webhook is down") => vec![bar_is(Up), foo_is(Down)],
        says if says.starts_with("another gateway's webhook is down") => vec![bar_is(Down), foo_is(Up)],
        says if says.starts_with("the gateway's webhook is slower") => vec![foo_is(Slow)],
        "another gateway is injected than was asked for, and `gateway_address` tells" => vec![astray()],
        "two gateways are injected under the same names" => vec![foo_is(Up), astray()],
        "two gateways are injected under different names" => vec![foo_is(Up), hook("second", add_gateway)],
        "another webhook puts an init container before the gateway's" => vec![early, foo_is(Up)],
        "another webhook puts an init container behind the gateway's" => vec![foo_is(Up), late],
        "another webhook puts an init container behind the gateway's that keeps `NET_RAW`" => {
            vec![foo_is(Up), hook("raw", add_raw_init_container)]
        }
        "a webhook takes the scheduling gate away" => vec![foo_is(Up), hook("open", take_gates)],
        "another webhook pins the client's image by its digest and wraps its command" => {
            vec![foo_is(Up), hook("pin", pin_and_wrap)]
        }
        "a webhook denies the Pod" => vec![foo_is(Up), refusing("CREATE")],
        "a webhook denies the release" => vec![foo_is(Up), refusing("UPDATE")],
        "no gateway has the requested name" | "the client namespace lacks the label `routed-gateway: \"true\"`" => {
            vec![bar_is(Up), foo_is(Up)]
        }
        says if says.starts_with("every gateway's webhook is up") => vec![bar_is(Up), foo_is(Up)],
        says if says.starts_with("the gateway's webhook is registered for `UPDATE` too") => vec![foo_is(Up)],
        _ => panic!("what are the webhooks of {situation:?}?"),
    }
}

/// How the situation says that a webhook is registered.
fn registration(name: &'static str, situation: &str) -> Registration {
    let says = |word: &str| situation.contains(word);
    let usual = Registration::usual(name);
    Registration {
        failure_policy: if says("`failurePolicy: Ignore`") { "Ignore" } else { usual.failure_policy },
        operations: if says("`UPDATE`") || says("release") { &["CREATE", "UPDATE"] } else { usual.operations },
        timeout_seconds: if says("`timeoutSeconds`") { 1 } else { usual.timeout_seconds },
        clients_of: says("`objectSelector`").then_some(name),
        ..usual
    }
}

/// A test of each row of the document.
pub fn tests(cluster: &Arc<Cluster>) -> Vec<Trial> {
    let rows = rows("docs/webhooks.md", "When a gateway's webhook is absent, wrong or down");
    assert_eq!(rows.len(), 22, "every situation stands in the document");
    let test = |row: Vec<String>| {
        crate::test(cluster, "webhooks", &row[0].clone(), move |cluster| async move { check(cluster, &row).await })
    };
    rows.into_iter().map(test).collect()
}

async fn check(cluster: Arc<Cluster>, row: &[String]) {
    let [situation, ends, left] = row else { panic!("{row:?} has other cells") };
    let says = |word: &str| situation.contains(word);
    let labels: &[_] = if says("lacks the label") { &[] } else { &[ROUTED] };
    let namespace = Namespace::create(cluster, "webhooks", labels).await;
    let mut webhooks = Vec::new();
    // Without the label none would ever be asked.
    for (name, act, state) in self::webhooks(situation).into_iter().filter(|_| !labels.is_empty()) {
        webhooks.push((Webhook::start(&namespace, registration(name, situation), act).await, state));
    }
    // One that is down would keep the registration of the next from being seen.
    webhooks.iter().for_each(|(webhook, state)| webhook.set(*state));
    let address = FOO_ADDRESS.replace("foo", "{gateway}");
    let variables: &[_] = if says("`gateway_address`") { &[("gateway_address", address.as_str())] } else { &[] };
    let provisioner = namespace.provisioner(variables);
    let gateway = if says("no gateway has the requested name") { "nope" } else { "foo" };
    let deliver = || async { outcome_of(&provisioner.deliver(pending("1", gateway)).await) };
    let (answer, then) = ends.split_once("; ").unwrap_or((ends, ""));
    assert_eq!(deliver().await, answer);
    assert_pods(&namespace, usize::from(answer == "`done`")).await;
    if !then.is_empty() {
        webhooks.iter().for_each(|(webhook, _)| webhook.set(Up));
        assert_eq!(format!("{} once it is back", deliver().await), then);
    }
    assert_pods(&namespace, usize::from(left == "one, released")).await;
}
