//! What heals and what doesn't, for every call and every answer that is a refusal.

mod calls;

use http::header::RETRY_AFTER;

use super::*;
use crate::outbound::{Answer, NoAnswer};
use crate::pod::GATE;
use crate::reason::Reason;
use crate::testing;

#[rustfmt::skip]
const CALLS: [Call; 9] = [
    Call::GetTemplate, Call::Create, Call::Get, Call::GetAfterForbidden, Call::Readiness, Call::Release, Call::Delete,
    Call::Annotate, Call::List,
];

/// The reasons that an API server knows (meta/v1, `StatusReason`), one that it will know, and none.
#[rustfmt::skip]
const REASONS: [&str; 22] = [
    "AlreadyExists", "BadRequest", "Conflict", "Expired", "Forbidden", "Gone", "InternalError", "Invalid",
    "MethodNotAllowed", "NotAcceptable", "NotFound", "RequestEntityTooLarge", "ServerTimeout", "ServiceUnavailable",
    "StorageReadError", "Timeout", "TooManyRequests", "Unauthorized", "Unknown", "UnsupportedMediaType", "Whim", "",
];

/// The meaning of a message, if it decides anything.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Says {
    Nothing,
    Denied,
    NotYet,
    Quota,
}

const MESSAGES: [(Says, &str); 23] = [
    (Says::Nothing, "no"),
    (Says::Nothing, "pods is forbidden: User \"x\" cannot create resource \"pods\""),
    // Quotations later in a message don't count.
    (Says::Nothing, "pods \"x\" is forbidden: violates PodSecurity: exceeded quota: status unknown for quota: x"),
    (Says::Denied, "admission webhook \"policy.example\" denied the request: no"),
    (Says::NotYet, "pods \"x\" is forbidden: status unknown for quota: clients, resources: pods"),
    (Says::NotYet, "pods \"x\" is forbidden: not yet ready to handle request"),
    // An admission plugin's own trouble. The first is an API server's whose etcd is away.
    (Says::NotYet, "pods \"x\" is forbidden: storage is (re)initializing"),
    (Says::NotYet, "pods \"x\" is forbidden: etcdserver: request timed out"),
    (Says::NotYet, "pods \"x\" is forbidden: Post \"https://policy.example/\": dial tcp: connection refused"),
    (Says::NotYet, "pods \"x\" is forbidden: the server was unable to return a response in the time allotted"),
    (Says::Nothing, "pods \"x\" is forbidden: the integer value of priority (7) must not be provided in pod spec"),
    (
        Says::NotYet,
        "pods \"x\" is forbidden: error looking up service account n/default: serviceaccount \"default\" not found",
    ),
    (
        Says::NotYet,
        "pods \"x\" is forbidden: error fetching namespace \"n\": unable to find annotation openshift.io/sa.scc.mcs",
    ),
    // The other texts of OpenShift's plugins: openshift/apiserver-library-go.
    (Says::NotYet, "pods \"x\" is forbidden: error fetching namespace \"n\": namespace \"n\" not found"),
    (
        Says::NotYet,
        "pods \"x\" is forbidden: securitycontextconstraints.security.openshift.io cache is not synchronized",
    ),
    (Says::NotYet, "pods \"x\" is forbidden: quota.openshift.io/ClusterResourceQuota: caches not synchronized"),
    (Says::NotYet, "pods \"x\" is forbidden: caches not synchronized"),
    (
        Says::NotYet,
        "pods \"x\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: failed to configure \
         binding: no params found for policy binding with `Deny` parameterNotFoundAction",
    ),
    (
        Says::Nothing,
        "pods \"x\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: remove hostPID",
    ),
    // A MutatingAdmissionPolicy's, which says nothing of the Pod.
    (
        Says::NotYet,
        "policy 'p' with binding 'b' denied request: failed to configure binding: no params found for policy binding",
    ),
    (Says::Nothing, "policy 'p' with binding 'b' denied request: expression 'x' resulted in error"),
    (Says::Quota, "pods \"x\" is forbidden: exceeded quota: clients, requested: pods=1, used: pods=5, limited: pods=5"),
    (Says::Quota, "pods \"x\" is forbidden: failed quota: clients: must specify limits.cpu for: gateway-init"),
];

/// A verdict without its details.
#[derive(Debug, PartialEq)]
enum Kind {
    Heals,
    NotYet,
    Terminal(Reason),
    AlreadyExists,
    NotFound,
}

