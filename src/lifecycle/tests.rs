use std::cell::RefCell;

use http::Request;
use http::header::HeaderMap;
use serde_json::{Value, json};

use super::*;
use crate::kubernetes::{Api, Token};
use crate::manifest::manifest;
use crate::outbound::Answer;
use crate::testing::{
    GET, Script, absent, answer, client_ended, client_running, config, context, cut, deleting, found, merged, now,
    object, refused, released, routed, run, status, wanted, with_client,
};

mod sweep;

type Calls = Vec<(&'static str, Answer)>;

const PATCH: &str = "PATCH /pods/6ae65cff-3704-5f31-ae9d-cd15c7833b0c";
const DELETE: &str = "DELETE /pods/6ae65cff-3704-5f31-ae9d-cd15c7833b0c";
const READYZ: &str = "GET /readyz";
const UID: &str = "4d5e6f70-0000-4000-8000-000000000001";

fn with<T>(changes: &[(&str, &str)], script: &Script, act: impl FnOnce(&Lifecycle<Script>) -> T) -> T {
    let config = config(changes);
    let token = Token::parse("token", &config.kube_api_url).unwrap_or_else(|error| panic!("{error}"));
    let cluster = Cluster { config: &config, api: Api::new(&config, &token, HeaderMap::new()), outbound: script };
    act(&Lifecycle { cluster: &cluster, now: now() })
}

fn gated() -> Value {
    routed(wanted(&[]))
}

fn runs() -> Value {
    client_running(gated())
}

fn ready() -> (&'static str, Answer) {
    (READYZ, answer(200, "ok"))
}

fn told(pod: Value, state: &str) -> Value {
    merged(pod, &json!({"metadata": {"annotations": {REPORTED: state}}}))
}

fn body(request: &Request<Vec<u8>>) -> Value {
    serde_json::from_slice(request.body()).unwrap_or_default()
}

// What a hint leads to.

fn report(hint: &Value, is_deletion: bool, calls: Calls) -> Result<Option<Report>, Retry> {
    let hint = serde_json::from_value(hint.clone()).unwrap();
    with(&[], &Script::new(calls), |lifecycle| {
        run(lifecycle.report(&hint, is_deletion, &async |_| panic!("nothing is owed")))
    })
}

/// The last word of what is told, and the data of it.
#[track_caller]
fn check_report(hint: &Value, is_deletion: bool, calls: Calls, expected: &str, is_there: bool) -> Value {
    let report = report(hint, is_deletion, calls).unwrap().expect("there is something to tell");
    assert_eq!((report.is_end, report.pod.is_some()), (expected == "ended", is_there));
    let event = json!(report.event);
    assert_eq!(event["type"], format!("io.podgateway.client.{expected}"));
    event["data"].clone()
}

#[track_caller]
fn check_nothing(hint: &Value, is_deletion: bool, calls: Calls) {
    assert!(report(hint, is_deletion, calls).unwrap().is_none());
}

#[test]
fn a_client_that_runs_is_told_once() {
    let data = check_report(&runs(), false, vec![found(&runs())], "running", true);
    assert_eq!(data["started_at"], "2026-01-01T01:00:00Z");
    for state in ["running", "ended"] {
        check_nothing(&runs(), false, vec![found(&told(runs(), state))]);
    }
    let without_gateway = merged(runs(), &json!({"spec": {"initContainers": null}}));
    check_nothing(&runs(), false, vec![found(&without_gateway)]);
}

#[test]
fn a_client_that_has_ended_is_told_once_though_it_was_told_that_it_runs() {
    let ended = client_ended(gated(), 1);
    for pod in [ended.clone(), told(ended.clone(), "running")] {
        let data = check_report(&pod, false, vec![found(&pod)], "ended", true);
        assert_eq!((&data["reason"], &data["exit_code"]), (&json!("Error"), &json!(1)));
    }
    check_nothing(&ended, false, vec![found(&told(ended.clone(), "ended"))]);
}

#[test]
fn what_waits_has_nothing_to_tell() {
    let starting = with_client(gated(), &json!({"waiting": {"reason": "CrashLoopBackOff"}}));
    for pod in [gated(), released(gated()), starting] {
        check_nothing(&pod, false, vec![found(&pod)]);
    }
}

#[test]
fn an_event_is_a_hint_and_the_pod_says_what_is_true() {
    let ended = client_ended(gated(), 0);
    check_report(&ended, false, vec![found(&runs())], "running", true);
    check_report(&runs(), false, vec![found(&ended)], "ended", true);
    // A deletion that has not come to its end, and one that nobody asked for.
    check_report(&ended, true, vec![found(&runs())], "running", true);
    check_nothing(&runs(), true, vec![found(&told(runs(), "running"))]);
    // Another Pod of the same event is there, and speaks for itself.
    let other = merged(runs(), &json!({"metadata": {"uid": "other"}}));
    assert_eq!(check_report(&ended, false, vec![found(&other)], "running", true)["pod_uid"], "other");
}

#[test]
fn a_deletion_is_believed_when_the_pod_is_gone_or_another_has_its_name() {
    let other = merged(runs(), &json!({"metadata": {"uid": "other"}}));
    for call in [absent(), found(&other)] {
        let data = check_report(&deleting(runs()), true, vec![call], "ended", false);
        assert_eq!((&data["reason"], &data["pod_uid"]), (&json!("Deleted"), &json!(UID)));
    }
    // Without a gate it may have run, whatever was seen of it.
    check_report(&deleting(released(gated())), true, vec![absent()], "ended", false);
    // One that was held back never did.
    check_nothing(&deleting(gated()), true, vec![absent()]);
    check_nothing(&told(runs(), "ended"), true, vec![absent()]);
}

#[test]
fn a_change_of_a_pod_that_is_gone_says_nothing() {
    check_nothing(&client_ended(gated(), 0), false, vec![absent()]);
}

#[test]
fn a_pod_that_is_not_ours_is_not_asked_for() {
    for change in [
        json!({"metadata": {"namespace": "kube-system"}}),
        json!({"metadata": {"name": "../../secrets/x"}}),
        json!({"metadata": {"name": "00000000-0000-5000-8000-000000000000"}}),
        json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "helm"}}}),
        json!({"metadata": {"labels": null}}),
        json!({"metadata": {"annotations": {"podgateway.io/event-id": "2"}}}),
        json!({"metadata": {"annotations": {"podgateway.io/event-source": null}}}),
    ] {
        for is_deletion in [false, true] {
            check_nothing(&merged(runs(), &change), is_deletion, vec![]);
        }
    }
    // And one that has taken the name is asked for, and has nothing to tell.
    let foreign = merged(runs(), &json!({"metadata": {"annotations": {"podgateway.io/event-id": "2"}}}));
    check_nothing(&runs(), false, vec![found(&foreign)]);
}

