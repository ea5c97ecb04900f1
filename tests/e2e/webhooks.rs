//! What becomes of an event in every state that the gateways' webhooks can be in.
//!
//! [`CASES`] is the whole of it: the table of `docs/webhooks.md` is made of it, and each row is a test.

use std::sync::Arc;

use serde_json::Value;
use tests::Provisioner;
use tests::events::pending;
use tests::provisioner::repository;

use crate::cluster::Cluster;
use crate::gateway::{
    BAR, FOO, FOO_ADDRESS, Gateway, add_init_container, add_raw_init_container, pin_and_wrap, take_gates,
};
use crate::harness::Test;
use crate::namespace::{Namespace, ROUTED, with_namespace};
use crate::outcome::{assert_pods, note, outcome_of};
use crate::webhook::{Act, Registration, Webhook, always, wait_until_reached};

/// The document with the table.
const DOCUMENT: &str = "docs/webhooks.md";

/// One state of the webhooks, and what is answered to a pending event.
struct Case {
    /// The state, as it stands in the document.
    situation: &'static str,
    /// The webhooks in it.
    webhooks: &'static [Hook],
    /// The answer. After a 503 it is `done` once every webhook is up and quick.
    answer: &'static str,
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
    DenyAll,
    RefuseUpdates,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Up,
    Down,
    Slow,
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
}

/// Another webhook took the Pod for `foo` and injected `bar`.
const ASTRAY: Gateway = Gateway { value: "foo", address: BAR.address, suffix: "" };
const SECOND: Gateway = Gateway { value: "foo", address: BAR.address, suffix: "-bar" };

const fn on(situation: &'static str, webhooks: &'static [Hook], answer: &'static str) -> Case {
    Case { situation, webhooks, answer, is_labelled: true, gateway: "foo", knows_addresses: false }
}

impl Case {
    const fn told_addresses(self) -> Self {
        Self { knows_addresses: true, ..self }
    }
}

const BOTH: &[Hook] = &[BAR_HOOK, FOO_HOOK];
const DONE: &str = "`done`";
const RETRY: &str = "503";
const NOT_INJECTED: &str = "`failed`, `GatewayNotInjected`";
const WRONG: &str = "`failed`, `WrongGatewayInjected`";
const REJECTED: &str = "`failed`, `PodRejected`";
const UNSAFE: &str = "`failed`, `UnsafePod`";

const CASES: &[Case] = &[
    on("every gateway's webhook is up", BOTH, DONE),
    on("every gateway's webhook is up, and `gateway_address` names the gateway's address", BOTH, DONE).told_addresses(),
    Case { gateway: "nope", ..on("no gateway has the requested name", BOTH, NOT_INJECTED) },
    Case {
        is_labelled: false,
        ..on("the client namespace lacks the label `routed-gateway: \"true\"`", &[], NOT_INJECTED)
    },
    on("the gateway's webhook is down, with `failurePolicy: Fail`", &[BAR_HOOK, FOO_HOOK.is(State::Down)], RETRY),
    on("another gateway's webhook is down, with `failurePolicy: Fail`", &[BAR_HOOK.is(State::Down), FOO_HOOK], RETRY),
    on(
        "another gateway's webhook is down, and each has an `objectSelector` for its own clients",
        &[BAR_HOOK.selective().is(State::Down), FOO_HOOK.selective()],
        DONE,
    ),
    on(
        "the gateway's webhook is down, and each has an `objectSelector` for its own clients",
        &[BAR_HOOK.selective(), FOO_HOOK.selective().is(State::Down)],
        RETRY,
    ),
    on(
        "the gateway's webhook is down, with `failurePolicy: Ignore`",
        &[BAR_HOOK, FOO_HOOK.ignored().is(State::Down)],
        NOT_INJECTED,
    ),
    on(
        "the gateway's webhook is slower than its `timeoutSeconds`, with `failurePolicy: Fail`",
        &[FOO_HOOK.impatient().is(State::Slow)],
        RETRY,
    ),
    on(
        "the gateway's webhook is slower than its `timeoutSeconds`, with `failurePolicy: Ignore`",
        &[FOO_HOOK.impatient().ignored().is(State::Slow)],
        NOT_INJECTED,
    ),
    on(
        "another gateway is injected than was asked for, and `gateway_address` tells",
        &[hook("astray", Action::Inject(ASTRAY))],
        WRONG,
    )
    .told_addresses(),
    on("two gateways are injected under the same names", &[FOO_HOOK, hook("again", Action::Inject(ASTRAY))], REJECTED),
    on("two gateways are injected under different names", &[FOO_HOOK, hook("second", Action::Inject(SECOND))], WRONG),
    on(
        "another webhook puts an init container before the gateway's",
        &[hook("early", Action::Change(add_init_container)), FOO_HOOK],
        UNSAFE,
    ),
    on(
        "another webhook puts an init container behind the gateway's",
        &[FOO_HOOK, hook("late", Action::Change(add_init_container))],
        DONE,
    ),
    on(
        "another webhook puts an init container behind the gateway's that keeps `NET_RAW`",
        &[FOO_HOOK, hook("raw", Action::Change(add_raw_init_container))],
        UNSAFE,
    ),
    on("a webhook takes the scheduling gate away", &[FOO_HOOK, hook("open", Action::Change(take_gates))], UNSAFE),
    on(
        "another webhook pins the client's image by its digest and wraps its command",
        &[FOO_HOOK, hook("pin", Action::Change(pin_and_wrap))],
        DONE,
    ),
    on("a webhook denies the Pod", &[FOO_HOOK, hook("deny", Action::DenyAll)], REJECTED),
    on(
        "the gateway's webhook is registered for `UPDATE` too, and injects anew on release",
        &[FOO_HOOK.for_updates()],
        REJECTED,
    ),
    on("a webhook denies the release", &[FOO_HOOK, hook("updates", Action::RefuseUpdates).for_updates()], REJECTED),
];

