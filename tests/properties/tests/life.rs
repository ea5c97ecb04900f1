//! A client's life: whatever a source says of a Pod, and whatever the API server has, the endpoint answers.

use properties::answers::{self, SINK};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use provisioner::event::{ADDED, DELETED, PING, TERMINATION, UPDATED};
use provisioner::log::Kind;
use provisioner::outbound::Answer;
use provisioner::testing::{
    answer, client_ended, client_running, cut, deleting, event, merged, object, released, routed, status, wanted,
};
use serde_json::{Value, json};

use crate::generators::{json, kinds, lay};

/// The client's Pod at any point of its life, as it is or with something else in the place of a part of it.
fn pod() -> impl Strategy<Value = Value> {
    let gated = routed(wanted(&[]));
    let (runs, ended) = (client_running(gated.clone()), client_ended(gated.clone(), 1));
    let told = json!({"metadata": {"annotations": {"podgateway.io/reported": "running"}}});
    let lives = vec![
        released(gated.clone()),
        deleting(runs.clone()),
        deleting(gated.clone()),
        merged(runs.clone(), &told),
        gated,
        runs,
        ended,
    ];
    let place = select(vec!["/metadata", "/spec", "/status", "/status/conditions", "/metadata/deletionTimestamp"]);
    (select(lives), option::weighted(0.3, (place, json()))).prop_map(|(mut pod, change)| {
        if let Some((place, value)) = change {
            let patch =
                place.rsplit('/').filter(|name| !name.is_empty()).fold(value, |value, name| json!({name: value}));
            lay(&mut pod, &patch);
        }
        pod
    })
}

fn data(ty: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let termination = Just(json!({"pending_event": {"source": "/test", "id": "1"}}));
    let usual = if ty == TERMINATION { termination.boxed() } else { pod().boxed() };
    let value = prop_oneof![6 => usual, 1 => json()];
    prop_oneof![9 => value.prop_map(|value| value.to_string().into_bytes()), 1 => vec(any::<u8>(), 0..30)]
}

fn page() -> impl Strategy<Value = Answer> {
    let page = (vec(pod(), 0..3), select(vec!["", "next"]));
    page.prop_map(|(pods, next)| object(200, &json!({"metadata": {"continue": next}, "items": pods})))
}

fn api_answer() -> impl Strategy<Value = Answer> {
    let refusal = select(vec![(404, "NotFound"), (409, "Conflict"), (403, "Forbidden"), (422, "Invalid"), (500, "")]);
    let refusal = refusal.prop_map(|(code, reason)| status(code, reason, "m"));
    let strange = (200..600u16, vec(any::<u8>(), 0..30)).prop_map(|(code, body)| answer(code, body));
    let found = pod().prop_map(|pod| object(200, &pod));
    prop_oneof![4 => found, 3 => page(), 2 => refusal, 1 => strange, 1 => Just(cut())]
}

/// Answers that fit the event, one after the other, up to where one may be in their way.
fn answers(ty: &str) -> impl Strategy<Value = Vec<Answer>> + use<> {
    let found = pod().prop_map(|pod| object(200, &pod)).boxed();
    let first = if ty == PING { page().boxed() } else { found.clone() };
    let usual = (first, vec(found, 5)).prop_map(|(first, more)| [vec![first], more].concat());
    prop_oneof![
        3 => usual.clone(),
        2 => (usual, 0..6usize, api_answer()).prop_map(|(mut answers, at, other)| {
            answers[at] = other;
            answers
        }),
        1 => vec(api_answer(), 0..4),
    ]
}

type Delivery = (&'static str, Vec<u8>, Vec<Answer>, bool);

fn delivery() -> impl Strategy<Value = Delivery> {
    let ty = select(vec![ADDED, UPDATED, DELETED, PING, TERMINATION]);
    ty.prop_flat_map(|ty| (Just(ty), data(ty), answers(ty), any::<bool>()))
}

fn outcome((ty, data, answers, has_sink): Delivery) -> Kind {
    let changes = if has_sink { &[("k_sink", SINK), ("sink_origin", "http://sink")][..] } else { &[] };
    answers::check(event("/", ty, data).map(Ok), changes, answers).log.expect("a delivery is logged").outcome
}

proptest! {
    #[test]
    fn whatever_is_said_of_a_life_is_answered(delivery in delivery()) {
        let is_ping = delivery.0 == PING;
        let outcome = outcome(delivery);
        prop_assert!(outcome != Kind::Rejected && (!is_ping || matches!(outcome, Kind::Swept | Kind::Retry)));
    }
}

#[test]
fn deliveries_of_a_life_end_in_every_way() {
    let kinds = kinds(delivery(), |delivery| format!("{:?}", outcome(delivery)));
    for kind in ["Done", "Failed", "Running", "Ended", "Swept", "Retry", "Ignored"] {
        assert!(kinds.get(kind).is_some_and(|count| *count >= 5), "{kind}: {kinds:?}");
    }
}
