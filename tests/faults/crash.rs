//! The crash matrix: the instance ended while each of its calls is on its way there or back, on every way that an event
//! can take; then a redelivery, a duplicate beside it, or a redelivery after the gateways have changed.

use std::collections::BTreeSet;

use futures::StreamExt;
use local::kubernetes::Gateway;
use tests::Provisioner;
use tests::events::{Delivery, pending};
use tests::fault::{Call, Fault};
use tests::pods::{is_gated, is_routed};

use crate::table::Event;
use crate::world::{Seen, World};

const AT_ONCE: usize = 8;

/// Longer than any cell takes: nothing here ends because time is up.
const TIMEOUT: &str = "60s";

/// A way that an event can take: the calls that are made for it, in order.
#[derive(Clone, Copy, Debug)]
struct Way {
    gateway: &'static str,
    /// Whether an earlier delivery has left a gated Pod.
    is_made: bool,
    is_dead_letter: bool,
    calls: &'static [Call],
}

/// What follows the crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Redelivery,
    /// A duplicate is delivered while the instance still stands where it will be ended.
    Duplicate,
    /// The gateway has gone, or the missing one has come.
    GatewayChange,
}

/// What the event comes to: `done`, or `failed` with a reason.
type End = Result<(), &'static str>;

fn ways() -> Vec<Way> {
    use Call::{Create, Delete, Get, Release, Sink};
    let way = |gateway, is_made, calls| Way { gateway, is_made, is_dead_letter: false, calls };
    let dead = |gateway, is_made, calls| Way { gateway, is_made, is_dead_letter: true, calls };
    vec![
        way("foo", false, &[Create, Release]),
        way("nope", false, &[Create, Delete]),
        way("foo", true, &[Create, Get, Release]),
        way("nope", true, &[Create, Get, Delete]),
        way("foo", false, &[Create, Release, Sink]),
        way("nope", false, &[Create, Delete, Sink]),
        way("foo", true, &[Create, Get, Release, Sink]),
        way("nope", true, &[Create, Get, Delete, Sink]),
        dead("foo", true, &[Get, Release, Sink]),
        dead("nope", true, &[Get, Delete, Sink]),
        dead("foo", false, &[Get, Sink]),
    ]
}

impl Way {
    fn has_sink(&self) -> bool {
        self.calls.contains(&Call::Sink)
    }

    /// Whether there is a Pod once these calls have done their work.
    fn leaves_pod(&self, done: &[Call]) -> bool {
        (self.is_made || done.contains(&Call::Create)) && !done.contains(&Call::Delete)
    }

    /// What becomes of the event: a Pod that is there decides, or else the gateways of now.
    fn end(&self, pod_is_there: bool, then: Then) -> End {
        let has_gateway = (self.gateway == "foo") != (!pod_is_there && then == Then::GatewayChange);
        match (pod_is_there, self.is_dead_letter) {
            (false, true) => Err("Undeliverable"),
            _ if has_gateway => Ok(()),
            _ => Err("GatewayNotInjected"),
        }
    }

