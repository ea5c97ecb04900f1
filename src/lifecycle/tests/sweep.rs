//! What a look at all clients settles, and what it costs.

use super::*;

const FIRST: &str = "GET limit=50&continue=";

/// The Pod of the event (`/test`, `id`), routed and gated.
fn client(id: &str) -> Value {
    let (context, config) = (context("/test", id), config(&[]));
    let pending = Pending::new(&context, "foo", &config).unwrap();
    merged(routed(manifest(&pending, &config, None)), &json!({"metadata": {"uid": format!("uid-{id}")}}))
}

fn page(pods: &[Value], next: &str) -> Answer {
    object(200, &json!({"kind": "PodList", "metadata": {"continue": next}, "items": pods}))
}

fn listed(pods: &[Value]) -> (&'static str, Answer) {
    (FIRST, page(pods, ""))
}

fn noted(pod: &Value) -> (&'static str, Answer) {
    ("PATCH", object(200, pod))
}

fn gone(call: &'static str) -> (&'static str, Answer) {
    refused(call, 404, "NotFound")
}

/// What a sweep came to: its end, what was told (each as the last word of its type and the event it is about), and what
/// was sent.
type Swept = (Result<(), Retry>, Vec<String>, Vec<Request<Vec<u8>>>);

fn sweep_with(changes: &[(&str, &str)], calls: Calls, takes: impl Fn(&Value) -> bool) -> Swept {
    let (script, told) = (Script::new(calls), RefCell::default());
    let tell = async |event: Event| {
        let event = json!(event);
        if !takes(&event) {
            return Err(Retry::because("the sink answered 500"));
        }
        let word = event["type"].as_str().unwrap().rsplit('.').next().unwrap().to_owned();
        let about = event["data"]["pending_event"]["id"].as_str().unwrap().to_owned();
        Vec::push(&mut *told.borrow_mut(), format!("{word} {about}"));
        Ok(())
    };
    let swept = with(changes, &script, |lifecycle| run(lifecycle.sweep(&tell)));
    let sent = script.sent();
    (swept, told.take(), sent)
}

#[track_caller]
fn check(changes: &[(&str, &str)], calls: Calls, told: &[&str]) -> Vec<Request<Vec<u8>>> {
    let (swept, were_told, sent) = sweep_with(changes, calls, |_| true);
    assert_eq!((swept, were_told), (Ok(()), told.iter().map(ToString::to_string).collect()));
    sent
}

/// A client that ended so many minutes ago.
fn ended(id: &str, minutes: i64) -> Value {
    let state = json!({"terminated": {"exitCode": 0, "finishedAt": now() - chrono::TimeDelta::minutes(minutes)}});
    let never = json!({"spec": {"restartPolicy": "Never"}});
    merged(with_client(client(id), &state), &never)
}

/// A gated Pod that is so many minutes old.
fn held(pod: Value, minutes: i64) -> Value {
    merged(pod, &json!({"metadata": {"creationTimestamp": now() - chrono::TimeDelta::minutes(minutes)}}))
}

#[test]
fn a_sweep_with_nothing_due_costs_a_call_for_each_page() {
    let quiet = [
        held(client("1"), 20),
        released(client("2")),
        told(client_running(client("3")), "running"),
        told(ended("4", 59), "ended"),
        merged(client_running(client("5")), &json!({"metadata": {"name": "forged"}})),
        told(client_running(client("6")), "ended"),
    ];
    let pages = vec![
        (FIRST, page(&quiet, "a+b/=")),
        ("GET limit=50&continue=a%2Bb%2F%3D", page(&quiet, "c")),
        ("GET limit=50&continue=c", page(&[], "")),
    ];
    check(&[], pages, &[]);
    // An empty list may be null.
    check(&[], vec![(FIRST, object(200, &json!({"kind": "PodList", "metadata": {}, "items": null})))], &[]);
}

#[test]
fn a_page_that_is_too_large_is_asked_for_in_smaller_ones_down_to_one_client() {
    let too_large = |call| (call, Err(NoAnswer::TooLarge(2 << 20)));
    let last = "GET limit=1&continue=";
    let shrinking = || vec![too_large(FIRST), too_large("GET limit=12&continue="), too_large("GET limit=3&continue=")];
    let mut calls = shrinking();
    calls.extend([(last, page(&[], "a")), ("GET limit=1&continue=a", page(&[], ""))]);
    check(&[], calls, &[]);
    // One that is too large by itself is the end of it, and never is there no limit.
    let mut calls = shrinking();
    calls.push(too_large(last));
    assert!(sweep_with(&[], calls, |_| true).0.is_err());
}

