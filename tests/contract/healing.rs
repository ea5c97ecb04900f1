//! Every line of the table "What heals and what does not".

use provisioner::testing::{routed, stored};
use serde_json::{Value, json};
use tests::events::pending;
use tests::peer::{Answer, Step, fault, happy, json_step, page, ready, status};
use tests::{Peer, Provisioner};

use crate::{Case, End, assert_rows_are_covered, end_of, run};

const NO_ANSWER: &str = "no answer: the connection is refused, untrusted, cut or too slow";
const CUT_OFF: &str = "an answer that is cut off or not JSON";
const UNAUTHORIZED: &str = "401: the token is being rotated";
const TIMEOUT: &str = "408";
const CONFLICT: &str = "409 `Conflict`";
const TOO_MANY: &str = "429: passed on with its `Retry-After`";
const SERVER_ERROR: &str = "every 5xx: a webhook that can't be reached is a 500";
const NOT_YET: &str = "403 with `status unknown for quota`, `serviceaccount \"default\" not found`, `not yet ready to \
                       handle request` or `unable to find annotation openshift.io/sa.scc…`: the cluster makes by itself \
                       what is missing";
const UNCONFIGURED: &str = "422 with `failed to configure binding`: the admission policy lacks its ConfigMap `gateways`, or an \
                            API server that has just started hasn't read it yet";
const UNREADY: &str =
    "403, and `/readyz` says that the API server isn't ready: it doesn't know yet who has which rights";
const NO_STATUS: &str = "a 4xx without a `Status` object: a proxy or a load balancer answered";
const UNABLE: &str =
    "an admission webhook denies the Pod with a 5xx, 401, 408, 409, 425 or 429: it can't reach what it needs";
const NO_TOKEN: &str = "the token file can't be read";
const BAD_REQUEST: &str = "400, 413, 422";
const DENIED: &str = "an admission webhook denies the Pod";
const FORBIDDEN: &str = "403";
const QUOTA: &str = "403 with `exceeded quota` or `failed quota`";
const NO_NAMESPACE: &str = "404 on create";
const FOREIGN: &str = "409 `AlreadyExists`, and the Pod is another event's, or runs for another gateway";

/// What the cluster makes by itself a moment later.
const MISSING: [&str; 4] = [
    "pods \"x\" is forbidden: status unknown for quota: clients, resources: pods",
    "pods \"x\" is forbidden: not yet ready to handle request",
    "pods \"x\" is forbidden: error looking up service account clients/default: serviceaccount \"default\" not found",
    "pods \"x\" is forbidden: error fetching namespace \"routed-clients\": unable to find annotation \
     openshift.io/sa.scc.uid-range",
];

fn not_found() -> Step {
    status("GET", 404, "NotFound", "pods \"x\" not found")
}

fn exists() -> Step {
    status("POST", 409, "AlreadyExists", "pods \"x\" already exists")
}

