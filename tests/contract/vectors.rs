//! The published test vectors, through the built component: what is refused with which status, and what is read.

use http_body_util::Full;
use properties::vectors::{Expected, requests};
use serde_json::Value;
use tests::{Peer, Provisioner};

use crate::{End, end_of};

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
            _ if !is_text => assert_eq!((end, line), (End::Empty(500), Value::Null), "{}", vector.name),
            Expected::Refused(status) => assert_eq!(end, End::Problem(status), "{}", vector.name),
            Expected::Event(event) => {
                assert_eq!((end, &line["event_id"]), (End::Empty(202), &event["id"]), "{}", vector.name);
                assert_eq!(line["event_source"], event["source"], "{}", vector.name);
            }
        }
    }
    peer.finish();
}
