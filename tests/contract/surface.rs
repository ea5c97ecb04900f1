//! The HTTP surface beside the events, as the host passes it on.

use serde_json::Value;
use tests::events::{Delivery, bare, pending, with_header};
use tests::{Peer, Provisioner, Reply};

use crate::End::{Empty, Problem};
use crate::end_of;

async fn ask(request: Delivery, variables: &[(&str, &str)]) -> Reply {
    let peer = Peer::start(vec![]).await;
    let reply = Provisioner::start(&peer.url(), variables).deliver(request).await;
    peer.finish();
    reply
}

#[tokio::test]
async fn probes_handshakes_and_what_is_not_allowed_are_answered() {
    let unusable = [("kube_api_timeout", "soon")];
    for (method, path, variables, end, allow) in [
        ("GET", "/healthz", &unusable[..], Empty(200), ""),
        ("GET", "/readyz", &[], Empty(200), ""),
        ("GET", "/readyz", &unusable, Problem(503), ""),
        ("POST", "/", &unusable, Problem(400), ""),
        ("OPTIONS", "/", &[], Empty(200), "POST, OPTIONS"),
        ("GET", "/nowhere", &[], Problem(404), ""),
        ("PUT", "/", &[], Problem(405), "POST, OPTIONS"),
        ("POST", "/healthz", &[], Problem(405), "GET, HEAD"),
    ] {
        let request = with_header(bare(method, path), "webhook-request-origin", "events.example");
        let reply = ask(request, variables).await;
        assert_eq!((end_of(&reply), reply.header("allow")), (end, allow), "{method} {path}");
        let origin = if method == "OPTIONS" { "events.example" } else { "" };
        assert_eq!(reply.header("webhook-allowed-origin"), origin, "{method} {path}");
        if method == "GET" {
            let head = ask(bare("HEAD", path), variables).await;
            assert_eq!((head.status, head.header("content-type")), (reply.status, reply.header("content-type")));
        }
    }
    let reply = ask(pending("1", "foo"), &unusable).await;
    assert_eq!(end_of(&reply), Problem(503));
    assert!(reply.json()["detail"].as_str().unwrap().contains("kube_api_timeout"));
}

#[tokio::test]
async fn the_log_line_tells_the_delivery() {
    let peer = Peer::start(vec![]).await;
    let provisioner = Provisioner::start(&peer.url(), &[]);
    provisioner.deliver(pending("an id", "a/b")).await;
    peer.finish();
    let line: Value = serde_json::from_str(&provisioner.logs().text()).unwrap();
    assert_eq!((&line["outcome"], &line["reason"]), (&"failed".into(), &"InvalidGatewayName".into()));
    assert_eq!((&line["event_id"], &line["api_calls"]), (&"an id".into(), &0.into()));
    assert!(line["time"].is_string() && line["milliseconds"].is_u64() && line["level"] == "warn");
}
