//! Every call has an end, however the API server dawdles.

use provisioner::event::PENDING;
use provisioner::testing::routed;
use serde_json::json;
use tests::events::{body, pending};
use tests::peer::{Answer, fault, json_step};
use tests::{Peer, Provisioner};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

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

/// Answers as soon as it has the head of a request, and closes the connection under the rest of it.
async fn hasty(answer: &'static str) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            _ = stream.read(&mut [0; 1024]).await;
            _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    url
}

/// A body that can't be sent whole is left unfinished, and the event waits.
#[tokio::test]
async fn an_api_server_that_does_not_wait_for_the_whole_of_a_request_is_answered_with_a_retry() {
    for answer in ["", "HTTP/1.1 413 Payload Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"] {
        let provisioner = Provisioner::start(&hasty(answer).await, &[]);
        for id in ["1".to_owned(), "x".repeat((1 << 20) - 200)] {
            let event = json!({"specversion": "1.0", "id": id, "source": "/test", "type": PENDING, "data": {"gateway_name": "foo"}});
            let reply = provisioner.deliver(body("application/cloudevents+json", event.to_string())).await;
            assert_eq!(end_of(&reply), End::Empty(503), "{} bytes: {answer:?}", id.len());
        }
    }
}
