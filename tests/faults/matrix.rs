//! Every cell of the table, brought about.

use futures::StreamExt;
use tests::Provisioner;
use tests::fault::address::{NOWHERE, Useless};
use tests::fault::{Call, Fault};

use crate::table::{BEGINNING, Event, Expected, Kind, LIFE, Step, Trouble, before, expected, troubles};
use crate::world::{Seen, World};

/// How many cells are under way at once.
const AT_ONCE: usize = 8;

/// How long a call may take that nothing is to happen to, on a machine that has other things to do.
const PATIENT: &str = "20s";
/// And one that is going to hang.
const IMPATIENT: &str = "2s";

/// The largest part of 100 MB that may be taken: the limit of 4 MiB, and what fits into buffers on the way.
const LARGEST_FLOOD: usize = 16 << 20;

type Checked = Result<(), String>;

#[tokio::test(flavor = "multi_thread")]
async fn every_cell_ends_as_the_table_says_and_so_does_its_redelivery() {
    let mut cells: Vec<(Step, Trouble)> = Vec::new();
    for trouble in troubles() {
        let steps = BEGINNING.into_iter().chain(LIFE);
        let met = steps.filter(|step| expected(*step, &trouble.kind) != Expected::NotMet);
        cells.extend(met.map(|step| (step, trouble.clone())));
    }
    let count = cells.len();
    let running = cells.into_iter().map(|(step, trouble)| tokio::spawn(run(step, trouble)));
    let results: Vec<_> = futures::stream::iter(running).buffer_unordered(AT_ONCE).collect().await;
    let wrong: Vec<_> = results.into_iter().filter_map(|result| result.expect("no cell panics").err()).collect();
    assert!(wrong.is_empty(), "{} of {count} cells:\n{}", wrong.len(), wrong.join("\n"));
    println!("{count} cells");
}

async fn run(step: Step, trouble: Trouble) -> Checked {
    let name = format!("{step:?}: {} {:?}", trouble.label, trouble.kind);
    check(step, &trouble.kind).await.map_err(|problem| format!("{name}: {problem}"))
}

async fn check(step: Step, kind: &Kind) -> Checked {
    let mut world = World::of(step).await;
    let well = world.provisioner(&world.to_api.url(), &world.to_sink.url(), PATIENT);
    if step == (Event::Pending, Call::Get) {
        // An earlier delivery made the Pod and never heard of it.
        world.trap.set(Call::Create, Fault::LoseAnswer);
        expect(&world, &well, Expected::Retry(false)).await?;
    }
    let expected = expected(step, kind);
    // A 404 about a Pod that is there is a lie, and the one fault here that no API server has.
    world.is_lied_to = matches!(step.1, Call::Delete | Call::Terminate)
        && matches!(kind, Kind::Status(spoken, _) if spoken.code == 404);
    let (unwell, _useless) = afflict(&world, kind).await;
    let unwell = unwell.as_ref().unwrap_or(&well);
    let first = expect(&world, unwell, expected).await?;
    if !world.trap.has_sprung() {
        return Err("the call was never made".into());
    }
    if matches!(expected, Expected::Failed(_)) {
        // For as long as it is refused, a duplicate gets the same answer.
        afflict(&world, kind).await;
        same(&first, &expect(&world, unwell, expected).await?)?;
    }
    world.is_lied_to = false;
    let healed = heal(&world, &well, &first, expected).await?;
    if step == (Event::Pending, Call::Create) && matches!(expected, Expected::Failed(_)) {
        // A quota and a policy are asked before it is seen that there is a Pod, and that changes nothing for it.
        afflict(&world, kind).await;
        same(&healed, &expect(&world, &well, Expected::AsUsual).await?)?;
    }
    unharmed(&world, [&well, unwell])
}

/// Brings the trouble about; gives the component that is to meet it, where it isn't the one that is well.
async fn afflict(world: &World, kind: &Kind) -> (Option<Provisioner>, Option<Useless>) {
    let useless = match kind {
        Kind::Untrusted => Some(Useless::untrusted().await),
        Kind::NeverConnected => Some(Useless::silent().await),
        _ => None,
    };
    let url = match kind {
        Kind::Unresolved => Some(NOWHERE.to_owned()),
        _ => useless.as_ref().map(Useless::url),
    };
    if let Some(url) = url {
        return (Some(at(world, &url)), useless);
    }
    match fault(kind) {
        None => refuse(world).await,
        Some(fault) => {
            let hangs = matches!(fault, Fault::HoldCall | Fault::HoldAnswer | Fault::Drip | Fault::DripBody);
            world.trap.set(world.step.1, fault);
            let impatient = || world.provisioner(&world.to_api.url(), &world.to_sink.url(), IMPATIENT);
            return (hangs.then(impatient), None);
        }
    }
    (None, None)
}

