//! The broker over HTTP, between a producer and a scripted subscriber.

mod subscriber;

use super::*;
use bytes::Bytes;
use cloudevents::{AttributesReader, Event};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use std::time::Duration;
use subscriber::{Says, Subscriber};

const PENDING: &str = "io.podgateway.client.pending";
const DONE: &str = "io.podgateway.client.scheduling.done";

fn quick(retry: u32) -> Delivery {
    Delivery { retry, backoff_delay: Duration::from_millis(1), ..Delivery::default() }
}

async fn broker(subscriber: &Subscriber, retry: u32) -> Broker {
    let mut config = BrokerConfig::new(subscriber.uri(), PENDING);
    config.triggers[0].delivery = quick(retry);
    Broker::bind(config).await.unwrap()
}

async fn post(uri: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> (u16, HeaderMap, Bytes) {
    let method = if headers.is_empty() { "OPTIONS" } else { "POST" };
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body.into())).unwrap();
    let client = Client::builder(TokioExecutor::new()).build_http();
    let (parts, body) = client.request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status.as_u16(), parts.headers, body)
}

async fn publish(broker: &Broker, ty: &str) {
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "/producer"),
        ("ce-type", ty),
        ("content-type", "application/json"),
    ];
    let (status, ..) = post(broker.url(), &headers, "{\"gateway_name\": \"foo\"}").await;
    assert_eq!(status, 202);
    broker.wait_idle().await;
}

fn steps(broker: &Broker) -> Vec<String> {
    let kind = |step: BrokerEvent| serde_json::to_value(step).unwrap()["kind"].clone();
    let kinds = broker.journal.events().into_iter().map(kind);
    kinds.map(|kind| kind.as_str().unwrap().to_owned()).collect()
}

fn dead_letters(broker: &Broker) -> Vec<BrokerEvent> {
    let is_dead = |step: &BrokerEvent| matches!(step.kind, Passed::DeadLettered { .. });
    broker.journal.events().into_iter().filter(is_dead).collect()
}

fn extension(event: &Event, name: &str) -> Option<String> {
    event.extension(name).map(ToString::to_string)
}

#[tokio::test]
async fn subscriber_sees_what_a_knative_subscriber_sees() {
    let subscriber = Subscriber::new(&[]).await;
    let broker = broker(&subscriber, 0).await;
    publish(&broker, PENDING).await;
    let (headers, body) = subscriber.seen().remove(0);
    assert_eq!(headers["prefer"], "reply");
    assert_eq!(headers["kn-namespace"], "default");
    assert!(headers.contains_key("ce-knativearrivaltime"));
    assert!(!headers.contains_key("ce-knativebrokerttl"));
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(body, "{\"gateway_name\": \"foo\"}");
    assert_eq!(steps(&broker), ["received", "delivered"]);
}

#[tokio::test]
async fn a_header_passes_as_it_stands_and_a_structured_attribute_becomes_one_as_it_is() {
    let subscriber = Subscriber::new(&[]).await;
    let broker = broker(&subscriber, 0).await;
    let mut event = vec![("ce-specversion", "1.0"), ("ce-id", "a%20b"), ("ce-source", "/s"), ("ce-type", PENDING)];
    event.extend([("ce-some", "50% \"\u{20ac}\""), ("ce-time", "2026-01-02T03:04:05Z"), ("ce-subject", "50%ff")]);
    event.push(("content-type", "text/plain"));
    assert_eq!(post(broker.url(), &event, "{ }").await.0, 202);
    let structured = [("content-type", "Application/CloudEvents+JSON; charset=utf-8")];
    let body = "\u{feff}{\"specversion\": \"1.0\", \"id\": \"a b\", \"source\": \"/s\", \"subject\": \"\u{20ac} 100%\",
        \"type\": \"io.podgateway.client.pending\", \"some\": null, \"data\": {\"a\": 1}}";
    assert_eq!(post(broker.url(), &structured, body).await.0, 202);
    broker.wait_idle().await;
    let mut seen = subscriber.seen();
    seen.sort_by_key(|(headers, _)| headers["ce-id"].as_bytes().to_vec());
    let (first, second) = (&seen[1], &seen[0]);
    for (name, value) in event {
        assert_eq!(first.0[name].as_bytes(), value.as_bytes(), "{name}");
    }
    assert_eq!((&first.1[..], &second.1[..]), (&b"{ }"[..], &b"{\"a\":1}"[..]));
    assert_eq!(
        (second.0["ce-id"].as_bytes(), second.0["ce-subject"].as_bytes()),
        (&b"a b"[..], "\u{20ac} 100%".as_bytes())
    );
    assert!(!second.0.contains_key("ce-some"));
}

