//! Every cell of the table, brought about.

use futures::StreamExt;
use provisioner::pod::REPORTED;
use tests::cluster::certificates::Authority;
use tests::fault::{Call, Fault};
use tests::pods::is_gated;
use tests::{Provisioner, schema};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::table::{Cell, Event, Kind, before, cells, steps};
use crate::world::{AS_USUAL, World};

/// How many cells are under way at once.
const AT_ONCE: usize = 8;

/// How long a call may take that nothing is to happen to, on a machine that has other things to do.
const PATIENT: &str = "20s";
/// And one that is going to hang.
const IMPATIENT: &str = "2s";

/// A name that RFC 6761 keeps from ever being resolved.
const NOWHERE: &str = "http://provisioner-test.invalid";

#[tokio::test(flavor = "multi_thread")]
async fn every_cell_ends_as_the_table_says_and_so_does_its_redelivery() {
    let check = async |cell: Cell| tokio::spawn(check(cell.clone())).await.map_err(|panic| (cell, panic));
    let results: Vec<_> =
        futures::stream::iter(cells().into_iter().map(check)).buffer_unordered(AT_ONCE).collect().await;
    println!("{} cells", results.len());
    let wrong: Vec<_> = results.into_iter().filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

async fn check(Cell { step, kind, end, .. }: Cell) {
    let mut world = World::of(step).await;
    let well = world.provisioner(None, PATIENT);
    // A 404 about a Pod that is there is a lie, and the one fault here that no API server has.
    world.is_lied_to = matches!(step.1, Call::Delete | Call::Terminate)
        && matches!(&kind, Kind::Wire(Fault::Refuse(spoken)) if spoken.code == 404);
    let unwell = afflict(&world, &kind).await;
    let unwell = unwell.as_ref().unwrap_or(&well);
    let first = expect(&world, unwell, &end).await;
    assert!(world.has_sprung(), "the call was never made");
    if end.starts_with("failed") {
        // For as long as it is refused, a duplicate gets the same answer.
        afflict(&world, &kind).await;
        assert_eq!(expect(&world, unwell, &end).await, first);
    }
    world.is_lied_to = false;
    let healed = heal(&world, &well).await;
    if end == AS_USUAL {
        assert_eq!(healed, first);
    }
    if step == (Event::Pending, Call::Create) && end.starts_with("failed") {
        // A quota and a policy are asked before it is seen that there is a Pod, and that changes nothing for it.
        afflict(&world, &kind).await;
        assert_eq!(expect(&world, &well, AS_USUAL).await, healed);
    }
    for provisioner in [&well, unwell] {
        let logs = provisioner.logs().text();
        assert!(!logs.contains("the component failed") && !logs.contains("gave no response"), "{logs}");
    }
}

/// Brings the trouble about; gives the component that is to meet it, where it isn't the one that is well.
async fn afflict(world: &World, kind: &Kind) -> Option<Provisioner> {
    let elsewhere = match kind {
        Kind::Unresolved => NOWHERE.to_owned(),
        Kind::Untrusted => server(Some(Authority::new().server_config().into())).await,
        Kind::NeverConnected => server(None).await,
        Kind::Refused => {
            // Nobody listens any more when the call is made.
            match before(world.step) {
                Some(call) => world.set(call, Fault::Leave),
                None if world.step.1 == Call::Sink => world.to_sink.leave().await,
                None => world.to_api.leave().await,
            }
            return None;
        }
        Kind::Wire(fault) => {
            world.set(world.step.1, fault.clone());
            let hangs = matches!(fault, Fault::HoldCall | Fault::HoldAnswer | Fault::Drip | Fault::DripBody);
            return hangs.then(|| world.provisioner(None, IMPATIENT));
        }
    };
    Some(world.provisioner(Some(elsewhere), IMPATIENT))
}

/// The URL of a server with a certificate of an authority that nobody knows; or of one that never says a word, so that no
/// TLS handshake ends.
async fn server(acceptor: Option<TlsAcceptor>) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let Some(acceptor) = acceptor else { return std::mem::forget(listener) };
        while let Ok((stream, _)) = listener.accept().await {
            // Whoever doesn't trust it breaks off the handshake.
            _ = acceptor.accept(stream).await;
        }
    });
    url
}

