//! Every call has an end, however the API server dawdles.

use tests::events::pending;
use tests::peer::{Answer, fault, json_step, routed};
use tests::{Peer, Provisioner};

use crate::{End, end_of};

async fn check(script: Vec<tests::peer::Step>) {
    let peer = Peer::start(script).await;
    let provisioner = Provisioner::start(&peer.url(), &[("kube_api_timeout", "1s")]);
    assert_eq!(end_of(&provisioner.deliver(pending("1", "foo")).await), End::Empty(503));
    peer.finish();
}

#[tokio::test]
async fn an_answer_that_never_begins_is_given_up() {
    check(vec![fault("POST", || Answer::Hang)]).await;
    check(vec![json_step("POST", 201, routed), fault("PATCH", || Answer::Hang)]).await;
}

#[tokio::test]
async fn an_answer_that_trickles_in_is_given_up() {
    check(vec![fault("POST", || Answer::Trickle(201))]).await;
}
