//! The HTTP surface of the built component: what is beside the events, and the published test vectors.

use http_body_util::Full;
use properties::vectors::{Expected, requests};
use serde_json::Value;
use tests::events::{bare, pending, with_header};
use tests::{Peer, Provisioner};

use crate::End::{Empty, Problem};
use crate::end_of;

#[tokio::test]
async fn probes_handshakes_and_what_is_not_allowed_are_answered() {
    let peer = Peer::start(vec![]).await;
    let usable = Provisioner::start(&peer.url(), &[]);
    let unusable = Provisioner::start(&peer.url(), &[("kube_api_timeout", "soon")]);
    for (provisioner, method, path, end, allow) in [
        (&unusable, "GET", "/healthz", Empty(200), ""),
        (&usable, "GET", "/readyz", Empty(200), ""),
        (&unusable, "GET", "/readyz", Problem(503), ""),
        (&unusable, "POST", "/", Problem(400), ""),
        (&usable, "OPTIONS", "/", Empty(200), "POST, OPTIONS"),
        (&usable, "GET", "/nowhere", Problem(404), ""),
        (&usable, "PUT", "/", Problem(405), "POST, OPTIONS"),
    ] {
        let request = with_header(bare(method, path), "webhook-request-origin", "events.example");
        let reply = provisioner.deliver(request).await;
        assert_eq!((end_of(&reply), reply.header("allow")), (end, allow), "{method} {path}");
        let origin = if method == "OPTIONS" { "events.example" } else { "" };
        assert_eq!(reply.header("webhook-allowed-origin"), origin, "{method} {path}");
        if method == "GET" {
            let head = provisioner.deliver(bare("HEAD", path)).await;
            assert_eq!((head.status, head.header("content-type")), (reply.status, reply.header("content-type")));
        }
    }
    assert_eq!(end_of(&unusable.deliver(pending("1", "foo")).await), Problem(503));
    peer.finish();
}

/// No vector is a pending event: the component acknowledges what it can read, and logs its identity.
#[tokio::test]
async fn the_component_takes_and_refuses_what_the_vectors_say() {
    let peer = Peer::start(vec![]).await;
    let provisioner = Provisioner::start(&peer.url(), &[]);
    for vector in requests() {
        // Spin answers 500 by itself where a header is no UTF-8, and the host of `make run` does as Spin does.
        let is_text = vector.request.headers().values().all(|value| str::from_utf8(value.as_bytes()).is_ok());
        let mut request = vector.request.map(|body| Full::from(bytes::Bytes::from(body)));
        request.headers_mut().insert("host", "provisioner.test".parse().unwrap());
        provisioner.logs().clear();
        let end = end_of(&provisioner.deliver(request).await);
        let line: Value = serde_json::from_str(&provisioner.logs().text()).unwrap_or_default();
        match vector.expected {
            _ if !is_text => assert_eq!((end, line), (Empty(500), Value::Null), "{}", vector.name),
            Expected::Refused(status) => assert_eq!(end, Problem(status), "{}", vector.name),
            Expected::Event(event) => {
                assert_eq!((end, &line["event_id"]), (Empty(202), &event["id"]), "{}", vector.name);
                assert_eq!(line["event_source"], event["source"], "{}", vector.name);
            }
        }
    }
    peer.finish();
}
