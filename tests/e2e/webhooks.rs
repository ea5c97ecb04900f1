//! What becomes of an event in every state that the gateways' webhooks can be in.
//!
//! The table of `docs/webhooks.md` says it, and each of its rows is a test.

use std::sync::Arc;

use libtest_mimic::Trial;
use serde_json::Value;
use tests::cluster::gateway::{
    ASTRAY, BAR, FOO, FOO_ADDRESS, Gateway, add_gateway, add_init_container, add_raw_init_container, pin_and_wrap,
    take_gates,
};
use tests::cluster::webhook::{Act, Registration, State, Webhook, always};
use tests::cluster::{Cluster, Namespace, ROUTED};
use tests::events::pending;
use tests::markdown::rows;

use crate::outcome::{assert_pods, outcome_of};

/// What is special in a situation.
struct Case {
    /// The webhooks in it.
    webhooks: &'static [Hook],
    /// Whether the client namespace has the label of the gateways' webhooks.
    is_labelled: bool,
    /// The gateway that the event asks for.
    gateway: &'static str,
    /// Whether the provisioner is told the gateways' addresses.
    knows_addresses: bool,
}

/// A webhook of a case.
#[derive(Clone, Copy)]
struct Hook {
    registration: Registration,
    action: Action,
    state: State,
}

#[derive(Clone, Copy)]
enum Action {
    Inject(Gateway),
    Change(fn(&mut Value)),
    Refuse(&'static str),
}

const fn hook(name: &'static str, action: Action) -> Hook {
    Hook { registration: Registration::usual(name), action, state: State::Up }
}

const FOO_HOOK: Hook = hook("foo", Action::Inject(FOO));
const BAR_HOOK: Hook = hook("bar", Action::Inject(BAR));

impl Hook {
    const fn is(self, state: State) -> Self {
        Self { state, ..self }
    }

    const fn ignored(self) -> Self {
        Self { registration: Registration { failure_policy: "Ignore", ..self.registration }, ..self }
    }

    const fn selective(self) -> Self {
        Self { registration: Registration::selective(self.registration.name), ..self }
    }

    const fn impatient(self) -> Self {
        Self { registration: Registration { timeout_seconds: 1, ..self.registration }, ..self }
    }

    const fn for_updates(self) -> Self {
        Self { registration: Registration { operations: &["CREATE", "UPDATE"], ..self.registration }, ..self }
    }

