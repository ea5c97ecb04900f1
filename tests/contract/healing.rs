//! Every line of the table "What heals and what does not".

use serde_json::json;
use tests::events::pending;
use tests::peer::{Answer, Step, fault, json_step, routed, status, stored};
use tests::{Peer, Provisioner};

use crate::{Case, End, assert_rows_are_covered, end_of, run};

const NO_ANSWER: &str = "no answer: the connection is refused, untrusted, cut or too slow";
const CUT_OFF: &str = "an answer that is cut off or not JSON";
const UNAUTHORIZED: &str = "401: the token is being rotated";
const TIMEOUT: &str = "408";
const CONFLICT: &str = "409 `Conflict`";
const TOO_MANY: &str = "429: passed on with its `Retry-After`";
const SERVER_ERROR: &str = "every 5xx: a webhook that can't be reached is a 500";
const NOT_YET: &str = "403 with `status unknown for quota`, `serviceaccount \"default\" not found` or `not yet ready to \
                       handle request`: the cluster makes by itself what is missing";
const NO_TOKEN: &str = "the token file can't be read";
const BAD_REQUEST: &str = "400, 413, 422";
const DENIED: &str = "an admission webhook denies the Pod";
const FORBIDDEN: &str = "403";
const QUOTA: &str = "403 with `exceeded quota`";
const NO_NAMESPACE: &str = "404 on create";
const FOREIGN: &str = "409 `AlreadyExists`, and the Pod is another event's, or runs for another gateway";

fn retryable() -> Vec<Case> {
    let on_create = |row, name, step| Case::new(row, name, pending("1", "foo"), vec![step], End::Empty(503));
    let html = |code| -> Step { ("POST", Box::new(move |_, _| Answer::Respond(code, vec![], "<html>".into()))) };
    let down = "Internal error occurred: failed calling webhook \"w\": connection refused";
    let uncounted = "pods \"x\" is forbidden: status unknown for quota: clients, resources: pods";
    let busy: Step = ("POST", Box::new(|_, _| Answer::Respond(429, vec![("retry-after", "7".into())], "".into())));
    let mut cases = vec![
        on_create(NO_ANSWER, "closed without a byte", fault("POST", || Answer::Close)),
        on_create(CUT_OFF, "cut in its body", fault("POST", || Answer::CutBody(201))),
        on_create(CUT_OFF, "a success that is HTML", html(201)),
        on_create(CUT_OFF, "JSON of another kind", json_step("POST", 201, |_| json!({"kind": "List", "items": []}))),
        on_create(UNAUTHORIZED, "unauthorized", status("POST", 401, "Unauthorized", "Unauthorized")),
        on_create(TIMEOUT, "a request timeout", html(408)),
        on_create(CONFLICT, "a conflict", status("POST", 409, "Conflict", "try again")),
        on_create(SERVER_ERROR, "a webhook that is down", status("POST", 500, "InternalError", down)),
        Case::new(NO_TOKEN, "no token", pending("1", "foo"), vec![], End::Empty(503)).without_token(),
        Case::new(TOO_MANY, "too many requests", pending("1", "foo"), vec![busy], End::Empty(429)),
    ];
    for code in [500, 502, 503, 504, 507, 599] {
        cases.push(on_create(SERVER_ERROR, "without a Status", html(code)));
    }
    let exists = || status("POST", 409, "AlreadyExists", "exists");
    let refused = status("POST", 403, "Forbidden", uncounted);
    let after = |row, name, script| Case::new(row, name, pending("1", "foo"), script, End::Empty(503));
    cases.extend([
        after(NOT_YET, "a quota that isn't counted yet", vec![refused, status("GET", 404, "NotFound", "not found")]),
        after(SERVER_ERROR, "on get", vec![exists(), status("GET", 503, "ServiceUnavailable", "")]),
        after(CONFLICT, "on release", vec![json_step("POST", 201, routed), status("PATCH", 409, "Conflict", "")]),
        after(CONFLICT, "on removal", vec![json_step("POST", 201, stored), status("DELETE", 409, "Conflict", "")]),
        after(NO_ANSWER, "on release", vec![json_step("POST", 201, routed), fault("PATCH", || Answer::Close)]),
        after(CUT_OFF, "on release", vec![json_step("POST", 201, routed), fault("PATCH", || Answer::CutBody(200))]),
        after(
            FORBIDDEN,
            "on removal, where a Pod would be left",
            vec![json_step("POST", 201, stored), status("DELETE", 403, "Forbidden", "")],
        ),
    ]);
    cases
}

fn terminal() -> Vec<Case> {
    // Each looks for the Pod of an earlier delivery before it is final.
    let on_create = |row, name, code, reason, message, end| {
        let script = vec![status("POST", code, reason, message), status("GET", 404, "NotFound", "not found")];
        Case::new(row, name, pending("1", "foo"), script, End::Failed(end))
    };
    let role = "pods is forbidden: User \"x\" cannot create resource \"pods\"";
    let quota = "pods \"x\" is forbidden: exceeded quota: clients, requested: pods=1, used: pods=5, limited: pods=5";
    let denied = "admission webhook \"policy.example\" denied the request: no";
    let foreign = |posted: &serde_json::Value| {
        let mut pod = stored(posted);
        pod["metadata"]["annotations"]["podgateway.io/event-source"] = json!("/another");
        pod
    };
    let exists = status("POST", 409, "AlreadyExists", "exists");
    vec![
        on_create(BAD_REQUEST, "a bad request", 400, "BadRequest", "bad", "PodRejected"),
        on_create(BAD_REQUEST, "too large", 413, "RequestEntityTooLarge", "large", "PodRejected"),
        on_create(BAD_REQUEST, "invalid", 422, "Invalid", "Pod \"x\" is invalid", "PodRejected"),
        on_create(DENIED, "a denial", 403, "Forbidden", denied, "PodRejected"),
        on_create(FORBIDDEN, "no role", 403, "Forbidden", role, "Forbidden"),
        on_create(QUOTA, "no quota left", 403, "Forbidden", quota, "QuotaExceeded"),
        on_create(NO_NAMESPACE, "no namespace", 404, "NotFound", "namespaces \"x\" not found", "NamespaceNotFound"),
        Case::new(
            FOREIGN,
            "a stranger",
            pending("1", "foo"),
            vec![exists, json_step("GET", 200, foreign)],
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
    let peer = Peer::start(vec![json_step("POST", 201, routed), json_step("PATCH", 200, tests::peer::released)]).await;
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
    let busy: Step = ("POST", Box::new(|_, _| Answer::Respond(429, vec![("retry-after", "7".into())], "".into())));
    let peer = Peer::start(vec![busy]).await;
    let reply = Provisioner::start(&peer.url(), &[]).deliver(pending("1", "foo")).await;
    assert_eq!(reply.header("retry-after"), "7");
    peer.finish();
}
