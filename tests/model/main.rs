//! The model check: the provisioner, the API server and the broker in every order of steps, within bounds.
//!
//! The provisioner is the code itself ([`code`]); only what is around it is modelled ([`world`]), and every state is
//! visited ([`explore`]). `docs/model.md` says what is modelled, what holds, and what can't hold and why. Each of its
//! counterexamples is found anew here. `MODEL=deep cargo test --workspace --test model` goes further.

mod code;
mod explore;
mod life;
mod world;

use explore::{Explored, Property, explore};
use world::{Faults, Setup, Stage, State, Step, World};

const DOCUMENT: &str = include_str!("../../docs/model.md");

const ONE_CLIENT: Property<State> = ("an event has one client", |state, _| state.seen.clients() <= 1);
const ONE_CLIENT_UNLESS_DELETED: Property<State> =
    ("an event has one client, unless a person deleted it", |state, _| {
        state.seen.deleted_by_person || state.seen.clients() <= 1
    });
const KEPT: Property<State> = ("a client is not taken away", |state, _| !state.seen.taken_away);
const NOT_FORCED: Property<State> = ("what may run is given its time to end", |state, _| !state.seen.forced);
const TRUE_DONE: Property<State> = ("done is said of a client", |state, _| !state.seen.done_too_early);
const NO_LEAK: Property<State> =
    ("no Pod runs outside its gateway", |state, _| state.pod.is_none_or(|pod| pod.gated || pod.routed));
const ANSWERED: Property<State> = ("every event ends in an answer", |state, is_end| {
    let is_settled = state.copies.iter().all(|copy| copy.stage == Stage::Settled);
    !is_end || (is_settled && (state.seen.done || state.seen.failed))
});
const NOTHING_LEFT: Property<State> =
    ("a failure leaves no Pod", |state, is_end| !is_end || state.seen.done || state.pod.is_none());
const ONE_KIND: Property<State> = ("done or failed, not both", |state, _| !(state.seen.done && state.seen.failed));
const NOT_BESIDE: Property<State> = ("failed is not said beside a client", |state, _| !state.seen.failed_beside_client);
const NOT_OF_REMOVED: Property<State> =
    ("done is not said of a client that is being removed", |state, _| !state.seen.done_of_removed);
const NEVER_DONE: Property<State> = ("never done", |state, _| !state.seen.done);
const NEVER_FAILED: Property<State> = ("never failed", |state, _| !state.seen.failed);

/// What holds whatever goes wrong.
const PROMISES: [Property<State>; 6] = [ONE_CLIENT_UNLESS_DELETED, KEPT, NOT_FORCED, TRUE_DONE, NO_LEAK, ANSWERED];

const NOTHING: Faults = Faults { losses: 0, delays: 0, timeouts: 0, flips: 0, refusals: 0, deletions: 0 };

/// Two copies of an event, whose webhook takes its Pod, and nothing that goes wrong.
const CALM: Setup = Setup {
    copies: 2,
    attempts: (2, 12),
    faults: NOTHING,
    routes: true,
    loses_gates: false,
    has_sink: true,
    dead_letters_come_last: false,
    keeps_order: false,
};

fn with(faults: Faults) -> Setup {
    Setup { faults, ..CALM }
}

fn is_deep() -> bool {
    std::env::var("MODEL").is_ok_and(|depth| depth == "deep")
}

fn run(setup: Setup, properties: &[Property<State>]) -> Explored<Step> {
    let mut world = World::new(setup);
    let found = explore(&mut world, properties);
    println!(
        "{} copies, {:?}, routes: {}: {} states, {} ends, depth {}, {} conversations with the code",
        setup.copies,
        setup.faults,
        setup.routes,
        found.states,
        found.ends,
        found.depth,
        world.code.conversations()
    );
    found
}

/// The promises hold, and what else is asked for, whether or not the webhook takes Pods at the beginning.
#[track_caller]
fn check_holds(setup: Setup, more: &[Property<State>]) {
    check(setup, &[&PROMISES, more].concat());
}

/// The properties hold, whether or not the webhook takes Pods at the beginning, and the document says how much was tried.
#[track_caller]
fn check(setup: Setup, properties: &[Property<State>]) {
    let found = [true, false].map(|routes| run(Setup { routes, ..setup }, properties));
    found.iter().for_each(check_all);
    let Faults { losses, delays, timeouts, flips, refusals, deletions } = setup.faults;
    let kind = match setup {
        Setup { dead_letters_come_last: true, .. } => ", orderly",
        Setup { loses_gates: true, .. } => ", without gates",
        _ => "",
    };
    let states = found.each_ref().map(|found| grouped(found.states)).join(" / ");
    let first = format!(" {}{kind} |", setup.copies);
    check_row(
        &first,
        &[losses, delays, timeouts, flips, refusals, deletions],
        &states,
        found[0].depth.max(found[1].depth),
    );
}