    fn act(self) -> Act {
        match self.action {
            Action::Inject(gateway) => always(move |pod| gateway.inject(pod)),
            Action::Change(change) => always(change),
            Action::Refuse(operation) => Arc::new(move |_, asked| match asked == operation {
                true => Err("it is not welcome here".to_owned()),
                false => Ok(()),
            }),
        }
    }
}

const fn with(webhooks: &'static [Hook]) -> Case {
    Case { webhooks, is_labelled: true, gateway: "foo", knows_addresses: false }
}

const BOTH: &[Hook] = &[BAR_HOOK, FOO_HOOK];
const ASTRAY_HOOK: Hook = hook("astray", Action::Inject(ASTRAY));

/// Every situation of the document.
const CASES: &[(&str, Case)] = &[
    ("every gateway's webhook is up", with(BOTH)),
    (
        "every gateway's webhook is up, and `gateway_address` names the gateway's address",
        Case { knows_addresses: true, ..with(BOTH) },
    ),
    ("no gateway has the requested name", Case { gateway: "nope", ..with(BOTH) }),
    ("the client namespace lacks the label `routed-gateway: \"true\"`", Case { is_labelled: false, ..with(&[]) }),
    ("the gateway's webhook is down, with `failurePolicy: Fail`", with(&[BAR_HOOK, FOO_HOOK.is(State::Down)])),
    ("another gateway's webhook is down, with `failurePolicy: Fail`", with(&[BAR_HOOK.is(State::Down), FOO_HOOK])),
    (
        "another gateway's webhook is down, and each has an `objectSelector` for its own clients",
        with(&[BAR_HOOK.selective().is(State::Down), FOO_HOOK.selective()]),
    ),
    (
        "the gateway's webhook is down, and each has an `objectSelector` for its own clients",
        with(&[BAR_HOOK.selective(), FOO_HOOK.selective().is(State::Down)]),
    ),
    (
        "the gateway's webhook is down, with `failurePolicy: Ignore`",
        with(&[BAR_HOOK, FOO_HOOK.ignored().is(State::Down)]),
    ),
    (
        "the gateway's webhook is slower than its `timeoutSeconds`, with `failurePolicy: Fail`",
        with(&[FOO_HOOK.impatient().is(State::Slow)]),
    ),
    (
        "the gateway's webhook is slower than its `timeoutSeconds`, with `failurePolicy: Ignore`",
        with(&[FOO_HOOK.impatient().ignored().is(State::Slow)]),
    ),
    (
        "another gateway is injected than was asked for, and `gateway_address` tells",
        Case { knows_addresses: true, ..with(&[ASTRAY_HOOK]) },
    ),
    ("two gateways are injected under the same names", with(&[FOO_HOOK, ASTRAY_HOOK])),
    ("two gateways are injected under different names", with(&[FOO_HOOK, hook("second", Action::Change(add_gateway))])),
    (
        "another webhook puts an init container before the gateway's",
        with(&[hook("early", Action::Change(add_init_container)), FOO_HOOK]),
    ),
    (
        "another webhook puts an init container behind the gateway's",
        with(&[FOO_HOOK, hook("late", Action::Change(add_init_container))]),
    ),
    (
        "another webhook puts an init container behind the gateway's that keeps `NET_RAW`",
        with(&[FOO_HOOK, hook("raw", Action::Change(add_raw_init_container))]),
    ),
    ("a webhook takes the scheduling gate away", with(&[FOO_HOOK, hook("open", Action::Change(take_gates))])),
    (
        "another webhook pins the client's image by its digest and wraps its command",
        with(&[FOO_HOOK, hook("pin", Action::Change(pin_and_wrap))]),
    ),
    ("a webhook denies the Pod", with(&[FOO_HOOK, hook("deny", Action::Refuse("CREATE"))])),
    (
        "the gateway's webhook is registered for `UPDATE` too, and injects anew on release",
        with(&[FOO_HOOK.for_updates()]),
    ),
    ("a webhook denies the release", with(&[FOO_HOOK, hook("updates", Action::Refuse("UPDATE")).for_updates()])),
];

/// A test of each row of the document.
pub fn tests(cluster: &Arc<Cluster>) -> Vec<Trial> {
    let rows = rows("docs/webhooks.md", "When a gateway's webhook is absent, wrong or down");
    assert_eq!(rows.len(), CASES.len(), "every situation stands in the document");
    let test = |row: Vec<String>| {
        let found = CASES.iter().find(|(situation, _)| *situation == row[0]);
        let (name, case) = found.unwrap_or_else(|| panic!("no case is the row {:?}", row[0]));
        crate::test(cluster, "webhooks", name, move |cluster| check(cluster, case, row))
    };
    rows.into_iter().map(test).collect()
}

async fn check(cluster: Arc<Cluster>, case: &Case, row: Vec<String>) {
    let labels: &[_] = if case.is_labelled { &[ROUTED] } else { &[] };
    let namespace = Namespace::create(cluster, "webhooks", labels).await;
    let mut webhooks = Vec::new();
    for hook in case.webhooks {
        webhooks.push(Webhook::start(&namespace, hook.registration, hook.act()).await);
    }
    // One that is down would keep the registration of the next from being seen.
    case.webhooks.iter().zip(&webhooks).for_each(|(hook, webhook)| webhook.set(hook.state));
    let address = FOO_ADDRESS.replace("foo", "{gateway}");
    let variables: &[_] = if case.knows_addresses { &[("gateway_address", address.as_str())] } else { &[] };
    let provisioner = namespace.provisioner(variables);
    let deliver = || async { outcome_of(&provisioner.deliver(pending("1", case.gateway)).await) };
    let (answer, then) = row[1].split_once("; ").unwrap_or((&row[1], ""));
    assert_eq!(deliver().await, answer);
    assert_pods(&namespace, usize::from(answer == "`done`")).await;
    if !then.is_empty() {
        webhooks.iter().for_each(|webhook| webhook.set(State::Up));
        assert_eq!(format!("{} once it is back", deliver().await), then);
    }
    assert_pods(&namespace, usize::from(row[2] == "one, released")).await;
}