#[test]
fn a_list_that_cannot_be_had_ends_the_sweep() {
    for fault in [
        status(403, "Forbidden", ""),
        status(410, "Expired", ""),
        status(500, "", ""),
        object(200, &json!({"kind": "Status"})),
        page(&[], &"/".repeat(30_000)),
        cut(),
    ] {
        assert!(sweep_with(&[], vec![(FIRST, fault.clone())], |_| true).0.is_err());
        let later = vec![(FIRST, page(&[], "a")), ("GET limit=50&continue=a", fault)];
        assert!(sweep_with(&[], later, |_| true).0.is_err());
    }
}

#[test]
fn a_client_that_the_broker_has_forgotten_is_settled() {
    let late = held(client("1"), 21);
    let list = || listed(std::slice::from_ref(&late));
    let get = ("GET", object(200, &late));
    let owing = merged(released(late.clone()), &json!({"metadata": {"annotations": {OWED: ""}}}));
    let (let_go, paid) = (|| ("PATCH", object(200, &owing)), || noted(&released(late.clone())));
    let sent = check(&[], vec![list(), get.clone(), let_go(), paid()], &["done 1"]);
    let annotations = |request: &Request<Vec<u8>>| body(request)["metadata"]["annotations"].clone();
    assert_eq!((annotations(&sent[2]), annotations(&sent[3])), (json!({OWED: ""}), json!({OWED: null})));
    let patient = [("client_patience", "21m")];
    check(&patient, vec![list()], &[]);
    check(&[("client_patience", "1260500ms")], vec![list()], &[]);
    // Nobody routed it, its gateway may not be used any more, or its gate can never be removed.
    let unrouted = merged(late.clone(), &json!({"spec": {"initContainers": null}}));
    let removed = || ("DELETE", object(200, &unrouted));
    check(&[], vec![list(), ("GET", object(200, &unrouted)), removed()], &["failed 1"]);
    let says =
        |event: &Value| event["data"]["message"].as_str().unwrap().contains("is removed before it can run: no gateway");
    assert!(sweep_with(&[], vec![list(), ("GET", object(200, &unrouted)), removed()], says).0.is_ok());
    check(&[("gateways", "bar")], vec![list(), get.clone(), removed()], &["failed 1"]);
    check(&[], vec![list(), get.clone(), refused("PATCH", 422, "Invalid"), removed()], &["failed 1"]);
    // Another settles it meanwhile, or somebody deletes it.
    check(&[], vec![list(), gone("GET")], &["failed 1"]);
    check(&[], vec![list(), ("GET", object(200, &released(late.clone())))], &[]);
    check(&[], vec![list(), ("GET", object(200, &deleting(late.clone())))], &[]);
    check(&[], vec![listed(&[deleting(late.clone())])], &[]);
    // It is somebody else's by now.
    let foreign = merged(late.clone(), &json!({"metadata": {"annotations": {"podgateway.io/event-id": "2"}}}));
    check(&[], vec![list(), ("GET", object(200, &foreign))], &[]);
    // What may heal is told nobody, and comes again with the next sweep.
    for calls in [vec![refused("GET", 500, "")], vec![get.clone(), refused("PATCH", 409, "Conflict")]] {
        let calls = [list()].into_iter().chain(calls).collect();
        let (swept, told, _) = sweep_with(&[], calls, |_| true);
        assert!(swept.is_err() && told.is_empty());
    }
    // An answer that no sink took is sent by the next sweep.
    let unsent = |calls| assert!(sweep_with(&[], calls, |_| false).0.is_err());
    unsent(vec![list(), get, let_go()]);
    check(&[], vec![listed(std::slice::from_ref(&owing)), paid()], &["done 1"]);
    unsent(vec![list(), ("GET", object(200, &unrouted))]);
}