fn kind(verdict: &Verdict) -> Kind {
    match verdict {
        Verdict::Heals(_) => Kind::Heals,
        Verdict::NotYet(_) => Kind::NotYet,
        Verdict::Terminal(failure) => Kind::Terminal(failure.reason),
        Verdict::AlreadyExists(_) => Kind::AlreadyExists,
        Verdict::NotFound(_) => Kind::NotFound,
    }
}

/// The verdict on an API server's refusal: a `Status` with this code, reason and message.
fn expected(call: Call, code: u16, reason: &str, says: Says) -> Kind {
    use Call::{Annotate, Create, Delete, Get, GetAfterForbidden, GetTemplate, Release};
    let passes = matches!(code, 401 | 408 | 425 | 429 | 500..);
    if passes || code == 409 && (reason != "AlreadyExists" || says == Says::Denied) {
        return Kind::Heals;
    }
    // The reason counts before the code.
    let meant = match (reason, code) {
        ("AlreadyExists" | "NotFound" | "Forbidden", _) => reason,
        (_, 403) => "Forbidden",
        ("", 404) => "NotFound",
        _ => "",
    };
    match (call, meant, says) {
        (Create | Release | Annotate, _, Says::Denied) => Kind::Terminal(Reason::PodRejected),
        (Create, _, Says::NotYet) => Kind::NotYet,
        (_, _, Says::NotYet) => Kind::Heals,
        (Create, "AlreadyExists", _) => Kind::AlreadyExists,
        (_, "AlreadyExists", _) => Kind::Heals,
        (Create, "NotFound", _) => Kind::Terminal(Reason::NamespaceNotFound),
        (Release, "NotFound", _) => Kind::Heals,
        (Get | GetAfterForbidden | Delete | Annotate, "NotFound", _) => Kind::NotFound,
        (Create | Release | Annotate, "Forbidden", Says::Quota) => Kind::Terminal(Reason::QuotaExceeded),
        (Create | Release | Annotate | GetTemplate | GetAfterForbidden, "Forbidden", _) => {
            Kind::Terminal(Reason::Forbidden)
        }
        (Create | Release | Annotate, _, _) => Kind::Terminal(Reason::PodRejected),
        (GetTemplate, _, _) => Kind::Terminal(Reason::PodTemplateInvalid),
        _ => Kind::Heals,
    }
}

fn refused(mut answer: http::Response<Vec<u8>>) -> Answer {
    answer.headers_mut().insert(RETRY_AFTER, http::HeaderValue::from_static("7"));
    Ok(answer)
}

