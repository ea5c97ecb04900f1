//! The token that a sink may want: it goes with every event, as it stands in its file at that time.

use tests::events::pending;
use tests::peer::{Step, happy, page};
use tests::{Peer, Provisioner, TOKEN};

use crate::settling::accepts;

const FIRST: &str = "eyJhbGciOiJSUzI1NiJ9.first-token-for-the-sink.c2lnbmF0dXJl";
const SECOND: &str = "eyJhbGciOiJSUzI1NiJ9.second-token-for-the-sink.c2lnbmF0dXJl";

/// Delivers one event for each token that the file is to hold, or that it isn't there. Gives what was answered, and with
/// which token the sink was called.
async fn deliver(tokens: &[Option<&str>], answer: fn() -> Step) -> Vec<(u16, Option<String>)> {
    let conversation = || happy().into_iter().chain([answer()]);
    let peer = Peer::start(tokens.iter().flat_map(|_| conversation()).collect()).await;
    let sink = format!("{}/default", peer.url());
    let provisioner = Provisioner::start(&peer.url(), &[("k_sink", &sink), ("sink_origin", &peer.url())]);
    let mut codes = Vec::new();
    for token in tokens {
        provisioner.write_sink_token(*token);
        let reply = provisioner.deliver(pending("1", "foo")).await;
        let output = format!("{reply:?}{}", provisioner.logs().text());
        assert!(!output.contains(FIRST) && !output.contains(SECOND), "{output}");
        codes.push(reply.status.as_u16());
    }
    let (told, asked): (Vec<_>, Vec<_>) = peer.finish().into_iter().partition(|call| call.path == "/default");
    let authorization =
        |call: &tests::peer::Call| call.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    assert!(asked.iter().all(|call| authorization(call) == Some(format!("Bearer {TOKEN}"))), "{asked:?}");
    codes.into_iter().zip(told.iter().map(authorization)).collect()
}

fn bearer(token: &str) -> Option<String> {
    Some(format!("Bearer {token}"))
}

#[tokio::test]
async fn the_sink_gets_the_token_of_its_file_read_anew_for_each_event_and_the_api_server_its_own() {
    let seen = deliver(&[Some(FIRST), Some(SECOND), None], accepts).await;
    assert_eq!(seen, [(202, bearer(FIRST)), (202, bearer(SECOND)), (202, None)]);
}

/// The next delivery may have a newer one.
#[tokio::test]
async fn a_sink_that_refuses_the_token_is_a_retry() {
    assert_eq!(deliver(&[Some(FIRST)], || page("POST", 401)).await, [(503, bearer(FIRST))]);
}

#[tokio::test]
async fn a_file_that_holds_no_token_is_a_retry_and_nothing_is_sent() {
    let peer = Peer::start(happy()).await;
    let sink = format!("{}/default", peer.url());
    let provisioner = Provisioner::start(&peer.url(), &[("k_sink", &sink), ("sink_origin", &peer.url())]);
    provisioner.write_sink_token(Some(&format!("{FIRST}\nand more")));
    let reply = provisioner.deliver(pending("1", "foo")).await;
    peer.finish();
    let output = format!("{reply:?}{}", provisioner.logs().text());
    assert!(reply.status == 503 && output.contains("for the sink") && !output.contains(FIRST), "{output}");
}
