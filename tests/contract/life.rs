//! A client's life after its release: which calls a hint, a ping and a termination lead to, and what the sink is told.

use provisioner::event::{DELETED, PING, TERMINATION, UPDATED};
use provisioner::testing::{client_ended, client_running, deleting, merged, released, routed, stored, wanted};
use serde_json::{Value, json};
use tests::events::binary;
use tests::peer::{Call, Step, json_step, status};

use crate::settling::{accepts, deliver, reply_in};
use crate::{End, end_of};

const PODS: &str = "/api/v1/namespaces/default/pods";
const SINK: &str = "/client-system/default";

fn runs() -> Value {
    client_running(routed(wanted(&[])))
}

fn uid() -> Value {
    stored(wanted(&[]))["metadata"]["uid"].clone()
}

/// A step that is answered with this object.
fn gives(method: &'static str, object: Value) -> Step {
    json_step(method, 200, move |_| object.clone())
}

/// Delivers an event, which is acknowledged; gives its calls.
async fn calls_of(ty: &str, data: &Value, script: Vec<Step>) -> Vec<Call> {
    let (reply, calls) = deliver(binary("2", ty, &data.to_string()), script, &[]).await;
    assert_eq!(end_of(&reply), End::Empty(202));
    calls
}

#[track_caller]
fn check_paths(calls: &[Call], expected: &[(&str, &str)]) {
    let made: Vec<_> = calls.iter().map(|call| (call.method.as_str(), call.path.as_str())).collect();
    assert_eq!(made, expected);
}

#[tokio::test]
async fn a_client_is_ended_by_two_calls_and_its_producer_is_told() {
    let pending = json!({"source": "/test", "id": "1"});
    let script = vec![gives("PATCH", runs()), gives("DELETE", deleting(runs())), accepts()];
    let calls = calls_of(TERMINATION, &json!({ "pending_event": pending }), script).await;
    let pod = format!("{PODS}/{}", wanted(&[])["metadata"]["name"].as_str().unwrap());
    check_paths(&calls, &[("PATCH", &pod), ("DELETE", &pod), ("POST", SINK)]);
    let told = reply_in(&calls[2]);
    assert_eq!(told.attribute("type"), "io.podgateway.client.termination.done");
    assert_eq!(told.json()["pending_event"], pending);
    let asked = json!({"podgateway.io/termination": told.attribute("id")});
    assert_eq!(calls[0].body["metadata"]["annotations"], asked);
    assert_eq!(
        (&calls[1].body["preconditions"], calls[1].body.get("gracePeriodSeconds")),
        (&json!({"uid": uid()}), None)
    );
}

#[tokio::test]
async fn a_hint_is_looked_into_told_and_noted() {
    let pod = format!("{PODS}/{}", wanted(&[])["metadata"]["name"].as_str().unwrap());
    let ended = client_ended(routed(wanted(&[])), 1);
    for (state, is) in [("running", runs()), ("ended", ended)] {
        // What it says of itself is nothing.
        let script = vec![gives("GET", is.clone()), accepts(), gives("PATCH", is)];
        let calls = calls_of(UPDATED, &released(routed(wanted(&[]))), script).await;
        check_paths(&calls, &[("GET", &pod), ("POST", SINK), ("PATCH", &pod)]);
        assert_eq!(reply_in(&calls[1]).attribute("type"), format!("io.podgateway.client.{state}"));
        let note = json!({"metadata": {"uid": uid(), "annotations": {"podgateway.io/reported": state}}});
        assert_eq!(calls[2].body, note);
    }
    let gone = vec![status("GET", 404, "NotFound", "pods \"x\" not found"), accepts()];
    let calls = calls_of(DELETED, &deleting(runs()), gone).await;
    check_paths(&calls, &[("GET", &pod), ("POST", SINK)]);
    assert_eq!(reply_in(&calls[1]).json()["reason"], "Deleted");
}

#[tokio::test]
async fn a_ping_settles_every_client_that_is_due_page_by_page() {
    let list = |pods: &[&Value], next: &str| gives("GET", json!({"metadata": {"continue": next}, "items": pods}));
    let (gated, ended) = (routed(wanted(&[])), client_ended(routed(wanted(&[])), 0));
    let told = merged(runs(), &json!({"metadata": {"annotations": {"podgateway.io/reported": "running"}}}));
    let script = vec![
        list(&[&gated, &told], "next/page"),
        gives("GET", gated.clone()),
        gives("PATCH", released(gated.clone())),
        accepts(),
        gives("PATCH", released(gated.clone())),
        list(&[&runs(), &ended], ""),
        accepts(),
        gives("PATCH", runs()),
        accepts(),
        gives("PATCH", ended.clone()),
        gives("DELETE", deleting(ended.clone())),
    ];
    let calls = calls_of(PING, &json!({}), script).await;
    let selector = "labelSelector=app.kubernetes.io/managed-by%3Dcloudevents-podgateway-client-provisioner&limit=50";
    let (first, second) = (format!("{PODS}?{selector}&continue="), format!("{PODS}?{selector}&continue=next%2Fpage"));
    let pod = format!("{PODS}/{}", gated["metadata"]["name"].as_str().unwrap());
    let release = [("GET", pod.as_str()), ("PATCH", &pod), ("POST", SINK), ("PATCH", &pod)];
    let reports = [("POST", SINK), ("PATCH", &pod), ("POST", SINK), ("PATCH", &pod), ("DELETE", &pod)];
    check_paths(&calls, &[&[("GET", first.as_str())][..], &release, &[("GET", &second)], &reports].concat());
    let told = calls.iter().filter(|call| call.path == SINK).map(|call| reply_in(call).outcome().to_owned());
    assert_eq!(told.collect::<Vec<_>>(), ["done", "running", "ended"]);
    assert_eq!(calls.last().unwrap().body["preconditions"], json!({"uid": uid()}));
}
