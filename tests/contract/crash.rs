//! The component ended between any two calls: what stays is gated, and the redelivery ends in one Pod and `done`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use local::kubernetes::{Config, EmbeddedApi, Gateway};
use tests::events::pending;
use tests::fault::{Fault, Proxy, to_server};
use tests::pods::{is_gated, is_routed};
use tests::{Provisioner, TOKEN};

use crate::{End, end_of};

async fn api() -> EmbeddedApi {
    let config = Config { token: TOKEN.to_owned(), ..Config::demo() };
    EmbeddedApi::bind(config, ([127, 0, 0, 1], 0).into()).await.unwrap()
}

/// The way to the API, on which the call after `passed` others meets the fault, and no other does.
async fn wire_with(api: &EmbeddedApi, passed: usize, fault: &Fault) -> Proxy {
    let (fault, calls) = (fault.clone(), AtomicUsize::new(0));
    let plan = move |_| (calls.fetch_add(1, Ordering::SeqCst) == passed).then(|| fault.clone());
    Proxy::start(to_server(&api.url()), Arc::new(plan)).await
}

/// No Pod may ever be free of its gate without being routed.
#[track_caller]
fn assert_nothing_leaks(api: &EmbeddedApi) {
    for pod in api.pods("default") {
        assert!(is_gated(&pod) || is_routed(&pod), "{pod}");
    }
}

/// Ends the instance while the call after `passed` others is under way, then delivers the event again.
async fn check(passed: usize, held: Fault, gateway: &str, expected: End) {
    let api = api().await;
    let wire = wire_with(&api, passed, &held).await;
    let provisioner = Provisioner::start(&wire.url(), &[]);
    tokio::select! {
        reply = provisioner.deliver(pending("1", gateway)) => panic!("there was an answer: {reply:?}"),
        () = wire.holds() => (),
    }
    assert_nothing_leaks(&api);
    let left = api.pods("default");
    assert!(left.len() <= 1);
    let released_already = passed == 1 && held == Fault::HoldAnswer;
    assert!(released_already || left.iter().all(is_gated), "{left:?}");

    let reply = provisioner.deliver(pending("1", gateway)).await;
    assert_eq!(end_of(&reply), expected);
    let pods = api.pods("default");
    assert_eq!(pods.len(), usize::from(expected == End::Done));
    assert!(pods.iter().all(|pod| !is_gated(pod) && is_routed(pod)));
    api.shutdown().await;
}

#[tokio::test]
async fn a_routed_client_survives_a_crash_at_every_call() {
    for passed in 0..2 {
        for held in [Fault::HoldCall, Fault::HoldAnswer] {
            check(passed, held, "foo", End::Done).await;
        }
    }
}

#[tokio::test]
async fn an_unrouted_pod_is_settled_after_a_crash_at_every_call() {
    for passed in 0..2 {
        for held in [Fault::HoldCall, Fault::HoldAnswer] {
            check(passed, held, "nope", End::Failed("GatewayNotInjected")).await;
        }
    }
}

#[tokio::test]
async fn a_lost_answer_ends_in_one_pod() {
    for passed in 0..2 {
        for lost in [Fault::LoseCall, Fault::LoseAnswer] {
            let api = api().await;
            let wire = wire_with(&api, passed, &lost).await;
            let provisioner = Provisioner::start(&wire.url(), &[]);
            assert_eq!(end_of(&provisioner.deliver(pending("1", "foo")).await), End::Empty(503), "{passed} {lost:?}");
            assert_nothing_leaks(&api);
            assert_eq!(end_of(&provisioner.deliver(pending("1", "foo")).await), End::Done);
            assert_eq!(api.pods("default").len(), 1);
            api.shutdown().await;
        }
    }
}

#[tokio::test]
async fn a_crash_beside_a_duplicate_ends_in_one_pod() {
    let api = Arc::new(api().await);
    for passed in 0..2 {
        let id = passed.to_string();
        let wire = wire_with(&api, passed, &Fault::HoldAnswer).await;
        let provisioner = Provisioner::start(&wire.url(), &[]);
        let other = Provisioner::start(&api.url(), &[]);
        tokio::select! {
            reply = provisioner.deliver(pending(&id, "foo")) => panic!("there was an answer: {reply:?}"),
            () = wire.holds() => (),
        }
        assert_eq!(end_of(&other.deliver(pending(&id, "foo")).await), End::Done);
        assert_eq!(api.pods("default").len(), passed + 1);
    }
}

#[tokio::test]
async fn a_webhook_that_is_gone_at_the_redelivery_changes_nothing_for_a_pod_that_it_routed() {
    let api = api().await;
    let wire = wire_with(&api, 0, &Fault::HoldAnswer).await;
    let provisioner = Provisioner::start(&wire.url(), &[]);
    tokio::select! {
        _ = provisioner.deliver(pending("1", "foo")) => panic!("there was an answer"),
        () = wire.holds() => (),
    }
    api.set_gateways(vec![]);
    assert_eq!(end_of(&provisioner.deliver(pending("1", "foo")).await), End::Done);
    assert_nothing_leaks(&api);
    // And the reverse: what nobody routed at first is removed, although the webhook is back by then.
    let wire = wire_with(&api, 0, &Fault::HoldAnswer).await;
    let provisioner = Provisioner::start(&wire.url(), &[]);
    tokio::select! {
        _ = provisioner.deliver(pending("2", "foo")) => panic!("there was an answer"),
        () = wire.holds() => (),
    }
    api.set_gateways(vec![Gateway::new("foo")]);
    assert_eq!(end_of(&provisioner.deliver(pending("2", "foo")).await), End::Failed("GatewayNotInjected"));
    assert_nothing_leaks(&api);
}
