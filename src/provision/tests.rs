use std::fmt::Debug;
use std::time::Duration;

use http::Request;
use http::header::HeaderMap;
use serde_json::json;

use super::*;
use crate::cluster::LARGEST_ANSWER;
use crate::kubernetes::{Api, Token, settled};
use crate::outbound::{Answer, Bounds};
use crate::testing::{
    GET, Script, absent, answer, config, cut, deleting, examples, found, merged, object, pod_template, refused,
    released, routed, routed_by, run, status, stored, wanted, with_pending,
};

type Calls = Vec<(&'static str, Answer)>;

const CREATE: &str = "POST /namespaces/default/pods";
const REHEARSE: &str = "POST /namespaces/default/pods?dryRun=All";
const RELEASE: &str = "PATCH /pods/6ae65cff-3704-5f31-ae9d-cd15c7833b0c";
const DELETE: &str = "DELETE /pods/6ae65cff-3704-5f31-ae9d-cd15c7833b0c";
const GET_TEMPLATE: &str = "GET /podtemplates/crawler";
const READYZ: &str = "GET /readyz";

/// The client's Pod as it came back: routed and gated.
fn gated() -> Value {
    routed(wanted(&[]))
}

/// The same after its release.
fn running() -> Value {
    released(gated())
}

/// A Pod that no gateway took.
fn unrouted() -> Value {
    stored(wanted(&[]))
}

fn exists() -> (&'static str, Answer) {
    (CREATE, status(409, "AlreadyExists", "pods \"x\" already exists"))
}

fn created(pod: &Value) -> (&'static str, Answer) {
    (CREATE, object(201, pod))
}

fn let_go() -> (&'static str, Answer) {
    (RELEASE, object(200, &running()))
}

fn ready() -> (&'static str, Answer) {
    (READYZ, answer(200, "ok"))
}

/// A gated Pod is gone at once.
fn removed() -> (&'static str, Answer) {
    (DELETE, object(200, &unrouted()))
}

fn with<T, O: Outbound>(changes: &[(&str, &str)], outbound: &O, act: impl FnOnce(&Provisioning<O>) -> T) -> T {
    let config = config(changes);
    let token = Token::parse("token", &config.kube_api_url).unwrap_or_else(|error| panic!("{error}"));
    let api = Api::new(&config, &token, HeaderMap::new());
    let cluster = Cluster { config: &config, api, outbound };
    with_pending(|pending| act(&Provisioning { pending, cluster: &cluster }))
}

fn deliver(changes: &[(&str, &str)], calls: Calls) -> Outcome {
    with(changes, &Script::new(calls), |provisioning| run(provisioning.provision()))
}

#[track_caller]
fn is_done(outcome: Outcome) {
    match outcome {
        Ok(pod) => assert_eq!(pod.uid, "4d5e6f70-0000-4000-8000-000000000001"),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn is_failed<T: Debug>(outcome: Result<T, Verdict>, reason: Reason, expected: &str) {
    let Err(Verdict::Terminal(failure)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(failure.reason, reason, "{}", failure.message);
    assert!(failure.message.contains(expected), "{} and not {expected}", failure.message);
}

#[track_caller]
fn is_retry<T: Debug>(outcome: Result<T, Verdict>, retry_after: Option<u64>, expected: &str) {
    let retry = settled(outcome).unwrap_err();
    assert_eq!(retry.retry_after, retry_after, "{}", retry.cause);
    assert!(retry.cause.contains(expected), "{} and not {expected}", retry.cause);
}

#[track_caller]
fn check_done(calls: Calls) {
    is_done(deliver(&[], calls));
}

#[track_caller]
fn check_failed(calls: Calls, reason: Reason, expected: &str) {
    is_failed(deliver(&[], calls), reason, expected);
}

#[track_caller]
fn check_retry(calls: Calls, expected: &str) {
    is_retry(deliver(&[], calls), None, expected);
}

// Creating.

#[test]
fn a_routed_pod_is_released() {
    check_done(vec![created(&gated()), let_go()]);
}

#[test]
fn a_create_that_is_refused_says_why_once_no_pod_is_left() {
    let not_found = refused(CREATE, 404, "NotFound");
    check_failed(vec![not_found, absent()], Reason::NamespaceNotFound, "answered 404: as the server says");
    check_failed(vec![refused(CREATE, 422, "Invalid"), absent()], Reason::PodRejected, "as the server says");
    let quota = "pods \"x\" is forbidden: failed quota: clients: must specify limits.cpu for: gateway-init";
    let quota = (CREATE, status(403, "Forbidden", quota));
    check_failed(vec![quota, absent()], Reason::QuotaExceeded, "gateway-init; give the client namespace a LimitRange");
    let forbidden = |call| refused(call, 403, "Forbidden");
    let calls = vec![forbidden(CREATE), ready(), forbidden(GET)];
    check_failed(calls, Reason::Forbidden, "as the server says");
}

#[test]
fn a_create_that_may_heal_is_left_to_the_broker() {
    check_retry(vec![refused(CREATE, 500, "InternalError")], "as the server says");
    check_retry(vec![(CREATE, answer(404, "<html>"))], "404 without a Status");
    check_retry(vec![(CREATE, object(201, &json!({"kind": "Status"})))], "something else");
    check_retry(vec![(CREATE, cut())], "cut off");
    let busy = object(429, &json!({"kind": "Status", "details": {"retryAfterSeconds": 3}}));
    let retry = settled(deliver(&[], vec![(CREATE, busy)])).unwrap_err();
    assert_eq!((retry.too_many_requests, retry.retry_after), (true, Some(3)));
}

#[test]
fn a_refusal_by_an_api_server_that_is_not_ready_may_heal() {
    let forbidden = |call| refused(call, 403, "Forbidden");
    for unready in [status(403, "Forbidden", ""), answer(500, ""), answer(429, "")] {
        let not_ready = "the Kubernetes API is not ready and refuses everybody";
        check_retry(vec![forbidden(CREATE), (READYZ, unready.clone())], not_ready);
        // A Pod that may be released after all stays.
        check_retry(vec![created(&gated()), forbidden(RELEASE), (READYZ, unready.clone())], not_ready);
        is_retry(deliver(&TEMPLATE, vec![forbidden(GET_TEMPLATE), (READYZ, unready)]), None, not_ready);
    }
    check_retry(vec![forbidden(CREATE), (READYZ, cut())], "cut off");
    // A server without this path is no reason to doubt the refusal.
    check_failed(vec![forbidden(CREATE), (READYZ, answer(404, "")), forbidden(GET)], Reason::Forbidden, "");
}

#[test]
fn a_create_that_is_refused_says_nothing_of_the_pod_that_is_there() {
    let after_refusal = |calls: Calls| [vec![refused(CREATE, 403, "Forbidden"), ready()], calls].concat();
    check_done(after_refusal(vec![found(&running())]));
    check_done(after_refusal(vec![found(&gated()), let_go()]));
    check_failed(after_refusal(vec![found(&unrouted()), removed()]), Reason::GatewayNotInjected, "was removed");
    check_retry(after_refusal(vec![refused(GET, 500, "InternalError")]), "as the server says");
}

#[test]
fn a_create_that_is_refused_for_now_waits_unless_the_pod_is_there() {
    let message = "pods \"x\" is forbidden: status unknown for quota: clients, resources: pods";
    let uncounted = || (CREATE, status(403, "Forbidden", message));
    check_retry(vec![uncounted(), absent()], "status unknown for quota");
    check_retry(vec![uncounted(), refused(GET, 403, "Forbidden")], "as the server says");
    check_done(vec![uncounted(), found(&running())]);
    check_done(vec![uncounted(), found(&gated()), let_go()]);
}

// Finding the Pod of an earlier delivery.

#[test]
fn a_redelivery_finds_its_own_pod() {
    check_done(vec![exists(), found(&running())]);
    check_done(vec![exists(), found(&gated()), let_go()]);
    check_done(vec![exists(), found(&deleting(running()))]);
    check_retry(vec![exists(), found(&deleting(gated()))], "is being removed by another delivery");
    // A finalizer may hold it for long, and it never runs.
    check_failed(vec![exists(), found(&deleting(unrouted()))], Reason::GatewayNotInjected, "no gateway took it");
    check_retry(vec![exists(), absent()], "the Pod that was there a moment ago is gone");
    check_retry(vec![exists(), refused(GET, 403, "Forbidden")], "as the server says");
}

#[test]
fn a_pod_of_another_event_is_left_alone() {
    for pod in [gated(), running(), deleting(gated())] {
        for key in ["podgateway.io/event-id", "podgateway.io/event-source"] {
            let foreign = merged(pod.clone(), &json!({"metadata": {"annotations": {key: "2"}}}));
            let expected = "exists that belongs to another event: remove it";
            check_failed(vec![exists(), found(&foreign)], Reason::PodNameConflict, expected);
        }
    }
}

#[test]
fn a_client_that_runs_outlives_an_event_that_reuses_its_id_for_another_gateway() {
    let bar = json!({"metadata": {"annotations": {"setGateway": "bar"}, "labels": {"setGateway": "bar"}}});
    let expected = "has its client already, at the gateway bar: give each event an id of its own";
    check_failed(vec![exists(), found(&merged(running(), &bar))], Reason::PodNameConflict, expected);
}

/// It may run on an unreachable node, and a second client must not start while it runs.
#[test]
fn a_client_that_was_released_is_never_taken_away_whatever_the_configuration_says_today() {
    let elsewhere = [("gateway_address", "gw-{gateway}")];
    is_done(deliver(&elsewhere, vec![exists(), found(&running())]));
    check_done(vec![exists(), found(&released(routed_by("another", wanted(&[]))))]);
    for (_, change) in examples() {
        check_done(vec![exists(), found(&merged(running(), &change))]);
    }
    // A client that was not released follows the current configuration.
    let calls = vec![exists(), found(&gated()), removed()];
    is_failed(deliver(&elsewhere, calls), Reason::WrongGatewayInjected, "where gateway_address says \"gw-foo\"");
}

#[test]
fn a_client_that_ran_without_a_gateway_is_removed_and_its_answer_waits_until_it_is_gone() {
    let unprotected = released(unrouted());
    let ending = |seconds: u64| {
        let metadata = json!({"metadata": {"deletionGracePeriodSeconds": seconds}});
        (DELETE, object(200, &merged(deleting(unprotected.clone()), &metadata)))
    };
    let why = "it ran without its gateway: none of its containers is a gateway's";
    is_retry(deliver(&[], vec![exists(), found(&unprotected), ending(30)]), Some(30), "is ending: it ran without");
    check_retry(vec![exists(), found(&deleting(unprotected.clone()))], why);
    let finished = Reason::GatewayNotInjected;
    let expected = format!("the Pod 6ae65cff-3704-5f31-ae9d-cd15c7833b0c was removed: {why}");
    check_failed(vec![exists(), found(&unprotected), ending(0)], finished, &expected);
    check_failed(vec![exists(), found(&unprotected), refused(DELETE, 404, "NotFound")], finished, &expected);
    let held = json!({"metadata": {"finalizers": ["example.com/hold"]}});
    let held = (DELETE, object(200, &merged(deleting(unprotected.clone()), &held)));
    is_retry(deliver(&[], vec![exists(), found(&unprotected), held]), Some(1), "is ending");
}

// Removing what is not routed.

#[test]
fn a_pod_that_nobody_routed_is_removed_before_it_could_run() {
    let expected = "the Pod 6ae65cff-3704-5f31-ae9d-cd15c7833b0c was removed before it could run: no gateway took it";
    let held = json!({"metadata": {"finalizers": ["kueue.x-k8s.io/managed"]}});
    let gone = [
        removed(),
        refused(DELETE, 404, "NotFound"),
        (DELETE, object(200, &json!({"kind": "Status", "status": "Success"}))),
        // Kueue's webhook holds every Pod of a queue until it has seen its end.
        (DELETE, object(200, &merged(deleting(unrouted()), &held))),
    ];
    for deletion in gone {
        check_failed(vec![created(&unrouted()), deletion], Reason::GatewayNotInjected, expected);
    }
    check_failed(vec![exists(), found(&unrouted()), removed()], Reason::GatewayNotInjected, expected);
}

#[test]
fn a_pod_that_a_webhook_opened_is_removed() {
    let opened = merged(gated(), &json!({"spec": {"hostPID": true}}));
    let expected = "its hostPID was changed from nothing to true";
    check_failed(vec![created(&opened), removed()], Reason::UnsafePod, expected);
}

#[test]
fn an_answer_waits_until_the_removal_is_certain() {
    for refusal in
        [status(403, "Forbidden", ""), status(409, "Conflict", ""), answer(404, "<html>"), answer(200, ""), cut()]
    {
        check_retry(vec![created(&unrouted()), (DELETE, refusal)], "");
    }
}

/// Gates don't hold here, so the promises can't either.
#[test]
fn a_pod_that_was_never_held_back_is_removed_even_when_routed() {
    let calls = vec![created(&running()), (DELETE, object(200, &running()))];
    check_failed(calls, Reason::UnsafePod, "was removed: its scheduling gate was removed");
}

// Releasing.

#[test]
fn a_release_that_is_refused_for_good_takes_the_pod_with_it() {
    let expected = "was removed before it could run: its gate could not be removed: the Kubernetes API answered";
    let calls = vec![created(&gated()), refused(RELEASE, 422, "Invalid"), removed()];
    check_failed(calls, Reason::PodRejected, expected);
    // Gatekeeper may change the gateway's containers then.
    let calls = vec![created(&gated()), refused(RELEASE, 422, "Invalid"), removed()];
    check_failed(
        calls,
        Reason::PodRejected,
        "as the server says; check which admission webhooks act on updates of Pods",
    );
    let calls = vec![created(&gated()), refused(RELEASE, 403, "Forbidden"), ready(), removed()];
    check_failed(calls, Reason::Forbidden, expected);
    let kept = vec![created(&gated()), refused(RELEASE, 422, "Invalid"), refused(DELETE, 409, "Conflict")];
    check_retry(kept, "as the server says");
}

#[test]
fn a_release_that_may_heal_leaves_the_pod_gated() {
    for fault in
        [status(404, "NotFound", ""), status(409, "Conflict", ""), answer(500, ""), answer(422, "<html>"), cut()]
    {
        check_retry(vec![created(&gated()), (RELEASE, fault)], "");
    }
    let unmoved = (RELEASE, object(200, &gated()));
    check_retry(vec![created(&gated()), unmoved], "the gate is still there after its removal");
}

#[test]
fn another_gate_is_anothers_to_take_away() {
    let gate = json!([{"name": "example.com/later"}]);
    let mut kept = gated();
    kept["spec"]["schedulingGates"] = gate;
    check_done(vec![created(&gated()), (RELEASE, object(200, &kept))]);
    check_done(vec![exists(), found(&kept)]);
}

#[test]
fn without_verification_a_pod_is_done_as_it_comes() {
    let off = [("gateway_verification", "off")];
    let plain = released(unrouted());
    is_done(deliver(&off, vec![created(&plain)]));
    is_done(deliver(&off, vec![exists(), found(&plain)]));
    // A Pod from before the change is still gated, and would wait for ever.
    is_done(deliver(&off, vec![exists(), found(&unrouted()), (RELEASE, object(200, &plain))]));
}

// Without creating anything.

#[test]
fn an_event_that_may_make_nothing_settles_what_is_there() {
    let settle = |calls| {
        let outcome = Failure::new(Reason::EventExpired, "too late").into();
        with(&[], &Script::new(calls), |provisioning| run(provisioning.settle_or(outcome)))
    };
    is_failed(settle(vec![absent()]), Reason::EventExpired, "too late");
    is_done(settle(vec![found(&running())]));
    is_done(settle(vec![found(&gated()), let_go()]));
    is_failed(settle(vec![found(&unrouted()), removed()]), Reason::GatewayNotInjected, "was removed");
    is_retry(settle(vec![(GET, answer(404, ""))]), None, "404 without a Status");
    is_retry(settle(vec![refused(GET, 403, "Forbidden")]), None, "as the server says");
}

#[test]
fn a_rehearsal_makes_nothing_and_says_what_would_come() {
    let rehearse = |calls| with(&[], &Script::new(calls), |provisioning| run(provisioning.rehearse()));
    let created = |pod: &Value| (REHEARSE, object(201, pod));
    assert!(rehearse(vec![created(&gated())]).is_ok());
    is_failed(rehearse(vec![created(&unrouted())]), Reason::GatewayNotInjected, "no gateway took it");
    // In the same words as a delivery.
    let ungated = rehearse(vec![created(&running())]);
    is_failed(ungated, Reason::UnsafePod, "its scheduling gate was removed");
    is_failed(rehearse(vec![refused(REHEARSE, 403, "Forbidden"), ready()]), Reason::Forbidden, "as the server says");
    is_retry(rehearse(vec![refused(REHEARSE, 500, "")]), None, "as the server says");
}

// From a PodTemplate.

const TEMPLATE: [(&str, &str); 1] = [("client_pod_template", "crawler")];

#[test]
fn a_template_is_read_before_its_pod_is_made() {
    let template = pod_template(|_| ());
    is_done(deliver(&TEMPLATE, vec![(GET_TEMPLATE, object(200, &template)), created(&gated()), let_go()]));
    let rehearsal = Script::new(vec![(GET_TEMPLATE, object(200, &template)), (REHEARSE, object(201, &gated()))]);
    assert!(with(&TEMPLATE, &rehearsal, |provisioning| run(provisioning.rehearse())).is_ok());
}

#[test]
fn a_template_that_cannot_be_used_fails_the_event_unless_it_has_its_pod() {
    let invalid = || (GET_TEMPLATE, object(200, &pod_template(|spec| spec["hostNetwork"] = json!(true))));
    let missing = || refused(GET_TEMPLATE, 404, "NotFound");
    let reason = Reason::PodTemplateInvalid;
    let unusable = "the PodTemplate crawler can't be used: ";
    is_failed(deliver(&TEMPLATE, vec![invalid(), absent()]), reason, &format!("{unusable}remove hostNetwork"));
    is_failed(
        deliver(&TEMPLATE, vec![missing(), absent()]),
        reason,
        &format!("{unusable}the Kubernetes API answered 404"),
    );
    is_done(deliver(&TEMPLATE, vec![invalid(), found(&running())]));
    is_done(deliver(&TEMPLATE, vec![missing(), found(&gated()), let_go()]));
    let forbidden = || refused(GET_TEMPLATE, 403, "Forbidden");
    is_failed(deliver(&TEMPLATE, vec![forbidden(), ready(), absent()]), Reason::Forbidden, "as the server says");
}

#[test]
fn a_template_that_cannot_be_read_now_is_left_to_the_broker() {
    for fault in [status(500, "", ""), answer(404, "<html>"), object(200, &json!({"kind": "Pod"})), cut()] {
        is_retry(deliver(&TEMPLATE, vec![(GET_TEMPLATE, fault)]), None, "");
    }
}

#[test]
fn every_call_is_bounded() {
    struct Bounded(Script);
    impl Outbound for Bounded {
        async fn send(&self, request: Request<Vec<u8>>, bounds: Bounds) -> Answer {
            let (call, delivery) = (Duration::from_secs(15), Duration::from_secs(30));
            assert_eq!(bounds, Bounds { call, delivery, answer: LARGEST_ANSWER });
            self.0.send(request, bounds).await
        }
    }
    let forbidden = |call| refused(call, 403, "Forbidden");
    for calls in [
        vec![(GET_TEMPLATE, object(200, &pod_template(|_| ()))), created(&unrouted()), removed()],
        vec![(GET_TEMPLATE, object(200, &pod_template(|_| ()))), created(&gated()), let_go()],
        vec![forbidden(GET_TEMPLATE), ready(), forbidden(GET)],
    ] {
        _ = with(&TEMPLATE, &Bounded(Script::new(calls)), |provisioning| run(provisioning.provision()));
    }
}