fn retryable() -> Vec<Case> {
    let after = |row, name, script| Case::new(row, name, pending("1", "foo"), script, End::Empty(503));
    let on_create = |row, name, step| after(row, name, vec![step]);
    let down = "Internal error occurred: failed calling webhook \"w\": connection refused";
    let busy: Step = ("POST", Box::new(|_, _| Answer::Respond(429, vec![("retry-after", "7".into())], "".into())));
    let mut cases = vec![
        on_create(NO_ANSWER, "closed without a byte", fault("POST", || Answer::Close)),
        on_create(CUT_OFF, "cut in its body", fault("POST", || Answer::CutBody(201))),
        on_create(CUT_OFF, "a success that is HTML", page("POST", 201)),
        on_create(CUT_OFF, "JSON of another kind", json_step("POST", 201, |_| json!({"kind": "List", "items": []}))),
        on_create(UNAUTHORIZED, "unauthorized", status("POST", 401, "Unauthorized", "Unauthorized")),
        on_create(TIMEOUT, "a request timeout", page("POST", 408)),
        on_create(CONFLICT, "a conflict", status("POST", 409, "Conflict", "try again")),
        on_create(SERVER_ERROR, "a webhook that is down", status("POST", 500, "InternalError", down)),
        Case::new(NO_TOKEN, "no token", pending("1", "foo"), vec![], End::Empty(503)).without_token(),
        Case::new(TOO_MANY, "too many requests", pending("1", "foo"), vec![busy], End::Empty(429)),
        on_create(UNABLE, "its registry is away", status("POST", 500, "InternalError", UNABLE_DENIAL)),
        on_create(UNABLE, "its database is", status("POST", 409, "AlreadyExists", UNABLE_DENIAL)),
        after(UNABLE, "on release", vec![json_step("POST", 201, routed), status("PATCH", 503, "", UNABLE_DENIAL)]),
        after(SERVER_ERROR, "on get", vec![exists(), status("GET", 503, "ServiceUnavailable", "")]),
        after(CONFLICT, "on release", vec![json_step("POST", 201, routed), status("PATCH", 409, "Conflict", "")]),
        after(CONFLICT, "on removal", vec![json_step("POST", 201, stored), status("DELETE", 409, "Conflict", "")]),
        after(NO_ANSWER, "on release", vec![json_step("POST", 201, routed), fault("PATCH", || Answer::Close)]),
        after(CUT_OFF, "on release", vec![json_step("POST", 201, routed), fault("PATCH", || Answer::CutBody(200))]),
        after(CUT_OFF, "on removal", vec![json_step("POST", 201, stored), page("DELETE", 200)]),
        after(NO_STATUS, "on get", vec![exists(), page("GET", 404)]),
        after(NO_STATUS, "on release", vec![json_step("POST", 201, routed), page("PATCH", 404)]),
        after(NO_STATUS, "on removal", vec![json_step("POST", 201, stored), page("DELETE", 404)]),
        after(
            FORBIDDEN,
            "on removal, where a Pod would be left",
            vec![json_step("POST", 201, stored), status("DELETE", 403, "Forbidden", "")],
        ),
        after(UNREADY, "on create", vec![status("POST", 403, "Forbidden", ""), page("GET", 500)]),
        after(
            UNREADY,
            "on release",
            vec![json_step("POST", 201, routed), status("PATCH", 403, "Forbidden", ""), page("GET", 500)],
        ),
    ];
    for code in [500, 502, 503, 504, 507, 599] {
        cases.push(on_create(SERVER_ERROR, "without a Status", page("POST", code)));
    }
    for code in [400, 403, 404, 409, 413, 422] {
        cases.push(on_create(NO_STATUS, "on create", page("POST", code)).saying("probably a proxy"));
    }
    // JSON, but no `Status` either.
    cases.push(on_create(NO_STATUS, "with JSON", json_step("POST", 404, |_| json!({"message": "no backend"}))));
    for refused in [
        vec![status("POST", 422, "Invalid", UNCONFIGURED_POLICY), not_found()],
        vec![json_step("POST", 201, routed), status("PATCH", 422, "Invalid", UNCONFIGURED_POLICY)],
    ] {
        cases.push(after(UNCONFIGURED, "the policy", refused).saying("no params found"));
    }
    for missing in MISSING {
        let refused = || status("POST", 403, "Forbidden", missing);
        cases.push(after(NOT_YET, "and there is no Pod", vec![refused(), not_found()]).saying(missing));
        let settled = vec![refused(), json_step("GET", 200, routed), happy().remove(1)];
        cases.push(Case::new(NOT_YET, "and there is one", pending("1", "foo"), settled, End::Done));
    }
    cases
}

/// A policy's webhook that denies what it can't look up.
const UNABLE_DENIAL: &str = "Internal error occurred: admission webhook \"pods.example.io\" denied the request: Get \
                             \"https://registry.example/v2/\": context deadline exceeded";

/// The policy of `deploy/` without what it is told of.
const UNCONFIGURED_POLICY: &str = "pods \"x\" is forbidden: ValidatingAdmissionPolicy 'podgateway-clients' with binding \
                                   'podgateway-clients' denied request: failed to configure binding: no params found for \
                                   policy binding with `Deny` parameterNotFoundAction";

