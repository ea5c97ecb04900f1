//! How much memory an instance takes, and how much a whole replica for each event that it has in hand.

use std::sync::Arc;

use http_body_util::Full;
use local::spin::RuntimeConfig;
use serde_json::json;
use tests::command::{Running, application};
use tests::events::{Delivery, pending};
use tests::peer::{Answer, Step, json_step, released, routed};
use tests::{Peer, Provisioner, Reply};
use tokio::sync::Barrier;

use crate::command::kubeconfig;
use crate::{End, end_of};

/// An event with these data becomes a client in an instance that may take so many bytes.
async fn check(data: String, most: usize) {
    let peer = Peer::start(vec![json_step("POST", 201, routed), json_step("PATCH", 200, released)]).await;
    let config = RuntimeConfig { max_instance_memory: Some(most), ..RuntimeConfig::default() };
    let provisioner = Provisioner::start_with(&peer.url(), &[], config);
    assert_eq!(end_of(&provisioner.deliver(with_data(data)).await), End::Done);
    peer.finish();
}

fn with_data(data: String) -> Delivery {
    pending("1", "foo").map(|_| Full::from(data))
}

/// Of this an eighth of a mebibyte is the stack.
#[tokio::test]
async fn a_usual_event_takes_less_than_three_quarters_of_a_mebibyte() {
    check(r#"{"gateway_name": "foo"}"#.to_owned(), 3 << 18).await;
}

/// The deepest JSON that is read has 127 levels.
#[tokio::test]
async fn the_deepest_event_has_room_on_the_stack() {
    let (open, close) = ("[".repeat(126), "]".repeat(126));
    check(format!(r#"{{"gateway_name": "foo", "deep": {open}{close}}}"#), 1 << 20).await;
    let objects = (r#"{"x":"#.repeat(126), "}".repeat(126));
    check(format!(r#"{{"gateway_name": "foo", "deep": {}1{}}}"#, objects.0, objects.1), 1 << 20).await;
}

#[tokio::test]
async fn an_event_of_the_largest_size_takes_less_than_six_mebibytes() {
    let padding = "x".repeat((1 << 20) - 100);
    check(format!(r#"{{"gateway_name": "foo", "padding": "{padding}"}}"#), 6 << 20).await;
}

#[tokio::test]
async fn an_event_of_as_many_parts_as_there_can_be_takes_less_than_thirty_mebibytes() {
    let parts = vec!["1"; 500_000].join(",");
    check(format!(r#"{{"gateway_name": "foo", "parts": [{parts}]}}"#), 30 << 20).await;
}

/// As many events as are in a replica's hands at once in the test of a burst.
const BURST: usize = 128;

/// How many requests Spin takes at once.
pub const AT_ONCE: usize = 1_000;

/// How much a replica's memory may grow for each event that it has in hand, in KiB. `docs/operations.md`, *Sizing*.
pub const EACH: usize = 600;

/// Sends so many events at once, and lets none of their calls end before all of them have been made.
async fn burst(address: &str, events: usize) {
    let deliveries = (0..events).map(|id| Reply::from(address, pending(&id.to_string(), "foo")));
    for reply in futures::future::join_all(deliveries).await {
        assert_eq!(end_of(&reply), End::Empty(503));
    }
}

fn held(events: usize) -> Vec<Step> {
    let barrier = Arc::new(Barrier::new(events));
    let step = |barrier: Arc<Barrier>| -> Step { ("POST", Box::new(move |_, _| Answer::Together(barrier.clone()))) };
    (0..events).map(|_| step(barrier.clone())).collect()
}

/// The most memory that a process ever had at once, in KiB (proc(5), `VmHWM`).
fn peak(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("Linux says so");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).expect("it is a number of KiB")
}

/// The host keeps as much of every instance that there was as Spin does, so this is what a replica under Spin takes too.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_grows_by_no_more_than_a_few_hundred_kibibytes_for_each_event_in_its_hands() {
    let version = json_step("GET", 200, |_| json!({"major": "1"}));
    let script = std::iter::once(version).chain(held(1)).chain(held(BURST)).chain(held(BURST));
    let peer = Peer::start(script.collect()).await;
    let directory = application();
    let kubeconfig = kubeconfig(directory.path(), &peer.url());
    let arguments = ["--kubeconfig", kubeconfig.to_str().unwrap(), "--variable", "kube_api_timeout=1m"];
    let running = Running::start(directory.path(), &arguments);
    let address = running.address("provisioner");
    burst(&address, 1).await;
    let before = peak(running.id());
    burst(&address, BURST).await;
    // An instance is cleaned when it has ended, which touches all of its memory. The second burst finds that done.
    burst(&address, BURST).await;
    let each = (peak(running.id()) - before) / (BURST - 1);
    peer.finish();
    println!("{before} KiB with one event in hand, and {each} KiB for each further one");
    assert!(each <= EACH, "{each} KiB for each event in hand, and {before} KiB with one");
}