/// The component, for which the server of the world's call is at `url`.
fn at(world: &World, url: &str) -> Provisioner {
    match world.step.1 {
        Call::Sink => world.provisioner(&world.to_api.url(), url, IMPATIENT),
        _ => world.provisioner(url, &world.to_sink.url(), IMPATIENT),
    }
}

/// Lets nobody listen when the world's call is made.
async fn refuse(world: &World) {
    match before(world.step) {
        Some(call) => world.trap.set(call, Fault::Leave),
        None if world.step.1 == Call::Sink => world.to_sink.leave().await,
        None => world.to_api.leave().await,
    }
}

fn fault(kind: &Kind) -> Option<Fault> {
    match kind {
        Kind::Wire(fault) => Some(fault.clone()),
        Kind::Odd(spoken) | Kind::Ending(spoken) => Some(Fault::Replace(spoken.clone())),
        Kind::Redirect(spoken) | Kind::Page(spoken) | Kind::Status(spoken, _) => Some(Fault::Refuse(spoken.clone())),
        Kind::Refused | Kind::Unresolved | Kind::Untrusted | Kind::NeverConnected => None,
    }
}

/// Delivers the event and compares its end.
async fn expect(world: &World, provisioner: &Provisioner, expected: Expected) -> Result<Seen, String> {
    let seen = world.see(&provisioner.deliver(world.event()).await)?;
    let is_unrouted = world.step == (Event::Pending, Call::Delete);
    let usual = if is_unrouted { Expected::Failed("GatewayNotInjected") } else { Expected::AsUsual };
    let expected = if expected == Expected::AsUsual { usual } else { expected };
    let is_expected = match (&seen, expected) {
        (Seen::Retry(busy), Expected::Retry(meant)) => *busy == meant,
        (Seen::Failed(reason, _), Expected::Failed(meant)) => reason == meant,
        (Seen::Done(_), Expected::AsUsual) | (Seen::Ignored, Expected::Ignored) => true,
        _ => false,
    };
    let pods = world.check()?;
    match &seen {
        _ if !is_expected => Err(format!("{seen:?} in place of {expected:?}: {}", provisioner.logs().text())),
        _ if world.is_lied_to || pods_after(world.step.0, &seen).is_none_or(|meant| pods == meant) => Ok(seen),
        _ => Err(format!("{seen:?}, and {pods} Pods")),
    }
}

/// How many Pods there are then, where that is sure.
fn pods_after(event: Event, seen: &Seen) -> Option<usize> {
    match (event, seen) {
        (Event::Update | Event::Ping, _) => Some(1),
        (_, Seen::Retry(_)) => None,
        (Event::Pending, seen) => Some(usize::from(matches!(seen, Seen::Done(_)))),
        // Whoever can't be ended is still there.
        (Event::Termination, seen) => Some(usize::from(!matches!(seen, Seen::Done(_)))),
    }
}

/// Delivers the event twice more, now that all is well.
async fn heal(world: &World, well: &Provisioner, first: &Seen, expected: Expected) -> Result<Seen, String> {
    world.to_api.listen().await;
    world.to_sink.listen().await;
    let healed = expect(world, well, Expected::AsUsual).await?;
    if expected == Expected::AsUsual {
        same(first, &healed)?;
    }
    same(&healed, &expect(world, well, Expected::AsUsual).await?)?;
    world.check_sink()?;
    world.check_note()?;
    Ok(healed)
}

fn same(first: &Seen, second: &Seen) -> Checked {
    if first == second { Ok(()) } else { Err(format!("first {first:?}, then {second:?}")) }
}

/// No instance trapped, and none read more than it had room for.
fn unharmed(world: &World, provisioners: [&Provisioner; 2]) -> Checked {
    for provisioner in provisioners {
        let logs = provisioner.logs().text();
        if logs.contains("the component failed") || logs.contains("gave no response") {
            return Err(logs);
        }
    }
    let flood = world.to_api.largest_flood().max(world.to_sink.largest_flood());
    if flood > LARGEST_FLOOD { Err(format!("{flood} bytes of an answer were taken")) } else { Ok(()) }
}

#[tokio::test]
async fn an_answer_that_comes_twice_is_never_taken_for_the_answer_to_the_next_call() {
    // Were the second 201 taken for the removal's, `failed` would be answered while the Pod is still there.
    for _ in 0..50 {
        let world = World::of((Event::Pending, Call::Delete)).await;
        let provisioner = world.provisioner(&world.to_api.url(), &world.to_sink.url(), PATIENT);
        world.trap.set(Call::Create, Fault::Twice);
        let seen = world.see(&provisioner.deliver(world.event()).await).unwrap();
        let pods = world.check().unwrap();
        assert!(pods == 0 || matches!(seen, Seen::Retry(_)), "{seen:?}, and {pods} Pods");
        expect(&world, &provisioner, Expected::AsUsual).await.unwrap();
    }
}