fn terminal() -> Vec<Case> {
    // Each looks for the Pod of an earlier delivery before it is final.
    let on_create = |row, name, code, reason, message, end| {
        let script = vec![status("POST", code, reason, message), not_found()];
        Case::new(row, name, pending("1", "foo"), script, End::Failed(end)).saying(message)
    };
    let role = "pods is forbidden: User \"x\" cannot create resource \"pods\"";
    let quota = "pods \"x\" is forbidden: exceeded quota: clients, requested: pods=1, used: pods=5, limited: pods=5";
    let limits = "pods \"x\" is forbidden: failed quota: clients: must specify limits.cpu for: gateway-init";
    let denied = "admission webhook \"policy.example\" denied the request: no";
    let foreign = |posted: Value| {
        let mut pod = stored(posted);
        pod["metadata"]["annotations"]["podgateway.io/event-source"] = json!("/another");
        pod
    };
    vec![
        on_create(BAD_REQUEST, "a bad request", 400, "BadRequest", "bad", "PodRejected"),
        on_create(BAD_REQUEST, "too large", 413, "RequestEntityTooLarge", "large", "PodRejected"),
        on_create(BAD_REQUEST, "invalid", 422, "Invalid", "Pod \"x\" is invalid", "PodRejected"),
        on_create(DENIED, "a denial", 403, "Forbidden", denied, "PodRejected"),
        Case::new(
            FORBIDDEN,
            "no right to create",
            pending("1", "foo"),
            vec![status("POST", 403, "Forbidden", role), ready(), not_found()],
            End::Failed("Forbidden"),
        )
        .saying(role),
        on_create(QUOTA, "no quota left", 403, "Forbidden", quota, "QuotaExceeded"),
        on_create(QUOTA, "a quota that asks for limits", 403, "Forbidden", limits, "QuotaExceeded")
            .saying("LimitRange"),
        on_create(NO_NAMESPACE, "no namespace", 404, "NotFound", "namespaces \"x\" not found", "NamespaceNotFound"),
        Case::new(
            FORBIDDEN,
            "no role at all",
            pending("1", "foo"),
            vec![status("POST", 403, "Forbidden", role), ready(), status("GET", 403, "Forbidden", "no")],
            End::Failed("Forbidden"),
        )
        .saying(role),
        Case::new(
            FOREIGN,
            "a stranger",
            pending("1", "foo"),
            vec![exists(), json_step("GET", 200, foreign)],
            End::Failed("PodNameConflict"),
        ),
    ]
}

pub fn cases() -> Vec<Case> {
    retryable().into_iter().chain(terminal()).collect()
}

#[tokio::test]
async fn every_failure_is_answered_as_documented() {
    for case in cases() {
        run(case).await;
    }
}

#[test]
fn no_line_of_the_table_is_without_a_case() {
    assert_rows_are_covered("docs/contract.md", "What heals and what does not", &cases());
}

#[tokio::test]
async fn a_token_that_cannot_be_read_heals() {
    let peer = Peer::start(happy()).await;
    let provisioner = Provisioner::start(&peer.url(), &[]);
    std::fs::remove_file(provisioner.token_file()).unwrap();
    assert_eq!(end_of(&provisioner.deliver(pending("1", "foo")).await), End::Empty(503));
    provisioner.write_token(tests::TOKEN);
    assert_eq!(end_of(&provisioner.deliver(pending("1", "foo")).await), End::Done);
    peer.finish();
}

#[tokio::test]
async fn an_api_server_that_refuses_connections_heals() {
    let peer = Peer::start(vec![]).await;
    let url = peer.url();
    peer.finish();
    let provisioner = Provisioner::start(&url, &[]);
    assert_eq!(end_of(&provisioner.deliver(pending("1", "foo")).await), End::Empty(503));
}

#[tokio::test]
async fn the_wait_that_the_api_server_asks_for_is_passed_on() {
    let asked = |code: u16, header: Option<&'static str>, seconds: Option<u64>| -> Step {
        let body = json!({"kind": "Status", "details": {"retryAfterSeconds": seconds}}).to_string();
        let headers = move || header.map(|value| ("retry-after", value.to_owned())).into_iter().collect();
        ("POST", Box::new(move |_, _| Answer::Respond(code, headers(), body.clone().into())))
    };
    let waits = [
        (asked(429, Some("7"), None), 429, "7"),
        (asked(503, Some("7"), Some(9)), 503, "7"),
        (asked(500, None, Some(9)), 503, "9"),
        (asked(429, None, None), 429, ""),
    ];
    for (step, code, wait) in waits {
        let case = Case::new(TOO_MANY, "a wait", pending("1", "foo"), vec![step], End::Empty(code));
        let (reply, _) = run(case).await;
        assert_eq!(reply.header("retry-after"), wait, "{code}");
    }
}