#[test]
fn what_was_not_told_is_told_and_noted() {
    let pods = [client_running(client("1")), ended("2", 1), told(ended("3", 1), "running")];
    let calls = [listed(&pods)].into_iter().chain(pods.iter().map(noted)).collect();
    let sent = check(&[], calls, &["running 1", "ended 2", "ended 3"]);
    let notes: Vec<_> = sent[1..].iter().map(|note| body(note)["metadata"].clone()).collect();
    let expected = [("uid-1", "running"), ("uid-2", "ended"), ("uid-3", "ended")]
        .map(|(uid, state)| json!({"uid": uid, "annotations": {REPORTED: state}}));
    assert_eq!(notes, expected);
}

#[test]
fn a_client_that_ended_long_ago_is_told_of_and_then_deleted() {
    let removed = || ("DELETE", object(200, &ended("1", 60)));
    let sent = check(&[], vec![listed(&[ended("1", 60)]), noted(&ended("1", 60)), removed()], &["ended 1"]);
    let options = body(&sent[2]);
    assert_eq!((&options["preconditions"], options.get("gracePeriodSeconds")), (&json!({"uid": "uid-1"}), None));
    check(&[], vec![listed(&[told(ended("1", 60), "ended")]), removed()], &[]);
    check(&[], vec![listed(&[told(ended("1", 60), "ended")]), gone("DELETE")], &[]);
    // A webhook on updates has every note refused.
    let unnoted = vec![listed(&[ended("1", 60)]), refused("PATCH", 422, "Invalid"), removed()];
    let (swept, told_of, _) = sweep_with(&[], unnoted, |_| true);
    assert!(swept.is_err() && told_of == ["ended 1"]);
    let owing = merged(ended("1", 60), &json!({"metadata": {"annotations": {OWED: ""}}}));
    let unnoted = vec![listed(&[owing]), refused("PATCH", 422, "Invalid"), refused("PATCH", 422, "Invalid"), removed()];
    let (swept, told_of, _) = sweep_with(&[], unnoted, |_| true);
    assert!(swept.is_err() && told_of == ["done 1", "ended 1"]);
    let at_once = [("client_retention", "0s")];
    check(&at_once, vec![listed(&[ended("1", 0)]), noted(&ended("1", 0)), removed()], &["ended 1"]);
    // Never; or it is on its way already; or it runs on.
    let off = [("client_retention", "off")];
    check(&off, vec![listed(&[told(ended("1", 100_000), "ended")])], &[]);
    check(&at_once, vec![listed(&[told(deleting(ended("1", 60)), "ended")])], &[]);
    // A redelivery could still make a second one, or a dead letter fail its event.
    check(&at_once, vec![listed(&[told(held(ended("1", 0), 40), "ended")])], &[]);
    check(&at_once, vec![listed(&[told(held(ended("1", 0), 41), "ended")]), removed()], &[]);
    let since_january = told(client_running(client("1")), "running");
    check(&at_once, vec![listed(&[since_january])], &[]);
}

#[test]
fn one_clients_trouble_is_not_the_others() {
    let pods = [ended("1", 59), client_running(client("2")), told(ended("3", 60), "ended")];
    let calls = vec![
        (FIRST, page(&pods, "a")),
        refused("PATCH", 500, "InternalError"),
        noted(&pods[1]),
        refused("DELETE", 403, "Forbidden"),
        ("GET limit=50&continue=a", page(&[client_running(client("4"))], "")),
        noted(&client("4")),
    ];
    let (swept, told, _) = sweep_with(&[], calls, |_| true);
    assert_eq!(told, ["ended 1", "running 2", "running 4"]);
    // The first trouble is what is said of it.
    assert!(swept.unwrap_err().cause.contains("answered 500"));
}

#[test]
fn what_the_sink_does_not_take_is_neither_noted_nor_deleted() {
    let pods = [ended("1", 60), client_running(client("2"))];
    let (swept, told, _) = sweep_with(&[], vec![listed(&pods)], |_| false);
    assert_eq!((swept.unwrap_err().cause.as_str(), told.len()), ("the sink answered 500", 0));
    // One of two.
    let is_second = |event: &Value| event["data"]["pending_event"]["id"] == "2";
    let (swept, told, _) = sweep_with(&[], vec![listed(&pods), noted(&pods[1])], is_second);
    assert!(swept.is_err());
    assert_eq!(told, ["running 2"]);
}
