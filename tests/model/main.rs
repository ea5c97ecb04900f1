//! The model check: the provisioner, the API server and the broker in every order of steps, within bounds.
//!
//! The provisioner is the code itself ([`code`]); only what is around it is modelled ([`world`], and [`life`] for what
//! comes after a client's release), and every state is visited ([`explore`]). `docs/model.md` says what is modelled, what
//! holds, and what can't hold and why: its rows are explored, and its counterexamples found anew.
//! `MODEL=deep cargo test --workspace --test model` explores the large rows as well.

mod code;
mod explore;
mod life;
mod world;

use explore::{Model, Property, explore};
use life::Life;
use tests::markdown::Page;
use world::{Faults, Setup, Stage, State, World};

const PATH: &str = "docs/model.md";
const DOCUMENT: &str = include_str!("../../docs/model.md");

/// Rows with more states than this take `MODEL=deep`.
const DEEP: usize = 100_000;

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
    let is_settled = state.deliveries.iter().all(|delivery| delivery.stage == Stage::Settled);
    !is_end || (is_settled && (state.seen.done || state.seen.failed))
});
const NOTHING_LEFT: Property<State> =
    ("a failure leaves no Pod", |state, is_end| !is_end || state.seen.done || state.pod.is_none());
const ONE_KIND: Property<State> = ("done or failed, not both", |state, _| !(state.seen.done && state.seen.failed));
const NOT_BESIDE: Property<State> = ("failed is not said beside a client", |state, _| !state.seen.failed_beside_client);
const NOT_OF_REMOVED: Property<State> =
    ("done is not said of a client that is being removed", |state, _| !state.seen.done_of_removed);

const END_TOLD: Property<life::State> = ("a client's end is told", |state, is_end| !is_end || !state.ended.is_empty());
const END_TOLD_ALIKE: Property<life::State> = ("it is told alike each time", |state, _| state.ended.len() <= 1);
const END_TRUE: Property<life::State> = ("it is told of what has ended", |state, _| !state.told_too_early);

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

/// What holds in a world like this: the table of properties in the document.
fn promises(setup: &Setup) -> Vec<Property<State>> {
    let Setup { copies, loses_gates, dead_letters_come_last: is_orderly, faults, .. } = *setup;
    let outlives_nothing = faults.delays + faults.timeouts == 0;
    let is_alone = copies == 1 && faults.refusals <= 1;
    [
        (true, NOT_FORCED),
        (true, TRUE_DONE),
        (true, ANSWERED),
        (!loses_gates, ONE_CLIENT_UNLESS_DELETED),
        (!loses_gates, KEPT),
        (!loses_gates, NO_LEAK),
        (outlives_nothing, NOTHING_LEFT),
        (is_orderly || is_alone, NOT_BESIDE),
        (is_orderly, ONE_KIND),
    ]
    .into_iter()
    .filter_map(|(holds, property)| holds.then_some(property))
    .collect()
}

/// The world of a row.
fn setup(cells: &[String]) -> Setup {
    let (copies, kind) = cells[0].split_once(", ").unwrap_or((&cells[0], ""));
    let [losses, delays, timeouts, flips, refusals, deletions] = numbers(&cells[1..]);
    Setup {
        copies: copies.parse().unwrap(),
        faults: Faults { losses, delays, timeouts, flips, refusals, deletions },
        loses_gates: kind == "without gates",
        dead_letters_come_last: kind == "orderly",
        ..CALM
    }
}

/// How much of each fault there is in a row, whose cell is empty where there is none.
fn numbers<const N: usize>(cells: &[String]) -> [u8; N] {
    let number = |cell: &String| if cell.is_empty() { 0 } else { cell.parse().unwrap() };
    cells.iter().map(number).collect::<Vec<_>>().try_into().expect("a row has a cell for each fault")
}

