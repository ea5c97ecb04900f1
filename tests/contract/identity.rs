//! Which event it is: the same identity, however its bytes stand in the message, has one Pod and hears of itself as it was
//! sent.

use serde_json::{Value, json};
use tests::Reply;
use tests::events::{Delivery, pending};
use tests::peer::{client, happy, json_step, status};

use crate::answers::{event, structured, with_header};
use crate::{Case, End, run};

/// With which a Broker's ingress marks what it delivers.
const ARRIVED: &str = "ce-knativearrivaltime";

/// In binary mode, with these bytes for the attribute.
fn sent(attribute: &'static str, value: &'static str) -> Delivery {
    let mut request = pending("1", "foo");
    request.headers_mut().remove(attribute);
    with_header(request, attribute, value.as_bytes())
}

/// The same, by way of a Broker, whose data plane neither encodes nor decodes.
fn by_knative(attribute: &'static str, value: &'static str) -> Delivery {
    with_header(sent(attribute, value), ARRIVED, b"2026-01-31T12:00:00Z")
}

/// In structured mode, where JSON says exactly what is meant.
fn exact(attribute: &str, value: &str) -> Delivery {
    let mut event = event();
    event[attribute] = json!(value);
    structured(event)
}

async fn answer(request: Delivery) -> Reply {
    run(Case::new("identity", "of an event", request, happy(), End::Done)).await.0
}

/// The event is known by this value, by which its answer calls it as well.
async fn check(request: Delivery, attribute: &str, value: &str) {
    let (reply, same) = (answer(request).await, answer(exact(attribute, value)).await);
    let data = reply.json();
    assert_eq!(data["pending_event"][attribute], value);
    assert_eq!((&data["pod_name"], reply.attribute("id")), (&same.json()["pod_name"], same.attribute("id")), "{value}");
    if attribute == "id" {
        assert_eq!((reply.attribute("causationid"), reply.attribute("correlationid")), (value, value));
    }
}

#[tokio::test]
async fn an_id_by_knative_is_what_every_other_consumer_there_sees() {
    for id in ["a%20b", "a b", "100%25", "100%", "50%ff", "\"quoted\"", "gr\u{fc}n"] {
        check(by_knative("ce-id", id), "id", id).await;
    }
}

#[tokio::test]
async fn an_id_by_anybody_else_is_unquoted_and_decoded_once() {
    let ids = [
        ("a%20b", "a b"),
        ("a b", "a b"),
        ("a%2520b", "a%20b"),
        ("100%25", "100%"),
        ("100%", "100%"),
        ("\"quoted\"", "quoted"),
        ("gr%C3%BCn", "gr\u{fc}n"),
        ("gr\u{fc}n", "gr\u{fc}n"),
        // What is no text once it is decoded was never encoded.
        ("50%ff", "50%ff"),
        ("a%20b%ff", "a%20b%ff"),
    ];
    for (value, id) in ids {
        check(sent("ce-id", value), "id", id).await;
    }
}

#[tokio::test]
async fn an_event_has_one_pod_whether_it_comes_structured_or_by_knative_in_binary_mode() {
    check(by_knative("ce-source", "/orders/a%2Fb"), "source", "/orders/a%2Fb").await;
    check(sent("ce-source", "/orders/a%2Fb"), "source", "/orders/a/b").await;
}

#[tokio::test]
async fn the_pod_is_marked_with_the_identity_and_the_correlation_that_were_sent() {
    let request = with_header(by_knative("ce-id", "a%20b"), "ce-correlationid", b"c%20d");
    let (_, calls) = run(Case::new("identity", "on the Pod", request, happy(), End::Done)).await;
    let annotations = &calls[0].body["metadata"]["annotations"];
    let marks = ["event-source", "event-id", "correlation-id"];
    assert_eq!(marks.map(|mark| &annotations[format!("podgateway.io/{mark}")]), ["/test", "a%20b", "c%20d"]);
}

/// As a source numbers them that begins anew: producers have to put into `source` what makes an id unique.
#[tokio::test]
async fn an_id_that_comes_a_second_time_is_the_first_event_again() {
    let exists = || status("POST", 409, "AlreadyExists", "pods \"x\" already exists");
    let second = |gateway| {
        let offset = with_header(pending("1", gateway), "ce-time", b"2027-01-01T00:00:00Z");
        (offset, vec![exists(), json_step("GET", 200, |posted: Value| of_foo(client(posted)))])
    };
    let (request, script) = second("foo");
    run(Case::new("identity", "a second event", request, script, End::Done)).await;
    let (request, script) = second("bar");
    let conflict = Case::new("identity", "of another gateway", request, script, End::Failed("PodNameConflict"));
    run(conflict.saying("at the gateway foo")).await;
}

fn of_foo(mut pod: Value) -> Value {
    pod["metadata"]["annotations"]["setGateway"] = json!("foo");
    pod
}
