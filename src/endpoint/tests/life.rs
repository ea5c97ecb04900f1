//! A client's life after its release, as it is answered.

use super::*;
use crate::event::{ADDED, DELETED, PING, TERMINATION, UPDATED};

const POD: &str = "6ae65cff-3704-5f31-ae9d-cd15c7833b0c";

fn runs() -> Value {
    client_running(routed(wanted(&[])))
}

fn ended() -> Value {
    client_ended(routed(wanted(&[])), 1)
}

fn hint(ty: &str, pod: &Value) -> Case {
    Case::event(ty, &pod.to_string())
}

fn found(pod: &Value) -> (&'static str, Answer) {
    ("GET", object(200, pod))
}

fn gone(call: &'static str) -> (&'static str, Answer) {
    (call, status(404, "NotFound", "pods \"x\" not found"))
}

fn noted(pod: &Value) -> (&'static str, Answer) {
    ("PATCH", object(200, pod))
}

fn dead(case: Case) -> Case {
    Case { path: "/dead-letter", ..case }
}

fn ping() -> Case {
    Case::event(PING, r#"{"message": "sweep"}"#)
}

fn terminating() -> Case {
    Case::event(TERMINATION, r#"{"pending_event": {"source": "/test", "id": "1"}}"#)
}

// Hints.

#[test]
fn a_hint_is_answered_with_the_state_of_its_pod() {
    for (ty, pod, told, outcome) in [
        (ADDED, runs(), reply::RUNNING, Kind::Running),
        (UPDATED, ended(), reply::ENDED, Kind::Ended),
        (DELETED, ended(), reply::ENDED, Kind::Ended),
    ] {
        let ended = check(hint(ty, &pod).scripted(vec![found(&pod)]), 200, Some(outcome));
        let event = check_event(&ended, told);
        assert_eq!((&event["data"]["pod_name"], &event["causationid"]), (&json!(POD), &json!("1")));
        let log = ended.log();
        assert_eq!((log.pod.as_deref(), log.namespace.as_deref(), log.api_calls), (Some(POD), Some("default"), 1));
    }
    let ended = check(hint(DELETED, &runs()).scripted(vec![gone("GET")]), 200, Some(Kind::Ended));
    assert_eq!(check_event(&ended, reply::ENDED)["data"]["reason"], "Deleted");
}

/// Nobody knows whether an answer arrives.
#[test]
fn a_report_is_noted_once_a_sink_has_taken_it_and_not_before() {
    for (pod, ty, outcome) in [(runs(), reply::RUNNING, Kind::Running), (ended(), reply::ENDED, Kind::Ended)] {
        let case = || hint(UPDATED, &pod).configured(&SINK);
        let mut told = check(case().scripted(vec![found(&pod), taken(), noted(&pod)]), 202, Some(outcome));
        assert_eq!(told.log().api_calls, 2, "the sink is none of the API's");
        told.requests.pop();
        check_sent(&told, ty);
        let refused = ("POST /default", api_answer(500, ""));
        check(case().scripted(vec![found(&pod), refused]), 503, Some(Kind::Retry));
        let unnoted = vec![found(&pod), taken(), ("PATCH", cut())];
        check(case().scripted(unnoted), 503, Some(Kind::Retry));
    }
    let deleted = vec![gone("GET"), taken()];
    check(hint(DELETED, &runs()).configured(&SINK).scripted(deleted), 202, Some(Kind::Ended));
}

/// A sweep released it while the sink was down.
#[test]
fn a_done_that_a_deleted_client_owes_is_told_before_its_end() {
    let owing = merged(runs(), &json!({"metadata": {"annotations": {"podgateway.io/answer-owed": ""}}}));
    let deleted = |answers| hint(DELETED, &owing).configured(&SINK).scripted(answers);
    let told = check(deleted(vec![gone("GET"), taken(), taken()]), 202, Some(Kind::Ended));
    let types = told.requests[1..].iter().map(|sent| event_of(sent.headers(), sent.body())["type"].clone());
    assert_eq!(types.collect::<Vec<_>>(), [reply::DONE, reply::ENDED]);
    check(deleted(vec![gone("GET"), ("POST /default", api_answer(500, ""))]), 503, Some(Kind::Retry));
}

#[test]
fn a_hint_that_leads_to_nothing_is_acknowledged() {
    let gated = routed(wanted(&[]));
    for (hint, script) in [
        (hint(ADDED, &gated), vec![found(&gated)]),
        (hint(UPDATED, &runs()), vec![gone("GET")]),
        (hint(DELETED, &gated), vec![gone("GET")]),
    ] {
        let ended = check(hint.scripted(script), 202, Some(Kind::Ignored));
        assert_eq!((ended.log().pod.as_deref(), ended.log().api_calls), (Some(POD), 1));
    }
    let foreign = merged(runs(), &json!({"metadata": {"name": "other"}}));
    assert_eq!(check(hint(UPDATED, &foreign), 202, Some(Kind::Ignored)).log().pod, None);
}

#[test]
fn a_hint_that_cannot_be_looked_into_stays_with_the_broker() {
    check(hint(UPDATED, &runs()).without_token(), 503, Some(Kind::Retry));
    let busy = json!({"kind": "Status", "details": {"retryAfterSeconds": 3}});
    let ended = check(hint(UPDATED, &runs()).scripted(vec![("GET", object(429, &busy))]), 429, Some(Kind::Retry));
    assert_eq!((ended.header("retry-after"), ended.log().pod.as_deref()), ("3", Some(POD)));
}

/// In the mode Reference an ApiServerSource says no more than a name, in events of other types.
#[test]
fn a_hint_without_a_pod_is_acknowledged_whatever_is_missing() {
    let reference = json!({"apiVersion": "v1", "kind": "Pod", "namespace": "default", "name": POD}).to_string();
    let strange = merged(runs(), &json!({"status": {"startTime": "yesterday"}})).to_string();
    for data in ["", "{}", "[]", "null", "\"x\"", "\u{1f}\u{8b}", &reference, &strange] {
        for ty in [ADDED, UPDATED, DELETED, "dev.knative.apiserver.ref.update"] {
            let case = Case::event(ty, data).without_token().configured(&[("client_image", "")]);
            let said = check(case, 202, Some(Kind::Ignored)).log().message.clone().unwrap_or_default();
            assert!(said.contains("needs mode Resource, and only Pods"), "{ty}: {said}");
        }
    }
}

/// No sweep finds a Pod that is gone.
#[test]
fn a_dead_letter_of_a_deletion_is_told_through_the_sink() {
    let gone = ("GET", status(404, "NotFound", "no"));
    let case = dead(hint(DELETED, &runs())).configured(&SINK).scripted(vec![gone, taken()]);
    check_sent(&check(case, 202, Some(Kind::Ended)), reply::ENDED);
    assert_eq!(dead(hint(DELETED, &runs())).end().answered.response.status(), 503, "without a sink");
}

/// The next sweep finds what else the broker gave up on.
#[test]
fn dead_letters_of_other_hints_and_pings_are_acknowledged_whatever_is_missing() {
    for case in [hint(ADDED, &runs()), hint(UPDATED, &runs()), ping()] {
        let ended = check(dead(case).without_token().configured(&[("client_image", "")]), 202, Some(Kind::Ignored));
        assert!(ended.log().dead_letter);
    }
}

// The sweep.

#[test]
fn a_ping_sweeps_through_the_sink_and_not_without() {
    let ended = check(ping(), 503, Some(Kind::Retry));
    let problem: Value = serde_json::from_str(ended.body()).unwrap();
    assert!(problem["detail"].as_str().unwrap().starts_with("set k_sink, which a SinkBinding does"), "{problem}");

    let list = |pods: &[Value]| ("GET &continue=", object(200, &json!({"metadata": {}, "items": pods})));
    let case = |script| ping().configured(&SINK).scripted(script);
    let ended = check(case(vec![list(&[])]), 202, Some(Kind::Swept));
    assert_eq!((ended.log().pod.as_deref(), ended.log().api_calls), (None, 1));
    let mut ended = check(case(vec![list(&[runs()]), taken(), noted(&runs())]), 202, Some(Kind::Swept));
    ended.requests.pop();
    assert_eq!(check_sent(&ended, reply::RUNNING)["data"]["pod_name"], POD);
    let trouble = case(vec![list(&[runs()]), ("POST /default", api_answer(500, ""))]);
    let ended = check(trouble, 503, Some(Kind::Retry));
    assert_eq!(ended.log().message.as_deref(), Some("the sink answered 500"));
    check(case(vec![("GET", cut())]), 503, Some(Kind::Retry));
}

// The end that somebody asks for.

#[test]
fn an_end_that_is_asked_for_is_answered_once_the_client_is_ending() {
    let removed = ("DELETE", object(200, &deleting(runs())));
    let ended = check(terminating().scripted(vec![("PATCH", object(200, &runs())), removed]), 200, Some(Kind::Done));
    let event = check_event(&ended, reply::TERMINATED);
    assert_eq!(event["data"]["pending_event"], json!({"source": "/test", "id": "1"}));
    assert_eq!((&event["data"]["pod_name"], ended.log().pod.as_deref()), (&json!(POD), Some(POD)));
    // The Pod says who asked.
    let note: Value = serde_json::from_slice(ended.requests[0].body()).unwrap();
    assert_eq!(note["metadata"]["annotations"], json!({"podgateway.io/termination": event["id"]}));
    let ended = check(terminating().scripted(vec![gone("PATCH")]), 200, Some(Kind::Done));
    assert_eq!(check_event(&ended, reply::TERMINATED)["data"]["message"], "there is no client of this event");
}

#[test]
fn an_end_that_cannot_be_had_fails_and_one_that_may_heal_stays_with_the_broker() {
    let foreign = merged(runs(), &json!({"metadata": {"annotations": {"podgateway.io/event-id": "2"}}}));
    let forbidden = vec![("PATCH", status(403, "Forbidden", "no")), ("GET", object(200, &json!("ok")))];
    for (calls, reason) in [(vec![("PATCH", object(200, &foreign))], "PodNameConflict"), (forbidden, "Forbidden")] {
        let ended = check(terminating().scripted(calls), 200, Some(Kind::Failed));
        assert_eq!(check_event(&ended, reply::NOT_TERMINATED)["data"]["reason"], reason);
        assert_eq!(json!(ended.log().reason), reason);
    }
    check(terminating().scripted(vec![("PATCH", cut())]), 503, Some(Kind::Retry));
    check(terminating().without_token(), 503, Some(Kind::Retry));
    for data in ["", "{}", "[]", r#"{"pending_event": "1"}"#, r#"{"pending_event": {"source": "/test"}}"#] {
        let ended = check(Case::event(TERMINATION, data).without_token(), 200, Some(Kind::Failed));
        let event = check_event(&ended, reply::NOT_TERMINATED);
        assert_eq!(event["data"]["reason"], "InvalidEventData");
        assert_eq!((event["data"]["pod_name"].clone(), ended.log().pod.as_deref()), (json!(null), None));
    }
}

#[test]
fn an_end_that_the_broker_gave_up_on_is_settled_through_the_sink_and_not_without() {
    check(dead(terminating()), 503, Some(Kind::Retry));
    let case = dead(terminating()).configured(&SINK).scripted(vec![gone("PATCH"), taken()]);
    check_sent(&check(case, 202, Some(Kind::Done)), reply::TERMINATED);
}

// The token.

#[test]
fn no_token_leaves_with_what_is_told_of_a_life() {
    let token = token();
    let state = json!({"terminated": {"exitCode": 1, "message": format!("{}{token}", "x".repeat(1_950))}});
    let statuses = json!({"status": {"containerStatuses": [{"name": "client", "state": state}]}});
    let at_node = json!({"spec": {"nodeName": token}, "status": {"podIP": token}});
    for (pod, outcome) in [(merged(ended(), &statuses), Kind::Ended), (merged(runs(), &at_node), Kind::Running)] {
        check_no_token(&check(hint(UPDATED, &pod).scripted(vec![found(&pod)]), 200, Some(outcome)), true);
        let variables = [SINK[0], SINK[1], ("client_retention", "off")];
        let mut list = vec![("GET", object(200, &json!({"metadata": {}, "items": [&pod]}))), taken(), noted(&pod)];
        check_no_token(&check(ping().configured(&variables).scripted(list.clone()), 202, Some(Kind::Swept)), true);
        list[0] = found(&pod);
        check_no_token(&check(hint(UPDATED, &pod).configured(&SINK).scripted(list), 202, Some(outcome)), true);
    }
    let denied = vec![("PATCH", status(422, "Invalid", &token))];
    check_no_token(&check(terminating().scripted(denied), 200, Some(Kind::Failed)), true);
    let fault = vec![("GET", status(500, "InternalError", &token))];
    check_no_token(&check(hint(UPDATED, &runs()).scripted(fault), 503, Some(Kind::Retry)), false);
}
