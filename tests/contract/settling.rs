//! Sinks and dead letters: where a reply goes, and what becomes of an event that the broker gave up on.

use host::RuntimeConfig;
use provisioner::testing::{deleting, released, routed, stored, wanted};
use serde_json::{Value, json};
use tests::events::{Delivery, binary, pending, pending_with};
use tests::peer::{Answer, Call, Step, client, fault, happy, json_step, status, status_object};
use tests::{Peer, Provisioner, Reply};

use crate::answers::with_header;
use crate::{Case, End, end_of, run};

/// What the sink does with a reply.
pub fn accepts() -> Step {
    ("POST", Box::new(|_, _| Answer::Respond(202, vec![], "".into())))
}

pub fn dead(mut request: Delivery) -> Delivery {
    *request.uri_mut() = "/dead-letter".parse().unwrap();
    with_header(with_header(request, "ce-knativeerrorcode", b"503"), "ce-knativeerrordata", b"bm8gbHVjaw==")
}

/// The Pod of the event (`/test`, `1`) as the API server has it.
pub fn found(pod: fn(Value) -> Value) -> Step {
    json_step("GET", 200, move |_| pod(wanted(&[])))
}

/// The answer to a removal: the Pod, and how many seconds it has left.
pub fn ending(grace: u64, finalizers: &'static [&str]) -> Step {
    json_step("DELETE", 200, move |_| {
        let mut pod = deleting(stored(wanted(&[])));
        pod["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
        pod["metadata"]["finalizers"] = json!(finalizers);
        pod
    })
}

/// It runs, and nothing in it is a gateway's.
fn strayed(posted: Value) -> Value {
    released(stored(posted))
}

fn foreign(posted: Value) -> Value {
    let mut pod = stored(posted);
    pod["metadata"]["annotations"]["podgateway.io/event-id"] = json!("another");
    pod
}

pub fn absent() -> Step {
    status("GET", 404, "NotFound", "pods \"x\" not found")
}

pub fn exists() -> Step {
    status("POST", 409, "AlreadyExists", "pods \"x\" already exists")
}

/// What is there when the dead letter comes, the calls that settle it, and the event that the sink gets.
fn states() -> Vec<(&'static str, Vec<Step>, End)> {
    vec![
        ("absent", vec![absent()], End::Failed("Undeliverable")),
        ("gated and routed", vec![found(routed), json_step("PATCH", 200, |_| client(wanted(&[])))], End::Done),
        ("gated and not routed", vec![found(stored), ending(0, &[])], End::Failed("GatewayNotInjected")),
        ("gated, not routed and held", vec![found(stored), ending(0, &["a/b"])], End::Empty(503)),
        ("released", vec![found(client)], End::Done),
        ("released and being deleted", vec![found(|pod| deleting(client(pod)))], End::Done),
        ("released for another gateway", vec![found(for_bar)], End::Failed("PodNameConflict")),
        ("released and nobody's", vec![found(strayed), ending(0, &[])], End::Failed("GatewayNotInjected")),
        ("released, nobody's, and with time left", vec![found(strayed), ending(30, &[])], End::Empty(503)),
        ("released, nobody's, and being deleted", vec![found(|pod| deleting(strayed(pod)))], End::Empty(503)),
        ("gated and being deleted", vec![found(|pod| deleting(routed(pod)))], End::Empty(503)),
        ("foreign", vec![found(foreign)], End::Failed("PodNameConflict")),
        ("unknown, for the API is down", vec![fault("GET", || Answer::Close)], End::Empty(503)),
        ("unknown, for the API is unwell", vec![status("GET", 500, "InternalError", "")], End::Empty(503)),
    ]
}

fn for_bar(posted: Value) -> Value {
    let mut pod = client(posted);
    pod["metadata"]["annotations"]["setGateway"] = json!("bar");
    pod
}

/// The reasons that only a dead letter can have, for the list of all that are seen.
pub fn cases() -> Vec<Case> {
    let case = |(name, script, end)| Case::new("dead letter", name, dead(pending("1", "foo")), script, end);
    states().into_iter().map(case).chain(crate::templates::cases()).collect()
}

/// The API server and the sink are one peer here, so that one script has the order of all calls.
pub async fn deliver(request: Delivery, script: Vec<Step>, more: &[(&str, &str)]) -> (Reply, Vec<Call>) {
    let peer = Peer::start(script).await;
    let (url, origin) = (format!("{}/client-system/default", peer.url()), peer.url());
    let mut variables = vec![("k_sink", url.as_str()), ("sink_origin", origin.as_str())];
    variables.extend(more);
    let provisioner = Provisioner::start_with(&peer.url(), &variables, RuntimeConfig::default());
    let reply = provisioner.deliver(request).await;
    (reply, peer.finish())
}

/// The event that the sink was given, as if it had been the answer.
pub fn reply_in(call: &Call) -> Reply {
    assert_eq!(call.path, "/client-system/default");
    Reply::new(http::StatusCode::OK, call.headers.clone(), call.body.to_string().into())
}

#[tokio::test]
async fn every_state_of_the_pod_is_settled_once_and_told_to_the_sink() {
    for (name, mut script, end) in states() {
        let is_told = !matches!(end, End::Empty(_));
        if is_told {
            script.push(accepts());
        }
        let (reply, calls) = deliver(dead(pending("1", "foo")), script, &[]).await;
        let expected = if is_told { End::Empty(202) } else { end };
        assert_eq!(end_of(&reply), expected, "{name}");
        if is_told {
            assert_eq!(end_of(&reply_in(calls.last().unwrap())), end, "{name}");
        }
    }
}

#[tokio::test]
async fn a_dead_letter_whose_reply_is_not_taken_stays_with_the_broker() {
    for (name, mut script, end) in states() {
        if !matches!(end, End::Empty(_)) {
            script.push(("POST", Box::new(|_, _| Answer::Respond(500, vec![], "".into()))));
            let (reply, _) = deliver(dead(pending("1", "foo")), script, &[]).await;
            assert_eq!(end_of(&reply), End::Empty(503), "{name}");
        }
    }
}

#[tokio::test]
async fn an_undeliverable_event_quotes_why_the_broker_gave_up() {
    let (_, calls) = deliver(dead(pending("1", "foo")), vec![absent(), accepts()], &[]).await;
    let message = calls[1].body["message"].as_str().unwrap().to_owned();
    assert!(message.contains("503") && message.contains("no luck"), "{message}");
}

#[tokio::test]
async fn a_dead_letter_without_a_sink_is_refused_with_what_to_do() {
    let peer = Peer::start(vec![]).await;
    let reply = Provisioner::start(&peer.url(), &[]).deliver(dead(pending("1", "foo"))).await;
    assert_eq!(end_of(&reply), End::Problem(503));
    assert!(reply.json()["detail"].as_str().unwrap().contains("k_sink"));
    peer.finish();
}

#[tokio::test]
async fn a_dead_letter_that_asks_for_nothing_is_acknowledged() {
    let (reply, _) = deliver(dead(binary("1", "com.example.other", "")), vec![], &[]).await;
    assert_eq!(end_of(&reply), End::Empty(202));
    let (reply, calls) = deliver(dead(pending_with("1", "{}")), vec![accepts()], &[]).await;
    assert_eq!(end_of(&reply), End::Empty(202));
    assert_eq!(end_of(&reply_in(&calls[0])), End::Failed("InvalidEventData"));
}

fn with_sink(step: Step) -> Vec<Step> {
    happy().into_iter().chain([step]).collect()
}

#[tokio::test]
async fn a_pod_that_may_run_ends_in_its_own_time_and_is_answered_for_when_it_is_gone() {
    let gone = || json_step("DELETE", 404, |_| status_object(404, "NotFound", "pods \"x\" not found"));
    let success = || json_step("DELETE", 200, |_| json!({"kind": "Status", "status": "Success"}));
    let answers = [
        (ending(30, &[]), End::Empty(503), "30"),
        (ending(0, &["a/b"]), End::Empty(503), "1"),
        (ending(30, &["a/b"]), End::Empty(503), "30"),
        (ending(0, &[]), End::Failed("GatewayNotInjected"), ""),
        (success(), End::Failed("GatewayNotInjected"), ""),
        (gone(), End::Failed("GatewayNotInjected"), ""),
    ];
    for (answer, end, wait) in answers {
        let script = vec![exists(), found(strayed), answer];
        let (reply, calls) = run(Case::new("removal", "of a Pod that runs", pending("1", "foo"), script, end)).await;
        assert_eq!(reply.header("retry-after"), wait, "{end:?}");
        let options = &calls[2].body;
        assert_eq!(options["preconditions"], json!({"uid": stored(wanted(&[]))["metadata"]["uid"]}));
        assert_eq!(options.get("gracePeriodSeconds"), None, "it would be gone while it runs");
    }
}

#[tokio::test]
async fn a_gated_pod_never_ran_and_goes_at_once_in_the_version_that_was_judged() {
    let end = End::Failed("GatewayNotInjected");
    let script = vec![json_step("POST", 201, stored), ending(0, &[])];
    let (_, calls) = run(Case::new("removal", "of a gated Pod", pending("1", "foo"), script, end)).await;
    let metadata = &stored(wanted(&[]))["metadata"];
    let pinned = json!({"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]});
    assert_eq!((&calls[1].body["preconditions"], &calls[1].body["gracePeriodSeconds"]), (&pinned, &json!(0)));
}

#[tokio::test]
async fn the_sink_gets_the_reply_in_binary_mode_with_overrides_and_trace() {
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut request = with_header(pending("1", "foo"), "ce-traceparent", traceparent.as_bytes());
    request = with_header(with_header(request, "ce-tracestate", b"k=v"), "ce-correlationid", b"c");
    let overrides = r#"{"extensions":{"cluster":"eu-1"}}"#;
    let (reply, calls) = deliver(request, with_sink(accepts()), &[("k_ce_overrides", overrides)]).await;
    assert_eq!(end_of(&reply), End::Empty(202));
    for call in &calls {
        assert_eq!(
            (&call.headers["traceparent"], &call.headers["tracestate"]),
            (&traceparent.parse().unwrap(), &"k=v".parse().unwrap())
        );
    }
    let told = reply_in(&calls[2]);
    assert_eq!((end_of(&told), told.header("ce-cluster")), (End::Done, "eu-1"));
    assert_eq!((told.attribute("correlationid"), told.attribute("causationid")), ("c", "1"));
    assert_eq!((told.attribute("traceparent"), told.attribute("tracestate")), (traceparent, "k=v"));
    assert!(!calls[2].headers.contains_key("authorization"), "the token is for the API server alone");
}

#[tokio::test]
async fn the_sink_gets_the_reply_in_structured_mode_where_a_header_cannot_hold_it() {
    let overrides = r#"{"extensions":{"cluster":"eu 1"}}"#;
    let (reply, calls) = deliver(pending("1", "foo"), with_sink(accepts()), &[("k_ce_overrides", overrides)]).await;
    assert_eq!(end_of(&reply), End::Empty(202));
    let told = reply_in(&calls[2]);
    assert_eq!((told.header("content-type"), end_of(&told)), ("application/cloudevents+json", End::Done));
    assert_eq!((told.attribute("cluster"), told.attribute("causationid")), ("eu 1", "1"));
}

#[tokio::test]
async fn a_sink_that_says_anything_but_2xx_makes_it_a_503() {
    let redirect: Step = ("POST", Box::new(|_, _| Answer::Respond(307, vec![("location", "/".into())], "".into())));
    let failures = [301, 400, 404, 429, 500, 503]
        .map(|code| -> Step { ("POST", Box::new(move |_, _| Answer::Respond(code, vec![], "no".into()))) });
    for step in failures.into_iter().chain([redirect, fault("POST", || Answer::Close)]) {
        let (reply, _) = deliver(pending("1", "foo"), with_sink(step), &[]).await;
        assert_eq!(end_of(&reply), End::Empty(503));
    }
    let (reply, _) =
        deliver(pending("1", "foo"), with_sink(fault("POST", || Answer::Hang)), &[("kube_api_timeout", "1s")]).await;
    assert_eq!(end_of(&reply), End::Empty(503));
}

#[tokio::test]
async fn a_sink_that_takes_the_event_may_say_what_it_likes() {
    for answer in [|| Answer::CutBody(200), || Answer::Trickle(202), || Answer::Respond(200, vec![], "garbage".into())]
    {
        let (reply, _) = deliver(pending("1", "foo"), with_sink(fault("POST", answer)), &[]).await;
        assert_eq!(end_of(&reply), End::Empty(202));
    }
}

#[tokio::test]
async fn a_redelivery_posts_the_same_reply_again() {
    let (_, first) = deliver(pending("1", "foo"), with_sink(accepts()), &[]).await;
    let (_, second) = deliver(pending("1", "foo"), vec![exists(), found(client), accepts()], &[]).await;
    assert_eq!(first[2].headers["ce-id"], second[2].headers["ce-id"]);
    assert_eq!(first[2].body, second[2].body);
    assert_eq!(first[2].headers["ce-time"], second[2].headers["ce-time"]);
}

#[tokio::test]
async fn a_sink_that_cannot_be_used_is_said_at_readyz() {
    let rows = [
        ("k_sink", "not a url", "k_sink"),
        ("k_sink", "http://elsewhere.example/", "sink_origin"),
        ("k_ce_overrides", "{", "k_ce_overrides"),
        ("k_ce_overrides", r#"{"extensions":{"id":"x"}}"#, "k_ce_overrides"),
    ];
    for (name, value, named) in rows {
        for request in [tests::events::bare("GET", "/readyz"), pending("1", "foo"), dead(pending("1", "foo"))] {
            let peer = Peer::start(vec![]).await;
            let reply = Provisioner::start(&peer.url(), &[(name, value)]).deliver(request).await;
            peer.finish();
            assert_eq!(end_of(&reply), End::Problem(503), "{name}={value}");
            assert!(reply.json()["detail"].as_str().unwrap().contains(named), "{name}={value}: {:?}", reply.body);
        }
    }
}
