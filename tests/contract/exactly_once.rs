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