#[test]
fn a_look_that_is_refused_is_left_to_the_broker() {
    for fault in
        [status(403, "Forbidden", ""), status(500, "", ""), answer(404, "<html>"), object(200, &json!({})), cut()]
    {
        for is_deletion in [false, true] {
            assert!(report(&runs(), is_deletion, vec![(GET, fault.clone())]).is_err());
        }
    }
}

#[test]
fn a_report_that_was_taken_is_noted_on_its_very_pod() {
    let note = |pod: &Value, calls: Calls| {
        let Report { is_end, pod, .. } = report(pod, false, vec![found(pod)]).unwrap().unwrap();
        let script = Script::new(calls);
        let noted = with(&[], &script, |lifecycle| run(lifecycle.note(&pod.unwrap(), is_end)));
        (noted, script.sent().iter().map(body).collect::<Vec<_>>())
    };
    for (pod, state) in [(runs(), "running"), (client_ended(gated(), 0), "ended")] {
        let (noted, sent) = note(&pod, vec![(PATCH, object(200, &pod))]);
        assert_eq!(noted, Ok(()));
        assert_eq!(sent, [json!({"metadata": {"uid": UID, "annotations": {REPORTED: state}}})]);
    }
    assert_eq!(note(&runs(), vec![refused(PATCH, 404, "NotFound")]).0, Ok(()));
    for (code, reason) in [(409, "Conflict"), (500, "InternalError")] {
        assert!(note(&runs(), vec![refused(PATCH, code, reason)]).0.is_err());
    }
    assert!(note(&runs(), vec![refused(PATCH, 403, "Forbidden"), ready()]).0.is_err());
    assert!(note(&runs(), vec![(PATCH, answer(200, "<html>"))]).0.is_err());
}