/// The document has this row. The cell of a fault that doesn't occur is empty.
#[track_caller]
fn check_row(first: &str, faults: &[u8], states: &str, depth: usize) {
    let faults: String = faults.iter().map(|&n| if n == 0 { " |".to_owned() } else { format!(" {n} |") }).collect();
    let row = format!("|{first}{faults} {states} | {depth} |\n");
    assert!(DOCUMENT.contains(&row), "docs/model.md lacks this row:\n{row}");
}

/// A number with a comma between its thousands.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

#[track_caller]
fn check_all<T: std::fmt::Debug>(found: &Explored<T>) {
    let broken: Vec<_> = found.broken.iter().map(|(name, way)| format!("{name}:\n{}", text(way))).collect();
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

/// The property does not hold, and the shortest way to where it doesn't is in the document.
#[track_caller]
fn check_counterexample(setup: Setup, property: Property<State>) {
    let found = run(Setup { keeps_order: true, ..setup }, &[property]);
    check_documented(&found, property.0);
}

#[track_caller]
fn check_documented<T: std::fmt::Debug>(found: &Explored<T>, property: &str) {
    let way = text(found.way_to(property).expect("the document says that this can't hold"));
    assert!(DOCUMENT.contains(&format!("```\n{way}```\n")), "the document has another way than\n{way}");
}

fn text<T: std::fmt::Debug>(way: &[T]) -> String {
    way.iter().map(|step| format!("{step:?}\n")).collect()
}

#[test]
fn both_answers_can_be_had() {
    assert!(run(CALM, &[NEVER_DONE]).way_to(NEVER_DONE.0).is_some());
    assert!(run(Setup { routes: false, ..CALM }, &[NEVER_FAILED]).way_to(NEVER_FAILED.0).is_some());
}

#[test]
fn the_promises_hold_whatever_is_lost_late_or_refused() {
    check_holds(with(Faults { losses: 1, delays: 1, flips: 1, refusals: 1, ..NOTHING }), &[]);
}

#[test]
fn the_promises_hold_when_deliveries_outlive_the_brokers_patience() {
    check_holds(with(Faults { losses: 1, timeouts: 1, flips: 1, ..NOTHING }), &[]);
    check_holds(with(Faults { timeouts: 1, refusals: 1, deletions: 1, ..NOTHING }), &[]);
}

#[test]
fn the_promises_hold_for_three_copies_and_when_a_person_deletes_the_pod() {
    check_holds(Setup { copies: 3, ..with(Faults { losses: 1, flips: 1, ..NOTHING }) }, &[]);
    check_holds(with(Faults { losses: 2, flips: 1, deletions: 1, ..NOTHING }), &[]);
}

#[test]
fn the_promises_hold_far_out() {
    if is_deep() {
        let faults = Faults { losses: 1, delays: 1, timeouts: 1, flips: 1, refusals: 1, deletions: 0 };
        check_holds(with(faults), &[]);
        check_holds(with(Faults { losses: 3, delays: 1, flips: 2, refusals: 1, ..NOTHING }), &[]);
        check_holds(with(Faults { losses: 1, timeouts: 1, refusals: 1, deletions: 1, flips: 1, ..NOTHING }), &[]);
    }
}

#[test]
fn a_failure_leaves_no_pod_where_no_call_outlives_its_delivery() {
    check_holds(with(Faults { losses: 2, flips: 1, refusals: 1, ..NOTHING }), &[NOTHING_LEFT]);
}

#[test]
fn a_refused_redelivery_does_not_fail_beside_the_client() {
    let one_copy = Setup { copies: 1, ..with(Faults { losses: 3, refusals: 1, ..NOTHING }) };
    check_holds(one_copy, &[NOT_BESIDE, NOTHING_LEFT]);
}

#[test]
fn what_runs_without_a_gate_is_given_its_time_and_failed_waits_for_its_end() {
    let one_copy = Setup { copies: 1, loses_gates: true, ..with(Faults { losses: 2, flips: 1, ..NOTHING }) };
    check(one_copy, &[NOT_FORCED, NOT_BESIDE, TRUE_DONE, ANSWERED, NOTHING_LEFT]);
}

#[test]
fn done_and_failed_exclude_each_other_in_a_cluster_that_keeps_its_mind() {
    let orderly = |copies, losses, timeouts| Setup {
        copies,
        dead_letters_come_last: true,
        ..with(Faults { losses, timeouts, ..NOTHING })
    };
    for setup in [orderly(2, 3, 1), orderly(2, 1, 2), orderly(3, 2, 0)] {
        check_holds(setup, &[ONE_KIND, NOT_BESIDE]);
    }
}

/// Each of what can't hold, with the least that it takes. `docs/model.md` says why, with the shortest way there.
#[test]
fn every_counterexample_is_found_anew() {
    let one = |faults| Setup { copies: 1, ..with(faults) };
    let losses = |losses| Faults { losses, ..NOTHING };
    // A webhook that flips between duplicates, a refusal that heals, and a duplicate after the dead letter.
    check_counterexample(Setup { routes: false, ..with(Faults { flips: 1, ..NOTHING }) }, ONE_KIND);
    check_counterexample(with(Faults { refusals: 1, ..NOTHING }), ONE_KIND);
    check_counterexample(Setup { attempts: (1, 12), ..with(losses(1)) }, ONE_KIND);
    // A provisioner that loses its role.
    check_counterexample(one(Faults { refusals: 2, ..losses(1) }), NOT_BESIDE);
    // A create that is delayed.
    check_counterexample(Setup { attempts: (1, 12), ..one(Faults { delays: 1, ..NOTHING }) }, NOTHING_LEFT);
    // A client that a person deletes.
    check_counterexample(with(Faults { deletions: 1, ..NOTHING }), ONE_CLIENT);
    // No sink for dead letters.
    check_counterexample(Setup { attempts: (1, 2), has_sink: false, ..one(losses(1)) }, ANSWERED);
    // Gates that don't hold.
    check_counterexample(Setup { loses_gates: true, ..one(NOTHING) }, NOT_OF_REMOVED);
    check_counterexample(Setup { loses_gates: true, routes: false, ..one(NOTHING) }, NO_LEAK);
}

// A client's life after its release.

const END_TOLD: Property<life::State> = ("a client's end is told", |state, is_end| !is_end || !state.ended.is_empty());
const END_TOLD_ALIKE: Property<life::State> = ("it is told alike each time", |state, _| state.ended.len() <= 1);
const END_TRUE: Property<life::State> = ("it is told of what has ended", |state, _| !state.told_too_early);
const END_NOT_TOLD: Property<life::State> = ("no end is told", |state, _| state.ended.is_empty());

/// What holds whatever is lost, late or doubled.
const LIFE: [Property<life::State>; 3] = [END_TOLD, END_TOLD_ALIKE, END_TRUE];

const QUIET: life::Faults = life::Faults { losses: 0, lost_hints: 0, doubled_hints: 0, deletions: 0, sweeps: 0 };

fn live(faults: life::Faults, properties: &[Property<life::State>]) -> Explored<life::Step> {
    let found = explore(&mut life::Life::new(faults), properties);
    println!("{faults:?}: {} states, {} ends, depth {}", found.states, found.ends, found.depth);
    found
}

#[track_caller]
fn check_life(faults: life::Faults) {
    let found = live(faults, &LIFE);
    check_all(&found);
    let life::Faults { losses, lost_hints, doubled_hints, deletions, .. } = faults;
    check_row("", &[losses, lost_hints, doubled_hints, deletions], &grouped(found.states), found.depth);
}

#[test]
fn an_end_can_be_told() {
    assert!(live(QUIET, &[END_NOT_TOLD]).way_to(END_NOT_TOLD.0).is_some());
}

#[test]
fn a_clients_end_is_told_alike_whatever_is_lost_late_or_doubled() {
    check_life(life::Faults { losses: 1, lost_hints: 1, ..QUIET });
    check_life(life::Faults { lost_hints: 4, ..QUIET });
    check_life(life::Faults { doubled_hints: 1, ..QUIET });
    check_life(life::Faults { deletions: 1, ..QUIET });
    if is_deep() {
        for faults in [
            life::Faults { losses: 1, lost_hints: 1, doubled_hints: 1, ..QUIET },
            life::Faults { lost_hints: 1, sweeps: 1, ..QUIET },
            life::Faults { losses: 1, deletions: 1, ..QUIET },
            life::Faults { doubled_hints: 1, deletions: 1, ..QUIET },
        ] {
            check_all(&live(faults, &LIFE));
        }
    }
}

#[test]
fn counterexample_a_deletion_whose_hint_is_lost_is_told_nobody() {
    let faults = life::Faults { lost_hints: 1, deletions: 1, ..QUIET };
    let found = live(faults, &LIFE);
    assert_eq!(found.broken.len(), 1, "but what is told is true");
    check_documented(&found, END_TOLD.0);
}
