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
    client_ended, client_running, deleting, event, merged, object, released, routed, stored, wanted,
};
use serde_json::{Value, json};

use crate::conversations::api_answer;
use crate::generators::{check_kinds, disturbed, json};

/// The client's Pod at any point of its life, as it is or with something else in the place of a part of it.
pub fn pod() -> impl Strategy<Value = Value> + Clone {
    let gated = routed(wanted(&[]));
    let (runs, ended) = (client_running(gated.clone()), client_ended(gated.clone(), 1));
    let told = json!({"metadata": {"annotations": {"podgateway.io/reported": "running"}}});
    let lives = vec![
        released(gated.clone()),
        deleting(runs.clone()),
        deleting(gated.clone()),
        merged(runs.clone(), &told),
        stored(wanted(&[])),
        gated,
        runs,
        ended,
    ];
    let places: Vec<fn(Value) -> Value> = vec![
        |value| json!({ "metadata": value }),
        |value| json!({"metadata": {"deletionTimestamp": value}}),
        |value| json!({ "spec": value }),
        |value| json!({ "status": value }),
        |value| json!({"status": {"conditions": value}}),
    ];
    let change = option::weighted(0.3, (select(places), json()));
    (select(lives), change).prop_map(|(pod, change)| match change {
        Some((place, value)) => merged(pod, &place(value)),
        None => pod,
    })
}

fn data(ty: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let termination = Just(json!({"pending_event": {"source": "/test", "id": "1"}}));
    let usual = if ty == TERMINATION { termination.boxed() } else { pod().boxed() };
    let value = prop_oneof![6 => usual, 1 => json()];
    prop_oneof![9 => value.prop_map(|value| value.to_string().into_bytes()), 1 => vec(any::<u8>(), 0..30)]
}

pub fn page() -> impl Strategy<Value = Value> + Clone {
    let page = (vec(pod(), 0..3), select(vec!["", "next"]));
    page.prop_map(|(pods, next)| json!({"metadata": {"continue": next}, "items": pods}))
}

/// Answers that fit the event, and others.
fn answers(ty: &str) -> impl Strategy<Value = Vec<Answer>> + use<> {
    let first = if ty == PING { page().boxed() } else { pod().boxed() };
    let usual = (first, vec(pod(), 5)).prop_map(|(first, more)| [vec![first], more].concat());
    disturbed(usual.prop_map(|said| said.iter().map(|said| object(200, said)).collect()), api_answer())
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
    check_kinds(delivery().prop_map(outcome), &["Done", "Failed", "Running", "Ended", "Swept", "Retry", "Ignored"]);
}