#[tokio::test]
async fn an_event_that_headers_cant_hold_is_delivered_as_json() {
    let subscriber = Subscriber::new(&[]).await;
    let broker = broker(&subscriber, 0).await;
    let structured = "application/cloudevents+json";
    let event = json!({"specversion": "1.0", "id": "a\nb", "source": "/s", "type": PENDING, "data": {"a": 1}});
    assert_eq!(post(broker.url(), &[("content-type", structured)], event.to_string()).await.0, 202);
    broker.wait_idle().await;
    let (headers, body) = subscriber.seen().remove(0);
    assert_eq!(
        (headers["content-type"].as_bytes(), headers["prefer"].as_bytes()),
        (structured.as_bytes(), &b"reply"[..])
    );
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&body["id"], &body["data"]), (&event["id"], &event["data"]));
}

#[tokio::test]
async fn other_types_are_taken_in_and_not_delivered() {
    let subscriber = Subscriber::new(&[]).await;
    let broker = broker(&subscriber, 0).await;
    publish(&broker, DONE).await;
    assert!(subscriber.seen().is_empty());
    assert_eq!(steps(&broker), ["received", "unmatched"]);
}

#[tokio::test]
async fn reply_is_taken_in_as_a_new_event_with_one_pass_less() {
    let subscriber = Subscriber::new(&[Says::Event(DONE)]).await;
    let broker = broker(&subscriber, 0).await;
    publish(&broker, PENDING).await;
    let expect = ["received", "delivered", "reply", "received", "unmatched"];
    assert_eq!(steps(&broker), expect);
    let reply = &broker.journal.events()[3].event;
    assert_eq!((reply.ty(), reply.id()), (DONE, "reply"));
    assert_eq!(extension(reply, "knativebrokerttl").unwrap(), "254");
}

#[tokio::test]
async fn what_can_heal_is_retried_until_it_has() {
    let answers = [503, 404, 408, 409, 429, 500].map(Says::Status);
    let subscriber = Subscriber::new(&answers).await;
    let broker = broker(&subscriber, 10).await;
    publish(&broker, PENDING).await;
    assert_eq!(subscriber.seen().len(), 7);
    assert!(dead_letters(&broker).is_empty());
}

#[tokio::test]
async fn what_cannot_heal_is_a_dead_letter_at_once() {
    for code in [301, 400, 401, 403, 405, 410, 413, 415, 422] {
        let subscriber = Subscriber::new(&[Says::Text(code, "why")]).await;
        let broker = broker(&subscriber, 10).await;
        publish(&broker, PENDING).await;
        let letter = dead_letters(&broker).remove(0);
        assert_eq!(subscriber.seen().len(), 1, "{code}");
        assert_eq!(extension(&letter.event, "knativeerrorcode").unwrap(), code.to_string());
        assert_eq!(extension(&letter.event, "knativeerrordata").unwrap(), "d2h5");
        let destination = extension(&letter.event, "knativeerrordest").unwrap();
        assert_eq!(destination, subscriber.uri().to_string());
    }
}

#[tokio::test]
async fn success_with_a_body_that_is_no_event_is_retried_as_a_502() {
    let subscriber = Subscriber::new(&[Says::Text(200, "ok"), Says::Text(200, "ok")]).await;
    let broker = broker(&subscriber, 1).await;
    publish(&broker, PENDING).await;
    assert_eq!(steps(&broker), ["received", "retry", "deadLettered"]);
    let status = Some(502);
    assert!(matches!(broker.journal.events()[1].kind, Passed::Retry { status: it, .. } if it == status));
    let letter = dead_letters(&broker).remove(0);
    assert_eq!(extension(&letter.event, "knativeerrorcode"), None);
}

#[tokio::test]
async fn attempt_without_an_answer_ends_at_its_timeout() {
    let subscriber = Subscriber::new(&[Says::Nothing, Says::Status(200)]).await;
    let mut config = BrokerConfig::new(subscriber.uri(), PENDING);
    config.triggers[0].delivery = quick(1);
    config.triggers[0].delivery.timeout = Some(Duration::from_millis(200));
    let broker = Broker::bind(config).await.unwrap();
    publish(&broker, PENDING).await;
    assert_eq!(steps(&broker), ["received", "retry", "delivered"]);
}