/// Delivers the event, which ends like this; gives its end, and the id of what was told.
async fn expect(world: &World, provisioner: &Provisioner, end: &str) -> (String, String) {
    let seen = world.see(&provisioner.deliver(world.event()).await);
    let is_removed = world.step == (Event::Pending, Call::Delete) && end == AS_USUAL;
    let end = if is_removed { "failed, `GatewayNotInjected`" } else { end };
    assert_eq!(seen.0, end, "{}", provisioner.logs().text());
    let (pods, meant) = (world.check(), pods_after(world.step.0, end));
    assert!(world.is_lied_to || meant.is_none_or(|meant| pods == meant), "{seen:?}, and {pods} Pods");
    seen
}

/// How many Pods there are then, where that is sure.
fn pods_after(event: Event, end: &str) -> Option<usize> {
    match event {
        Event::Update | Event::Ping => Some(1),
        _ if ["503", "429"].contains(&end) => None,
        Event::Pending => Some(usize::from(end == AS_USUAL)),
        // Whoever can't be ended is still there.
        Event::Termination => Some(usize::from(end != AS_USUAL)),
    }
}

/// Delivers the event twice more, now that all is well. The sink is told one thing only, however often, and it stands on
/// the Pod that its client was reported.
async fn heal(world: &World, well: &Provisioner) -> (String, String) {
    world.to_api.listen().await;
    world.to_sink.listen().await;
    let healed = expect(world, well, AS_USUAL).await;
    assert_eq!(expect(world, well, AS_USUAL).await, healed);
    let mut told: Vec<_> = world.taken().iter().map(|event| event.attribute("id").to_owned()).collect();
    told.dedup();
    assert!(told.len() <= 1, "the sink was told different things: {told:?}");
    schema::assert_none_noted();
    let noted = &world.client()["metadata"]["annotations"][REPORTED];
    assert_eq!(noted == "running", matches!(world.step.0, Event::Update | Event::Ping), "{noted} was noted on the Pod");
    healed
}

/// What is left can't run, unless it was released to a gateway; and a redelivery ends the event.
#[tokio::test(flavor = "multi_thread")]
async fn an_instance_may_end_at_any_call_and_the_redelivery_ends_as_usual() {
    for step in steps().concat() {
        for fault in [Fault::HoldCall, Fault::HoldAnswer] {
            println!("{step:?} {fault:?}");
            let world = World::of(step).await;
            let well = world.provisioner(None, PATIENT);
            let may_be_released = step.0 != Event::Pending
                || step.1 == Call::Sink
                || (step.1, &fault) == (Call::Release, &Fault::HoldAnswer);
            world.set(step.1, fault);
            tokio::select! {
                reply = well.deliver(world.event()) => panic!("there was an answer: {reply:?}"),
                () = world.to_api.holds() => (),
                () = world.to_sink.holds() => (),
            }
            world.check();
            let pods = world.api.pods("default");
            assert!(may_be_released || pods.iter().all(is_gated), "left behind: {pods:?}");
            heal(&world, &well).await;
        }
    }
}

#[tokio::test]
async fn an_answer_that_comes_twice_is_never_taken_for_the_answer_to_the_next_call() {
    // Were the second 201 taken for the removal's, `failed` would be answered while the Pod is still there.
    for _ in 0..50 {
        let world = World::of((Event::Pending, Call::Delete)).await;
        let provisioner = world.provisioner(None, PATIENT);
        world.set(Call::Create, Fault::Twice);
        let (seen, _) = world.see(&provisioner.deliver(world.event()).await);
        let pods = world.check();
        assert!(pods == 0 || seen == "503", "{seen}, and {pods} Pods");
        expect(&world, &provisioner, AS_USUAL).await;
    }
}