/// Every possible refusal: its code and, if the API server itself refused, its reason and message.
fn refusals() -> impl Iterator<Item = (u16, Option<(&'static str, Says)>, Answer)> {
    let status = |code| {
        REASONS.into_iter().flat_map(move |reason| {
            MESSAGES.map(|(says, message)| {
                (code, Some((reason, says)), refused(testing::status(code, reason, message).unwrap()))
            })
        })
    };
    let pages = [&b"<html>no</html>"[..], b"", br#"{"kind":"Pod"}"#, br#"{"message":"no"}"#];
    let page = move |code| pages.map(|page| (code, None, refused(testing::answer(code, page).unwrap())));
    (400..=599).flat_map(move |code| status(code).chain(page(code)))
}

#[test]
fn every_refusal_of_every_call_ends_as_it_should() {
    let mut seen = 0;
    for (code, word, answer) in refusals() {
        for call in CALLS {
            let expected = match (call, word) {
                // Only the code says whether the API server is ready.
                (Call::Readiness, _) if matches!(code, 401 | 403 | 429 | 500..) => Kind::Heals,
                (Call::Readiness, _) => Kind::Terminal(Reason::Forbidden),
                (_, None) => Kind::Heals,
                (_, Some((reason, says))) => expected(call, code, reason, says),
            };
            let verdict = verdict(call, answer.clone()).unwrap_err();
            assert_eq!(kind(&verdict), expected, "{call:?} {code} {word:?}");
            if let Verdict::Heals(retry) | Verdict::NotYet(retry) = verdict {
                let asked = (retry.too_many_requests, retry.retry_after);
                assert_eq!(asked, (code == 429, Some(7)), "{call:?} {code} {word:?}");
                assert!(!retry.cause.is_empty());
            }
            seen += 1;
        }
    }
    assert_eq!(seen, CALLS.len() * 200 * (REASONS.len() * MESSAGES.len() + 4));
}

/// The same, starting from what must not be lost.
#[test]
fn nothing_ends_an_event_but_the_api_servers_own_refusal_of_a_pod_or_of_a_right() {
    for (code, word, answer) in refusals() {
        for call in CALLS.into_iter().filter(|call| *call != Call::Readiness) {
            if let Err(Verdict::Terminal(_)) = verdict(call, answer.clone()) {
                assert!(word.is_some() && (400..500).contains(&code), "{call:?} {code}");
                assert!(!matches!(call, Call::Get | Call::Delete), "{call:?} {code}: a Pod may be left");
            }
        }
    }
}

#[test]
fn what_is_no_refusal_heals_on_every_call() {
    let problems = [
        NoAnswer::CutOff,
        NoAnswer::NoTimeLeft,
        NoAnswer::TooLarge(1),
        NoAnswer::Late(std::time::Duration::from_secs(1)),
        NoAnswer::Host("refused".to_owned()),
    ];
    for problem in problems {
        let expected = Retry::because(format!("no answer from the Kubernetes API: {problem}"));
        for call in CALLS {
            assert_eq!(verdict(call, Err(problem.clone())), Err(Verdict::Heals(expected.clone())), "{call:?}");
        }
    }
}

#[test]
fn the_wait_that_was_asked_for_is_the_headers_or_else_the_statuss() {
    let wait = |header: Option<&str>, seconds: &str| {
        let body = format!(r#"{{"kind": "Status", "details": {{"retryAfterSeconds": {seconds}}}}}"#);
        let mut answer = testing::answer(429, body).unwrap();
        answer.headers_mut().extend(header.map(|value| (RETRY_AFTER, value.parse().unwrap())));
        Refusal::new(&answer).retry_after
    };
    assert_eq!(wait(Some("7"), "9"), Some(7));
    assert_eq!((wait(None, "9"), wait(None, "null")), (Some(9), None));
    // What can't be used of it doesn't make another's answer of a Status.
    for details in ["null", r#"{"retryAfterSeconds": -1}"#, r#"{"retryAfterSeconds": 1.5}"#] {
        let answer = testing::answer(422, format!(r#"{{"kind": "Status", "details": {details}}}"#)).unwrap();
        let refusal = Refusal::new(&answer);
        assert_eq!((refusal.status.is_some(), refusal.retry_after), (true, None), "{details}");
    }
    // A date, which HTTP allows, and an invalid time.
    assert_eq!((wait(Some("Wed, 21 Oct 2026 07:28:00 GMT"), "null"), wait(Some("-1"), "null")), (None, None));
}

#[test]
fn a_deletion_is_over_when_the_answer_says_that_nothing_holds_the_pod() {
    let read = |body: &str| read_deletion(body.as_bytes(), "a");
    let pod = |more: &str| format!(r#"{{"metadata":{{"name":"a","namespace":"n","uid":"u"{more}}},"spec":{{}}}}"#);
    for gone in ["", r#","deletionGracePeriodSeconds":0"#, r#","deletionGracePeriodSeconds":0,"finalizers":[]"#] {
        assert_eq!(read(&pod(gone)), Ok(None), "{gone}");
    }
    assert_eq!(read(r#"{"kind":"Status","status":"Success"}"#), Ok(None));
    assert_eq!(read(&pod(r#","deletionGracePeriodSeconds":30"#)), Ok(Some(30)));
    let held = pod(r#","deletionGracePeriodSeconds":0,"finalizers":["a/b"]"#);
    assert_eq!(read(&held), Ok(Some(1)));
    // A gated Pod never runs, whoever holds its object.
    let gated = format!(r#""spec":{{"schedulingGates":[{{"name":"other"}},{{"name":"{GATE}"}}]}}"#);
    assert_eq!(read(&held.replace(r#""spec":{}"#, &gated)), Ok(None));
    // Not an API server's answer about this Pod.
    let strange = [r#"{"kind":"Status","status":"Failure"}"#, "{}", "<html>", "", &pod("").replace(r#""a""#, r#""b""#)];
    for body in strange {
        assert!(matches!(read(body), Err(Verdict::Heals(_))), "{body}");
    }
}