#[tokio::test]
async fn dead_letter_goes_to_its_sink_and_what_that_answers_goes_nowhere() {
    let sink = Subscriber::new(&[Says::Status(503), Says::Event(DONE)]).await;
    let subscriber = Subscriber::new(&[]).await;
    let gone = subscriber.uri();
    subscriber.server.shutdown().await;
    let mut config = BrokerConfig::new(gone.clone(), PENDING);
    config.triggers[0].delivery = quick(1);
    config.triggers[0].dead_letter_sink = Some(sink.uri());
    let broker = Broker::bind(config).await.unwrap();
    publish(&broker, PENDING).await;
    let expect = ["received", "retry", "deadLettered", "retry", "deadLetterSink"];
    assert_eq!(steps(&broker), expect);
    assert_eq!(broker.journal.events().pop().unwrap().kind, Passed::DeadLetterSink { status: Some(200) });
    let (headers, body) = sink.seen().remove(1);
    assert_eq!(headers["ce-knativeerrordest"], gone.to_string().as_str());
    assert_eq!(headers["ce-knativeerrorcode"], "500");
    assert_eq!(headers["ce-type"], PENDING);
    assert_eq!(body, "{\"gateway_name\": \"foo\"}");
}

#[tokio::test]
async fn endless_replies_end_when_the_ttl_is_used_up() {
    let subscriber = Subscriber::new(&vec![Says::Event(DONE); 400]).await;
    let mut config = BrokerConfig::new(subscriber.uri(), PENDING);
    config.triggers[0].filter = Filter::default();
    let broker = Broker::bind(config).await.unwrap();
    publish(&broker, PENDING).await;
    assert_eq!(subscriber.seen().len(), 255);
    let letter = dead_letters(&broker).remove(0);
    assert_eq!(extension(&letter.event, "knativeerrordest").unwrap(), broker.url().to_owned());
}

#[tokio::test]
async fn ingress_refuses_what_is_no_event_for_this_broker() {
    let subscriber = Subscriber::new(&[]).await;
    let broker = broker(&subscriber, 0).await;
    let root = format!("http://{}", broker.local_addr());
    let json = [("content-type", "application/json")];
    let batch = [("content-type", "application/cloudevents-batch+json")];
    let event = [("content-type", "application/cloudevents+json; charset=utf-8")];
    let body = r#"{"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": {}}"#;
    assert_eq!(post(broker.url(), &json, "{}").await.0, 400);
    assert_eq!(post(broker.url(), &batch, "[]").await.0, 415);
    assert_eq!(post(broker.url(), &event, "{}").await.0, 400);
    assert_eq!(post(broker.url(), &event, body).await.0, 202);
    for wrong in [
        r#"{"specversion": "9.9", "id": "1", "source": "/s", "type": "t"}"#,
        r#"{"specversion": "1.0", "id": "", "source": "/s", "type": "t"}"#,
        r#"{"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "a_b": "x"}"#,
        r#"{"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": 1, "data_base64": "AAE="}"#,
    ] {
        assert_eq!(post(broker.url(), &event, wrong).await.0, 400, "{wrong}");
    }
    // What the component doesn't read, but every other consumer.
    for (name, value) in [("time", "\"now\""), ("dataschema", "\"a b\""), ("subject", "5"), ("other", "{}")] {
        let wrong = format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t","{name}":{value},"data":""}}"#);
        let (status, _, said) = post(broker.url(), &event, wrong).await;
        let expected = format!("not a CloudEvent: the attribute {name} can't be read: ");
        assert!(status == 400 && said.starts_with(expected.as_bytes()), "{said:?}");
    }
    assert_eq!(post(&format!("{root}/"), &event, body).await.0, 404);
    assert_eq!(post(&format!("{root}/default/other"), &event, body).await.0, 404);
    assert_eq!(post(&format!("{root}/a/b/c"), &event, body).await.0, 400);
    let (status, headers, _) = post(broker.url(), &[], "").await;
    assert_eq!((status, headers["webhook-allowed-origin"].as_bytes()), (200, &b"*"[..]));
    assert_eq!(broker.journal.events().len(), 2);
}