/// Explores the worlds of each row of a table in the document: there are so many states, and the longest way is so long.
fn check_rows(table: usize, explored: impl Fn(&[String]) -> Vec<(usize, usize)>) {
    let mut tables = Page::read(PATH).tables.into_iter().filter(|(heading, _)| heading == "What holds");
    let (_, rows) = tables.nth(table).expect("there is such a table");
    let is_deep = std::env::var("MODEL").is_ok_and(|depth| depth == "deep");
    for row in rows {
        let [world @ .., states, longest] = &row[..] else { panic!("{row:?}") };
        let states: Vec<usize> = states.split(" / ").map(|states| states.replace(',', "").parse().unwrap()).collect();
        if states[0] <= DEEP || is_deep {
            let (found, depths): (Vec<_>, Vec<_>) = explored(world).into_iter().unzip();
            println!("{world:?}: {found:?} states, ways of up to {depths:?} steps");
            assert_eq!((found, depths.into_iter().max()), (states, longest.parse().ok()), "{row:?}");
        }
    }
}

fn check<M: Model>(mut model: M, properties: &[Property<M::State>]) -> (usize, usize) {
    explore(&mut model, properties).unwrap_or_else(|(property, way)| panic!("not so: {property}\n{way}"))
}

/// The property does not hold, and the shortest way to where it doesn't is in the document.
#[track_caller]
fn check_counterexample<M: Model>(mut model: M, property: Property<M::State>) {
    let (_, way) = explore(&mut model, &[property]).expect_err("the document says that this can't hold");
    assert!(DOCUMENT.contains(&format!("```\n{way}\n```\n")), "{PATH} has another way than\n{way}");
}

#[test]
fn the_promises_hold_whatever_is_lost_late_refused_or_deleted() {
    check_rows(1, |cells| {
        let setup = setup(cells);
        // Whether or not the webhook takes Pods at the beginning.
        [true, false].map(|routes| check(World::new(Setup { routes, ..setup }), &promises(&setup))).to_vec()
    });
}

/// Each of what can't hold, with the least that it takes. `docs/model.md` says why, with the shortest way there.
#[test]
fn every_counterexample_is_found_anew() {
    let two = |faults| Setup { faults, ..CALM };
    let one = |faults| Setup { copies: 1, ..two(faults) };
    let losses = |losses| Faults { losses, ..NOTHING };
    for (setup, property) in [
        // A webhook that flips between duplicates, a refusal that heals, and a duplicate after the dead letter.
        (Setup { routes: false, ..two(Faults { flips: 1, ..NOTHING }) }, ONE_KIND),
        (two(Faults { refusals: 1, ..NOTHING }), ONE_KIND),
        (Setup { attempts: (1, 12), ..two(losses(1)) }, ONE_KIND),
        // A provisioner that loses its role.
        (one(Faults { refusals: 2, ..losses(1) }), NOT_BESIDE),
        // A create that is delayed.
        (Setup { attempts: (1, 12), ..one(Faults { delays: 1, ..NOTHING }) }, NOTHING_LEFT),
        // A client that a person deletes.
        (two(Faults { deletions: 1, ..NOTHING }), ONE_CLIENT),
        // No sink for dead letters.
        (Setup { attempts: (1, 2), has_sink: false, ..one(losses(1)) }, ANSWERED),
        // Gates that don't hold.
        (Setup { loses_gates: true, ..one(NOTHING) }, NOT_OF_REMOVED),
        (Setup { loses_gates: true, routes: false, ..one(NOTHING) }, NO_LEAK),
    ] {
        check_counterexample(World::new(Setup { keeps_order: true, ..setup }), property);
    }
}

#[test]
fn a_clients_end_is_told_alike_whatever_is_lost_late_or_doubled() {
    check_rows(3, |cells| {
        let [losses, lost_hints, doubled_hints, deletions, sweeps] = numbers(cells);
        let faults = life::Faults { losses, lost_hints, doubled_hints, deletions, sweeps };
        vec![check(Life::new(faults), &[END_TOLD, END_TOLD_ALIKE, END_TRUE])]
    });
}

#[test]
fn a_deletion_whose_hint_is_lost_is_told_nobody_but_what_is_told_is_true() {
    let life = || Life::new(life::Faults { lost_hints: 1, deletions: 1, ..life::Faults::default() });
    check_counterexample(life(), END_TOLD);
    check(life(), &[END_TOLD_ALIKE, END_TRUE]);
}