fn act(action: Action) -> Act {
    use kube_core::admission::Operation;
    match action {
        Action::Inject(gateway) => always(move |pod| gateway.inject(pod)),
        Action::Change(change) => always(change),
        Action::DenyAll => Arc::new(|pod, _| match pod["metadata"]["labels"]["setGateway"].is_string() {
            true => Err("clients are not welcome here".to_owned()),
            false => Ok(()),
        }),
        Action::RefuseUpdates => Arc::new(|_, operation| match operation {
            Operation::Update => Err("nothing is changed here".to_owned()),
            _ => Ok(()),
        }),
    }
}

async fn start(namespace: &Namespace, hook: Hook) -> Webhook {
    let mut webhook = Webhook::start(namespace, act(hook.action)).await;
    webhook.register(namespace, hook.registration).await;
    match hook.state {
        State::Up => (),
        State::Down => webhook.go_down().await,
        State::Slow => webhook.set_slow(true),
    }
    webhook
}

async fn start_all(namespace: &Namespace, hooks: &[Hook]) -> Vec<Webhook> {
    let mut up = Vec::new();
    // One that is down would keep the registration of the next from being seen.
    let (last, first): (Vec<&Hook>, Vec<&Hook>) = hooks.iter().partition(|hook| hook.state != State::Up);
    for hook in first.into_iter().chain(last) {
        up.push(start(namespace, *hook).await);
    }
    up
}

async fn check(namespace: Arc<Namespace>, case: &Case) {
    let mut webhooks = start_all(&namespace, case.webhooks).await;
    let address = FOO_ADDRESS.replace("foo", "{gateway}");
    let variables: &[_] = if case.knows_addresses { &[("gateway_address", address.as_str())] } else { &[] };
    let provisioner = namespace.provisioner(variables);
    let answer = deliver(&provisioner, case).await;
    assert_eq!(answer, case.answer, "{}", case.situation);
    assert_pods(&namespace, usize::from(answer == DONE)).await;
    if answer == RETRY {
        for webhook in &mut webhooks {
            webhook.come_back().await;
            webhook.set_slow(false);
        }
        wait_until_reached(&namespace, case.gateway).await;
        assert_eq!(deliver(&provisioner, case).await, DONE, "{} and then up", case.situation);
        assert_pods(&namespace, 1).await;
    }
}

async fn deliver(provisioner: &Provisioner, case: &Case) -> String {
    let reply = provisioner.deliver(pending("1", case.gateway)).await;
    note(case.situation, &reply, provisioner);
    outcome_of(&reply)
}

/// The tests.
pub fn tests() -> Vec<Test> {
    let case = |case: &'static Case| {
        Test::new(case.situation, move |cluster: Arc<Cluster>| {
            let labels: &[_] = if case.is_labelled { &[ROUTED] } else { &[] };
            with_namespace(cluster, "webhooks", labels, move |namespace| check(namespace, case))
        })
    };
    let document = Test::new("the document holds this very table", |_| check_document());
    CASES.iter().map(case).chain([document]).collect()
}

async fn check_document() {
    let path = repository().join(DOCUMENT);
    let text = std::fs::read_to_string(&path).expect("the document is there");
    let (before, after) = around_the_table(&text);
    let expected = format!("{before}{}{after}", table());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, expected).expect("the document can be written");
    } else {
        assert!(text == expected, "{DOCUMENT} differs from the tests: run make e2e with UPDATE_DOCS=1");
    }
}

fn around_the_table(text: &str) -> (&str, &str) {
    let begin = text.find("\n|").expect("the document has a table") + 1;
    let end = text.rfind("|\n").expect("the document has a table") + 2;
    (&text[..begin], &text[end..])
}

fn table() -> String {
    let rows = CASES.iter().map(|case| {
        let then = if case.answer == RETRY { "; `done` once it is back" } else { "" };
        let pod = if [DONE, RETRY].contains(&case.answer) { "one, released" } else { "none" };
        format!("| {} | {}{then} | {pod} |\n", case.situation, case.answer)
    });
    let head = "| The webhooks | The answer | The Pod in the end |\n|---|---|---|\n";
    head.to_owned() + &rows.collect::<String>()
}