#[tokio::test]
async fn event_goes_to_each_trigger_that_it_matches_and_each_delivers_in_its_own_way() {
    let provisioner = Subscriber::new(&[Says::Event(DONE)]).await;
    let listeners = [Subscriber::new(&[Says::Status(503)]).await, Subscriber::new(&[Says::Status(503)]).await];
    let other = Subscriber::new(&[]).await;
    let mut config = BrokerConfig::new(provisioner.uri(), PENDING);
    let to = |subscriber: &Subscriber, filter| Trigger::new(subscriber.uri(), filter);
    let mut patient = to(&listeners[0], Filter::of_type(DONE));
    patient.delivery = quick(1);
    let mut hasty = to(&listeners[1], Filter::of_type(DONE));
    hasty.delivery = quick(0);
    config.triggers.extend([patient, hasty, to(&other, Filter::of_type("nobody's"))]);
    let broker = Broker::bind(config).await.unwrap();
    publish(&broker, PENDING).await;
    assert_eq!(listeners.each_ref().map(|listener| listener.seen().len()), [2, 1]);
    assert!(listeners[0].seen().iter().all(|(headers, _)| headers["ce-id"] == "reply"));
    assert!(other.seen().is_empty());
    assert_eq!((provisioner.seen().len(), dead_letters(&broker).len()), (1, 1));
    let steps = steps(&broker);
    assert!(!steps.contains(&"unmatched".to_owned()), "{steps:?}");
    let reply = broker.journal.events().into_iter().find(|step| matches!(step.kind, Passed::Reply { .. })).unwrap();
    assert_eq!(reply.subscriber, None, "only one Trigger matches it");
    for (subscriber, kind) in [(&listeners[0], "delivered"), (&listeners[1], "deadLettered")] {
        let is_its = |step: &BrokerEvent| step.subscriber == Some(subscriber.uri().to_string());
        let last = broker.journal.events().into_iter().rfind(is_its).unwrap();
        assert_eq!(serde_json::to_value(last).unwrap()["kind"], kind);
    }
}

#[tokio::test]
async fn reply_of_any_subscriber_is_taken_in() {
    let (provisioner, player) = (Subscriber::new(&[]).await, Subscriber::new(&[Says::Event(DONE)]).await);
    let mut config = BrokerConfig::new(provisioner.uri(), PENDING);
    config.triggers.push(Trigger::new(player.uri(), Filter::of_type("other")));
    let broker = Broker::bind(config).await.unwrap();
    publish(&broker, "other").await;
    assert_eq!(steps(&broker), ["received", "delivered", "reply", "received", "unmatched"]);
    assert!(provisioner.seen().is_empty());
}

#[tokio::test]
async fn steps_are_told_to_who_subscribed() {
    let subscriber = Subscriber::new(&[]).await;
    let broker = broker(&subscriber, 0).await;
    let mut steps = broker.journal.subscribe();
    publish(&broker, PENDING).await;
    assert_eq!(steps.recv().await.unwrap().kind, Passed::Received);
    assert_eq!(steps.recv().await.unwrap().kind, Passed::Delivered { status: 202 });
}

#[tokio::test]
async fn stopping_ends_a_retry_that_waits() {
    let subscriber = Subscriber::new(&[Says::Status(503)]).await;
    let mut config = BrokerConfig::new(subscriber.uri(), PENDING);
    config.triggers[0].delivery.backoff_delay = Duration::from_secs(3600);
    let broker = Broker::bind(config).await.unwrap();
    let mut steps = broker.journal.subscribe();
    let dispatcher = Arc::clone(&broker);
    let publishing = publish(&broker, PENDING);
    let waiting = async { while !matches!(steps.recv().await.unwrap().kind, Passed::Retry { .. }) {} };
    tokio::select! { () = publishing => panic!("it is still to be retried"), () = waiting => {} }
    assert_eq!(broker.in_flight(), 1);
    broker.shutdown().await;
    dispatcher.wait_idle().await;
}

#[tokio::test]
async fn subscriber_that_is_no_http_url_is_refused_by_name() {
    let config = BrokerConfig::new("https://example.com/".parse().unwrap(), PENDING);
    let error = Broker::bind(config).await.err().unwrap();
    assert!(error.to_string().starts_with("https://example.com/"), "{error}");
}
