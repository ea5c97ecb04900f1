//! Sinks and dead letters: where a reply goes, and what becomes of an event that the broker gave up on.

use provisioner::reason::Reason;
use provisioner::testing::{deleting, merged, routed, stored, wanted};
use serde_json::json;
use tests::events::{pending, with_header};
use tests::peer::Answer::Close;
use tests::peer::{Call, Step, absent, accepts, client, fault, found, happy, json_step, page};
use tests::{Peer, Provisioner, TOKEN};

use crate::{Case, End, run};

/// The answer to a removal: the Pod, and how many seconds it has left.
pub fn ending(grace: u64) -> Step {
    let time = json!({"metadata": {"deletionGracePeriodSeconds": grace}});
    json_step("DELETE", 200, move |_| merged(deleting(stored(wanted(&[]))), &time))
}

/// What is there when the dead letter comes, the calls that settle it, and the event that the sink gets.
pub fn states() -> Vec<Case> {
    let case = |row, script, end| Case::new(row, script, end).given_up();
    vec![
        case("absent", vec![absent()], End::Failed(Reason::Undeliverable)),
        case("gated and routed", vec![found(routed), json_step("PATCH", 200, |_| client(wanted(&[])))], End::Done),
        case("gated and not routed", vec![found(stored), ending(0)], End::Failed(Reason::GatewayNotInjected)),
        case("released", vec![found(client)], End::Done),
        case("gated and being deleted", vec![found(|pod| deleting(routed(pod)))], End::Empty(503)),
        case("unknown", vec![fault("GET", || Close)], End::Empty(503)),
    ]
}

#[tokio::test]
async fn every_state_of_the_pod_is_settled_once_and_told_to_the_sink() {
    for case in states() {
        run(case).await;
    }
}

#[tokio::test]
async fn the_sink_gets_the_reply_with_overrides_and_trace_in_the_mode_that_holds_them() {
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request = with_header(pending("1", "foo"), "ce-traceparent", traceparent);
    let request = with_header(with_header(request, "ce-tracestate", "k=v"), "ce-correlationid", "c");
    let case = Case::new("overrides", happy(), End::Done).of(request);
    let (told, calls) = run(case.with("k_ce_overrides", r#"{"extensions":{"cluster":"eu 1"}}"#).with_sink()).await;
    for call in &calls {
        assert_eq!(["traceparent", "tracestate"].map(|name| &call.headers[name]), [traceparent, "k=v"]);
    }
    assert_eq!(told.header("content-type"), "application/cloudevents+json");
    let said = ["cluster", "correlationid", "causationid", "traceparent", "tracestate"];
    assert_eq!(said.map(|name| told.attribute(name)), ["eu 1", "c", "1", traceparent, "k=v"]);
}

// The token that a sink may want: it goes with every event, as it stands in its file at that time.

const FIRST: &str = "eyJhbGciOiJSUzI1NiJ9.first-token-for-the-sink.c2lnbmF0dXJl";
const SECOND: &str = "eyJhbGciOiJSUzI1NiJ9.second-token-for-the-sink.c2lnbmF0dXJl";

#[tokio::test]
async fn the_sink_gets_the_token_of_its_file_read_anew_for_each_event_and_the_api_server_its_own() {
    let answers = [vec![accepts()], vec![page("POST", 401)], vec![accepts()], vec![]];
    let peer = Peer::start(answers.into_iter().flat_map(|answer| happy().into_iter().chain(answer)).collect()).await;
    let (k_sink, origin) = (format!("{}/sink", peer.url()), peer.url());
    let provisioner = Provisioner::start(&peer.url(), &[("k_sink", &k_sink), ("sink_origin", &origin)]);
    // After one that is refused, or that is none, the next delivery may have a newer one.
    for (token, code) in [(FIRST, 202), (SECOND, 503), ("", 202), ("two\nlines", 503)] {
        let file = provisioner.sink_token_file();
        if token.is_empty() { std::fs::remove_file(file) } else { std::fs::write(file, token) }.unwrap();
        let reply = provisioner.deliver(pending("1", "foo")).await;
        let output = format!("{reply:?}{}", provisioner.logs().text());
        assert_eq!(reply.status, code, "{output}");
        assert!(!output.contains(FIRST) && !output.contains(SECOND), "{output}");
    }
    let (told, asked): (Vec<_>, Vec<_>) = peer.finish().into_iter().partition(|call| call.path == "/sink");
    let sent = |call: &Call| call.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    let bearer = |token: &str| Some(format!("Bearer {token}"));
    assert!(asked.iter().all(|call| sent(call) == bearer(TOKEN)), "{asked:?}");
    assert_eq!(told.iter().map(sent).collect::<Vec<_>>(), [bearer(FIRST), bearer(SECOND), None]);
}
