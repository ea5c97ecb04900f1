//! One Pod per event, whatever the number of deliveries.

use futures::StreamExt;
use tests::Provisioner;
use tests::events::pending;
use tests::provisioner::embedded_api;

use crate::{End, end_of};

#[tokio::test(flavor = "multi_thread")]
async fn fifty_deliveries_ten_at_once_make_one_pod_and_one_answer() {
    let api = embedded_api().await;
    let provisioner = Provisioner::start(&api.url(), &[]);
    let deliveries = (0..50).map(|_| provisioner.deliver(pending("1", "foo")));
    let replies: Vec<_> = futures::stream::iter(deliveries).buffer_unordered(10).collect().await;
    assert_eq!(replies.len(), 50);
    for reply in &replies {
        assert_eq!(end_of(reply), End::Done);
        assert_eq!((&reply.event, &reply.body), (&replies[0].event, &replies[0].body));
    }
    assert_eq!(api.pods("default").len(), 1);
    assert_eq!(api.calls()["create"], 50);
    api.shutdown().await;
}