// What an event asks for.

fn terminate(calls: Calls) -> (Result<bool, Verdict>, Vec<Value>) {
    let script = Script::new(calls);
    let client = context("/test", "1");
    let ended = with(&[], &script, |lifecycle| run(lifecycle.terminate(&client, "answer")));
    (ended, script.sent().iter().map(body).collect())
}

#[test]
fn a_client_is_ended_by_two_calls_in_its_own_time() {
    for pod in [runs(), client_ended(gated(), 0), deleting(runs())] {
        let (ended, sent) = terminate(vec![(PATCH, object(200, &pod)), (DELETE, object(200, &deleting(pod.clone())))]);
        assert_eq!(ended, Ok(true));
        assert_eq!(sent[0]["metadata"]["annotations"], json!({TERMINATION: "answer"}));
        assert_eq!((&sent[1]["preconditions"], sent[1].get("gracePeriodSeconds")), (&json!({"uid": UID}), None));
    }
}

#[test]
fn a_client_that_is_held_back_goes_at_once_in_the_version_that_was_seen() {
    let (ended, sent) = terminate(vec![(PATCH, object(200, &gated())), (DELETE, object(200, &gated()))]);
    assert_eq!(ended, Ok(true));
    let pinned = json!({"uid": UID, "resourceVersion": "7"});
    assert_eq!((&sent[1]["preconditions"], &sent[1]["gracePeriodSeconds"]), (&pinned, &json!(0)));
}

#[test]
fn a_client_that_is_gone_is_ended() {
    assert_eq!(terminate(vec![refused(PATCH, 404, "NotFound")]).0, Ok(false));
    // Meanwhile.
    assert_eq!(terminate(vec![(PATCH, object(200, &runs())), refused(DELETE, 404, "NotFound")]).0, Ok(true));
}

#[test]
fn what_is_not_the_events_client_is_left_as_it_is() {
    for key in ["podgateway.io/event-id", "podgateway.io/event-source"] {
        let foreign = merged(runs(), &json!({"metadata": {"annotations": {key: "2"}}}));
        let Err(Verdict::Terminal(failure)) = terminate(vec![(PATCH, object(200, &foreign))]).0 else { panic!() };
        assert_eq!(failure.reason, Reason::PodNameConflict);
        assert!(failure.message.contains("belongs to another event: it is not ended"), "{}", failure.message);
    }
}

#[test]
fn an_end_that_is_refused_fails_and_one_that_may_heal_waits() {
    let seen = || (PATCH, object(200, &gated()));
    for (calls, reason) in [
        (vec![refused(PATCH, 403, "Forbidden"), ready()], Reason::Forbidden),
        (vec![refused(PATCH, 422, "Invalid")], Reason::PodRejected),
        (vec![seen(), refused(DELETE, 403, "Forbidden"), ready()], Reason::Forbidden),
        (vec![seen(), refused(DELETE, 422, "Invalid")], Reason::PodRejected),
    ] {
        let Err(Verdict::Terminal(failure)) = terminate(calls).0 else { panic!() };
        assert_eq!(failure.reason, reason);
    }
    for fault in
        [status(409, "Conflict", ""), status(500, "", ""), answer(404, "<html>"), object(200, &json!({})), cut()]
    {
        assert!(matches!(terminate(vec![(PATCH, fault)]).0, Err(Verdict::Heals(_))));
    }
    let unready = || (READYZ, answer(500, ""));
    for calls in
        [vec![refused(PATCH, 403, "Forbidden"), unready()], vec![seen(), refused(DELETE, 403, "Forbidden"), unready()]]
    {
        assert!(matches!(terminate(calls).0, Err(Verdict::Heals(_))));
    }
    for fault in [status(409, "Conflict", ""), status(500, "", ""), answer(200, "<html>"), cut()] {
        let ended = terminate(vec![seen(), (DELETE, fault)]).0;
        assert!(matches!(ended, Err(Verdict::Heals(_))), "{ended:?}");
    }
}
