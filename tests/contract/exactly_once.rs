//! One Pod per event, whatever the number of deliveries; and no event lost while the API is down.

use std::time::Duration;

use futures::StreamExt;
use local::broker::{BackoffPolicy, Broker, BrokerConfig, Delivery, Passed};
use tests::Provisioner;
use tests::events::{Reply, pending};
use tests::provisioner::embedded_api;

use crate::{End, end_of};

#[tokio::test(flavor = "multi_thread")]
async fn fifty_deliveries_ten_at_once_make_one_pod_and_one_answer() {
    let api = embedded_api().await;
    let provisioner = Provisioner::start(&api.url(), &[]);
    let deliveries = (0..50).map(|_| provisioner.deliver(pending("1", "foo")));
    let replies: Vec<_> = futures::stream::iter(deliveries).buffer_unordered(10).collect().await;
    let settled: Vec<_> = replies.iter().filter(|reply| reply.status == 200).collect();
    assert_eq!(settled.len(), 50, "{replies:?}");
    for reply in &settled {
        assert_eq!(end_of(reply), End::Done);
        assert_eq!(reply.attribute("id"), settled[0].attribute("id"));
        assert_eq!(reply.body, settled[0].body);
        assert_eq!(reply.attribute("time"), settled[0].attribute("time"));
    }
    assert_eq!(api.pods("default").len(), 1);
    assert_eq!(api.calls()["create"], 50);
    api.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_is_down_costs_retries_and_no_event() {
    let api = embedded_api().await;
    let provisioner = Provisioner::start(&api.url(), &[]);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (url, serving) = provisioner.serve(async { _ = stopped.await }).await;
    let subscriber = format!("{url}/").parse().unwrap();
    let delivery = Delivery {
        retry: 40,
        backoff_policy: BackoffPolicy::Linear,
        backoff_delay: Duration::from_millis(5),
        ..Delivery::default()
    };
    let mut config = BrokerConfig::new(subscriber, provisioner::event::PENDING);
    config.triggers[0].delivery = delivery;
    let broker = Broker::bind(config).await.unwrap();
    let mut passing = broker.journal.subscribe();

    api.set_available(false);
    assert_eq!(Reply::from(broker.url(), pending("1", "foo")).await.status, 202);
    while !matches!(passing.recv().await.unwrap().kind, Passed::Retry { attempt: 2.., status: Some(503), .. }) {}
    assert_eq!(api.pods("default").len(), 0);
    api.set_available(true);
    broker.wait_idle().await;

    let replies: Vec<_> =
        broker.journal.events().into_iter().filter(|event| matches!(event.kind, Passed::Reply { .. })).collect();
    assert_eq!(replies.len(), 1);
    assert!(matches!(&replies[0].kind, Passed::Reply { ty } if ty == provisioner::reply::DONE));
    assert_eq!((api.pods("default").len(), broker.journal.look(|_, totals| totals.dead_letters)), (1, 0));
    broker.shutdown().await;
    _ = stop.send(());
    serving.await.unwrap();
    api.shutdown().await;
}