    fn request(&self) -> Delivery {
        let mut request = pending("1", self.gateway);
        if self.is_dead_letter {
            *request.uri_mut() = "/dead-letter".parse().expect("a path is a URI");
        }
        request
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_may_end_anywhere_on_any_way_whatever_follows() {
    let mut cells = Vec::new();
    for way in ways() {
        for at in 0..way.calls.len() {
            for fault in [Fault::HoldCall, Fault::HoldAnswer] {
                for then in [Then::Redelivery, Then::Duplicate, Then::GatewayChange] {
                    cells.push((way, at, fault.clone(), then));
                }
            }
        }
    }
    let count = cells.len();
    let running = cells.into_iter().map(|(way, at, fault, then)| tokio::spawn(run(way, at, fault, then)));
    let results: Vec<_> = futures::stream::iter(running).buffer_unordered(AT_ONCE).collect().await;
    let wrong: Vec<_> = results.into_iter().filter_map(|result| result.expect("no cell panics").err()).collect();
    assert!(wrong.is_empty(), "{} of {count} cells:\n{}", wrong.len(), wrong.join("\n"));
    println!("{count} crashes");
}

async fn run(way: Way, at: usize, fault: Fault, then: Then) -> Result<(), String> {
    let name = format!("{way:?}, {fault:?} {:?}, {then:?}", way.calls[at]);
    check(way, at, fault, then).await.map_err(|problem| format!("{name}: {problem}"))
}

async fn check(way: Way, at: usize, fault: Fault, then: Then) -> Result<(), String> {
    let world = World::of((Event::Pending, if way.has_sink() { Call::Sink } else { way.calls[at] })).await;
    let provisioner = world.provisioner(&world.to_api.url(), &world.to_sink.url(), TIMEOUT);
    if way.is_made {
        world.trap.set(Call::Create, Fault::LoseAnswer);
        provisioner.deliver(pending("1", way.gateway)).await;
    }
    let done = &way.calls[..at + usize::from(fault == Fault::HoldAnswer)];
    world.trap.set(way.calls[at], fault);
    let mut pod_is_there = way.leaves_pod(done);
    tokio::select! {
        reply = provisioner.deliver(way.request()) => return Err(format!("there was an answer: {reply:?}")),
        duplicate = held(&world, &provisioner, way, then) => {
            if let Some(duplicate) = duplicate {
                compare(duplicate?, way.end(pod_is_there, then))?;
                // It has settled the event, and removed the Pod of one that failed.
                pod_is_there = way.end(pod_is_there, then).is_ok();
            }
        }
    }
    stands(&world, then == Then::Duplicate || done.contains(&Call::Release))?;
    if then == Then::GatewayChange {
        world.api.set_gateways(if way.gateway == "foo" { Vec::new() } else { vec![Gateway::new(way.gateway)] });
    }
    settle(&world, &provisioner, way, way.end(pod_is_there, then), then).await
}

/// Waits until the instance stands where it is to be ended, and delivers a duplicate meanwhile where one is due.
async fn held(world: &World, provisioner: &Provisioner, way: Way, then: Then) -> Option<Result<Seen, String>> {
    tokio::select! {
        () = world.to_api.holds() => (),
        () = world.to_sink.holds() => (),
    }
    if then != Then::Duplicate {
        return None;
    }
    Some(world.see(&provisioner.deliver(way.request()).await))
}

/// What is left of the crash can't run, unless it was seen to be routed.
fn stands(world: &World, may_be_released: bool) -> Result<(), String> {
    world.check()?;
    let pods = world.api.pods("default");
    let held_back = |pod| is_gated(pod) || (may_be_released && is_routed(pod));
    if pods.iter().all(held_back) { Ok(()) } else { Err(format!("left behind: {pods:?}")) }
}

/// Delivers the event again, twice: there is one end, and one Pod of it or none.
async fn settle(world: &World, provisioner: &Provisioner, way: Way, end: End, then: Then) -> Result<(), String> {
    let first = world.see(&provisioner.deliver(way.request()).await)?;
    compare(first.clone(), end)?;
    let pods = world.check()?;
    if pods != usize::from(end.is_ok()) {
        return Err(format!("{end:?}, and {pods} Pods"));
    }
    let again = way.end(end.is_ok(), then);
    compare(world.see(&provisioner.deliver(way.request()).await)?, if end.is_ok() { end } else { again })?;
    world.check()?;
    told(world, first)
}

/// A sink that was told of a client is never told otherwise afterwards.
fn told(world: &World, last: Seen) -> Result<(), String> {
    let outcomes: Vec<_> = world.sink.taken().iter().map(|event| event.outcome().to_owned()).collect();
    let kinds: BTreeSet<_> = outcomes.iter().skip_while(|outcome| *outcome == "failed").collect();
    match kinds.len() {
        0 | 1 => Ok(()),
        _ => Err(format!("the sink was told {outcomes:?}, {last:?} at last")),
    }
}

fn compare(seen: Seen, end: End) -> Result<(), String> {
    match (&seen, end) {
        (Seen::Done(_), Ok(())) => Ok(()),
        (Seen::Failed(reason, _), Err(expected)) if reason == expected => Ok(()),
        _ => Err(format!("{seen:?} in place of {end:?}")),
    }
}
