//! The published test vectors, through the built component: what is refused, and with which status.

use http_body_util::Full;
use properties::vectors::{Expected, requests};
use provisioner::event::PENDING;
use serde_json::json;
use tests::events::body;
use tests::{Peer, Provisioner};

use crate::{End, end_of};

#[tokio::test]
async fn the_component_takes_and_refuses_what_the_vectors_say() {
    let peer = Peer::start(vec![]).await;
    let provisioner = Provisioner::start(&peer.url(), &[]);
    for vector in requests() {
        // No vector is a pending event: the component acknowledges what it can read.
        let expected = match vector.expected {
            _ if !is_text(vector.request.headers()) => End::Empty(500),
            Expected::Refused(status) => End::Problem(status),
            Expected::Event(_) => End::Empty(202),
        };
        let mut request = vector.request.map(|body| Full::from(bytes::Bytes::from(body)));
        request.headers_mut().insert("host", "provisioner.test".parse().unwrap());
        assert_eq!(end_of(&provisioner.deliver(request).await), expected, "{}", vector.name);
    }
    peer.finish();
}

/// A host takes 128 KiB of headers from a component, and an answer repeats the id of its event in them.
#[tokio::test]
async fn an_id_that_no_answer_can_repeat_is_refused() {
    let peer = Peer::start(vec![]).await;
    let provisioner = Provisioner::start(&peer.url(), &[]);
    for (size, expected) in [(8_000, End::Failed("InvalidEventData")), (200_000, End::Problem(400))] {
        let id = "%".repeat(size);
        let event = json!({"specversion": "1.0", "id": id, "source": "/s", "type": PENDING, "data": {}});
        let reply = provisioner.deliver(body("application/cloudevents+json", event.to_string())).await;
        assert_eq!(end_of(&reply), expected, "{size}");
    }
    peer.finish();
}

/// Spin answers 500 by itself where a header is no UTF-8, and the host does as Spin does.
fn is_text(headers: &http::HeaderMap) -> bool {
    headers.values().all(|value| str::from_utf8(value.as_bytes()).is_ok())
}
