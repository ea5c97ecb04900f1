//! How much memory an instance takes. It gives nothing back while it serves its request.

use http_body_util::Full;
use local::spin::RuntimeConfig;
use tests::events::{Delivery, pending};
use tests::peer::{json_step, released, routed};
use tests::{Peer, Provisioner};

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

/// Of this a mebibyte is the stack, of which hardly anything is touched.
#[tokio::test]
async fn a_usual_event_takes_less_than_one_and_a_half_mebibytes() {
    check(r#"{"gateway_name": "foo"}"#.to_owned(), 3 << 19).await;
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
