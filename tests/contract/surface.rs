//! The HTTP surface beside the events, as the host passes it on.

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
