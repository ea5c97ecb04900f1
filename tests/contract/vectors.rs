//! The published test vectors, through the built component: what is refused, and with which status.

use http_body_util::Full;
use properties::vectors::{Expected, requests};
use tests::events::{pending, with_header};
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

/// The host of `make run` does as Spin does, so that nobody is surprised in a cluster.
#[tokio::test]
async fn a_header_that_is_no_utf_8_is_answered_by_the_host_before_the_component_is_asked() {
    let peer = Peer::start(vec![]).await;
    let provisioner = Provisioner::start(&peer.url(), &[]);
    for header in ["ce-id", "ce-subject", "x-unrelated"] {
        let request = with_header(pending("1", "foo"), header, b"caf\xe9");
        assert_eq!(end_of(&provisioner.deliver(request).await), End::Empty(500), "{header}");
    }
    assert!(!provisioner.logs().text().contains("outcome"), "the component logs every event that it is asked about");
    peer.finish();
}

/// Spin answers 500 by itself where a header is no UTF-8, and the host does as Spin does.
fn is_text(headers: &http::HeaderMap) -> bool {
    headers.values().all(|value| str::from_utf8(value.as_bytes()).is_ok())
}
