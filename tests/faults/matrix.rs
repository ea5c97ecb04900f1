//! Every cell of the table, brought about.

use futures::StreamExt;
use local::kubernetes::is_gated;
use provisioner::pod::REPORTED;
use provisioner::reason::Reason;
use tests::cluster::certificates::Authority;
use tests::fault::{Call, Fault};
use tests::{Provisioner, schema};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::table::{Event, Expected, Kind, Step, before, ending, expected, steps, troubles};
use crate::world::World;

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
    let mut cells = Vec::new();
    for trouble in troubles() {
        for step in steps().filter(|step| expected(*step, &trouble.kind) != Expected::NotMet) {
            let (name, kind) = (format!("{step:?}: {} {:?}", trouble.label, trouble.kind), trouble.kind.clone());
            cells.push(async move { tokio::spawn(check(step, kind)).await.map_err(|panic| (name, panic)) });
        }
    }
    let count = cells.len();
    let results: Vec<_> = futures::stream::iter(cells).buffer_unordered(AT_ONCE).collect().await;
    let wrong: Vec<_> = results.into_iter().filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{} of {count} cells:\n{wrong:#?}", wrong.len());
    println!("{count} cells");
}

async fn check(step: Step, kind: Kind) {
    let mut world = World::of(step).await;
    let well = world.provisioner(None, PATIENT);
    let expected = expected(step, &kind);
    // A 404 about a Pod that is there is a lie, and the one fault here that no API server has.
    world.is_lied_to = matches!(step.1, Call::Delete | Call::Terminate)
        && matches!(&kind, Kind::Status(spoken, _) if spoken.code == 404);
    let unwell = afflict(&world, &kind).await;
    let unwell = unwell.as_ref().unwrap_or(&well);
    let first = expect(&world, unwell, expected).await;
    assert!(world.has_sprung(), "the call was never made");
    if matches!(expected, Expected::Failed(_)) {
        // For as long as it is refused, a duplicate gets the same answer.
        afflict(&world, &kind).await;
        assert_eq!(expect(&world, unwell, expected).await, first);
    }
    world.is_lied_to = false;
    let healed = heal(&world, &well).await;
    if expected == Expected::AsUsual {
        assert_eq!(healed, first);
    }
    if step == (Event::Pending, Call::Create) && matches!(expected, Expected::Failed(_)) {
        // A quota and a policy are asked before it is seen that there is a Pod, and that changes nothing for it.
        afflict(&world, &kind).await;
        assert_eq!(expect(&world, &well, Expected::AsUsual).await, healed);
    }
    for provisioner in [&well, unwell] {
        let logs = provisioner.logs().text();
        assert!(!logs.contains("the component failed") && !logs.contains("gave no response"), "{logs}");
    }
}

/// Brings the trouble about; gives the component that is to meet it, where it isn't the one that is well.
async fn afflict(world: &World, kind: &Kind) -> Option<Provisioner> {
    let (fault, elsewhere) = match kind {
        Kind::Wire(fault) => (Some(fault.clone()), None),
        Kind::Ending => (Some(Fault::Replace(ending())), None),
        Kind::Page(spoken) | Kind::Status(spoken, _) => (Some(Fault::Refuse(spoken.clone())), None),
        Kind::Unresolved => (None, Some(NOWHERE.to_owned())),
        Kind::Untrusted => (None, Some(untrusted().await)),
        Kind::NeverConnected => (None, Some(silent().await)),
        Kind::Refused => {
            refuse(world).await;
            (None, None)
        }
    };
    let hangs = matches!(fault, Some(Fault::HoldCall | Fault::HoldAnswer | Fault::Drip | Fault::DripBody));
    if let Some(fault) = fault {
        world.set(world.step.1, fault);
    }
    (hangs || elsewhere.is_some()).then(|| world.provisioner(elsewhere, IMPATIENT))
}

/// Lets nobody listen when the world's call is made.
async fn refuse(world: &World) {
    match before(world.step) {
        Some(call) => world.set(call, Fault::Leave),
        None if world.step.1 == Call::Sink => world.to_sink.leave().await,
        None => world.to_api.leave().await,
    }
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    (listener, url)
}

/// The URL of a server that never says a word: no TLS handshake ends.
async fn silent() -> String {
    let (listener, url) = listen().await;
    std::mem::forget(listener);
    url
}

/// The URL of a server with a certificate of an authority that nobody knows.
async fn untrusted() -> String {
    let (listener, url) = listen().await;
    let acceptor = TlsAcceptor::from(Authority::new().server_config());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Whoever doesn't trust it breaks off the handshake.
            _ = acceptor.accept(stream).await;
        }
    });
    url
}

/// Delivers the event, which ends like this; gives its end, and the id of what was told.
async fn expect(world: &World, provisioner: &Provisioner, expected: Expected) -> (Expected, String) {
    let seen = world.see(&provisioner.deliver(world.event()).await);
    let expected = match expected {
        Expected::AsUsual if world.step == (Event::Pending, Call::Delete) => {
            Expected::Failed(Reason::GatewayNotInjected)
        }
        expected => expected,
    };
    assert_eq!(seen.0, expected, "{}", provisioner.logs().text());
    let (pods, meant) = (world.check(), pods_after(world.step.0, expected));
    assert!(world.is_lied_to || meant.is_none_or(|meant| pods == meant), "{seen:?}, and {pods} Pods");
    seen
}

/// How many Pods there are then, where that is sure.
fn pods_after(event: Event, seen: Expected) -> Option<usize> {
    match event {
        Event::Update | Event::Ping => Some(1),
        _ if matches!(seen, Expected::Retry(_)) => None,
        Event::Pending => Some(usize::from(seen == Expected::AsUsual)),
        // Whoever can't be ended is still there.
        Event::Termination => Some(usize::from(seen != Expected::AsUsual)),
    }
}

/// Delivers the event twice more, now that all is well. The sink is told one thing only, however often, and it stands on
/// the Pod that its client was reported.
async fn heal(world: &World, well: &Provisioner) -> (Expected, String) {
    world.to_api.listen().await;
    world.to_sink.listen().await;
    let healed = expect(world, well, Expected::AsUsual).await;
    assert_eq!(expect(world, well, Expected::AsUsual).await, healed);
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
    for step in steps() {
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
        assert!(pods == 0 || matches!(seen, Expected::Retry(_)), "{seen:?}, and {pods} Pods");
        expect(&world, &provisioner, Expected::AsUsual).await;
    }
}
