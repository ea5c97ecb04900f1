//! The HTTP surface beside the events.

use serde_json::Value;
use tests::events::{bare, pending};
use tests::{Peer, Provisioner, Reply};

use crate::{End, end_of};

async fn ask(request: tests::events::Delivery, variables: &[(&str, &str)]) -> Reply {
    let peer = Peer::start(vec![]).await;
    let reply = Provisioner::start(&peer.url(), variables).deliver(request).await;
    peer.finish();
    reply
}

#[tokio::test]
async fn healthz_is_well_whatever_is_set_up() {
    let reply = ask(bare("GET", "/healthz"), &[("client_namespace", "NOT ONE")]).await;
    assert_eq!(end_of(&reply), End::Empty(200));
}

#[tokio::test]
async fn readyz_names_what_is_missing() {
    assert_eq!(end_of(&ask(bare("GET", "/readyz"), &[]).await), End::Empty(200));
    let reply = ask(bare("GET", "/readyz"), &[("kube_api_timeout", "soon")]).await;
    assert_eq!(end_of(&reply), End::Problem(503));
    assert!(reply.json()["detail"].as_str().unwrap().contains("kube_api_timeout"));

    let peer = Peer::start(vec![]).await;
    let provisioner = Provisioner::start(&peer.url(), &[]);
    std::fs::remove_file(provisioner.token_file()).unwrap();
    let reply = provisioner.deliver(bare("GET", "/readyz")).await;
    assert_eq!(end_of(&reply), End::Problem(503));
    assert!(reply.json()["detail"].as_str().unwrap().contains("/serviceaccount/token"));
    peer.finish();
}

#[tokio::test]
async fn a_probe_may_ask_with_head_and_gets_the_same_answer() {
    for path in ["/healthz", "/readyz"] {
        for variables in [&[][..], &[("kube_api_timeout", "soon")]] {
            let (get, head) = (ask(bare("GET", path), variables).await, ask(bare("HEAD", path), variables).await);
            assert_eq!((head.status, head.header("content-type")), (get.status, get.header("content-type")), "{path}");
        }
    }
}

/// Spin takes the last group of the address for the port, and lets no call go.
#[tokio::test]
async fn readyz_names_an_address_that_spin_would_reach_nobody_at() {
    let sink = ("k_sink", "http://[fd00:10:96::2]/");
    let addresses =
        [&[("kube_api_url", "https://[fd00:10:96::1]")][..], &[("sink_origin", "http://[fd00:10:96::2]"), sink]];
    for variables in addresses {
        for request in [bare("GET", "/readyz"), pending("1", "foo")] {
            let reply = ask(request, variables).await;
            assert_eq!(end_of(&reply), End::Problem(503), "{variables:?}");
            let detail = reply.json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains(variables[0].0) && detail.contains("https://[fd00::1]:443"), "{detail}");
        }
    }
    assert_eq!(
        end_of(&ask(bare("GET", "/readyz"), &[("kube_api_url", "https://[fd00:10:96::1]:443")]).await),
        End::Empty(200)
    );
}

#[tokio::test]
async fn the_webhook_handshake_is_answered() {
    let mut request = bare("OPTIONS", "/");
    request.headers_mut().insert("webhook-request-origin", "events.example".parse().unwrap());
    let reply = ask(request, &[]).await;
    assert_eq!(end_of(&reply), End::Empty(200));
    assert_eq!(reply.header("webhook-allowed-origin"), "events.example");
    assert_eq!(reply.header("webhook-allowed-rate"), "*");
    assert_eq!(reply.header("allow"), "POST, OPTIONS");
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    assert_eq!(end_of(&ask(bare("GET", "/nowhere"), &[]).await), End::Problem(404));
    for (method, path, allowed) in [
        ("GET", "/", "POST, OPTIONS"),
        ("PUT", "/", "POST, OPTIONS"),
        ("GET", "/dead-letter", "POST, OPTIONS"),
        ("POST", "/healthz", "GET, HEAD"),
        ("OPTIONS", "/readyz", "GET, HEAD"),
        ("DELETE", "/readyz", "GET, HEAD"),
    ] {
        let reply = ask(bare(method, path), &[]).await;
        assert_eq!((end_of(&reply), reply.header("allow")), (End::Problem(405), allowed), "{method} {path}");
        let detail = reply.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(allowed), "{detail}");
    }
}

#[tokio::test]
async fn a_variable_that_cannot_be_used_keeps_the_event_with_the_broker() {
    let reply = ask(pending("1", "foo"), &[("client_command", "'")]).await;
    assert_eq!(end_of(&reply), End::Problem(503));
    assert!(reply.json()["detail"].as_str().unwrap().contains("client_command"));
}

#[tokio::test]
async fn the_log_line_tells_the_delivery() {
    let peer = Peer::start(vec![]).await;
    let provisioner = Provisioner::start(&peer.url(), &[]);
    let mut request = pending("an id", "a/b");
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    request.headers_mut().insert("ce-traceparent", traceparent.parse().unwrap());
    provisioner.deliver(request).await;
    peer.finish();
    let line: Value = serde_json::from_str(&provisioner.logs().text()).unwrap();
    assert_eq!((&line["outcome"], &line["reason"]), (&"failed".into(), &"InvalidGatewayName".into()));
    assert_eq!((&line["event_source"], &line["event_id"]), (&"/test".into(), &"an id".into()));
    assert_eq!((&line["gateway"], &line["api_calls"]), (&"a/b".into(), &0.into()));
    assert_eq!(line["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    assert!(line["time"].is_string() && line["milliseconds"].is_u64() && line["level"] == "warn");
}
