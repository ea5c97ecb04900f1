//! Every line of the table "What heals and what does not". `tests/faults` has every code on every call.

use std::time::Duration;

use http::Response;
use provisioner::event::PING;
use provisioner::reason::Reason;
use provisioner::testing::{merged, stored};
use serde_json::{Value, json};
use tests::Provisioner;
use tests::events::binary;
use tests::fault::{Proxy, serving};
use tests::peer::{Answer, Call, absent, exists, fault, json_step, page, ready, status};

use crate::{Case, End, assert_rows_are_covered, end_of, run};

const NO_RIGHT: &str = "pods is forbidden: User \"x\" cannot";
const NO_WEBHOOK: &str = "Internal error occurred: failed calling webhook \"w\": connection refused";
const UNABLE: &str = "Internal error occurred: admission webhook \"pods.example.io\" denied the request: Get \
                      \"https://registry.example/v2/\": context deadline exceeded";
const UNCOUNTED: &str = "pods \"x\" is forbidden: status unknown for quota: clients, resources: pods";
const USED_UP: &str =
    "pods \"x\" is forbidden: exceeded quota: clients, requested: pods=1, used: pods=5, limited: pods=5";
const UNCONFIGURED: &str = "pods \"x\" is forbidden: ValidatingAdmissionPolicy 'podgateway-clients' with binding \
                            'podgateway-clients' denied request: failed to configure binding: no params found for \
                            policy binding with `Deny` parameterNotFoundAction";
const DENIED: &str = "admission webhook \"policy.example\" denied the request: no";
const RETRY: End = End::Empty(503);

/// What an API server refuses itself.
fn refusals() -> impl Iterator<Item = Case> {
    let failed = End::Failed;
    let rows = [
        ("401", 401, "Unauthorized", "Unauthorized", RETRY),
        ("408", 408, "Timeout", "later", RETRY),
        ("409 `Conflict`", 409, "Conflict", "try again", RETRY),
        ("every 5xx", 500, "InternalError", NO_WEBHOOK, RETRY),
        ("an admission webhook denies the Pod with a 5xx", 500, "InternalError", UNABLE, RETRY),
        ("403 with `status unknown for quota`", 403, "Forbidden", UNCOUNTED, RETRY),
        ("403 with `etcdserver", 403, "Forbidden", "pods \"x\" is forbidden: storage is (re)initializing", RETRY),
        ("422 with `failed to configure binding`", 422, "Forbidden", UNCONFIGURED, RETRY),
        ("400, 413, 422", 422, "Invalid", "Pod \"x\" is invalid", failed(Reason::PodRejected)),
        ("an admission webhook denies the Pod", 403, "Forbidden", DENIED, failed(Reason::PodRejected)),
        ("403 with `exceeded quota`", 403, "Forbidden", USED_UP, failed(Reason::QuotaExceeded)),
        ("404 on create", 404, "NotFound", "namespaces \"x\" not found", failed(Reason::NamespaceNotFound)),
    ];
    rows.into_iter().map(|(row, code, reason, message, end)| {
        // The Pod of an earlier delivery is looked for where this one could make none.
        let look = matches!(code, 403 | 404 | 422).then(absent);
        let script = [status("POST", code, reason, message)].into_iter().chain(look).collect();
        Case::new(row, script, end).saying(message)
    })
}

fn others() -> Vec<Case> {
    let on_create = |row, step, end| Case::new(row, vec![step], end);
    let forbidden = || status("POST", 403, "Forbidden", NO_RIGHT);
    let busy = |_: &Call, _: &Value| Answer::Respond(429, vec![("retry-after", "7".into())], "".into());
    let foreign = json!({"metadata": {"annotations": {"podgateway.io/event-source": "/another"}}});
    let foreign = json_step("GET", 200, move |posted| merged(stored(posted), &foreign));
    vec![
        on_create("no answer", fault("POST", || Answer::Close), RETRY),
        on_create("an answer that is cut off or not JSON", page("POST", 201), RETRY),
        on_create("429", ("POST", Box::new(busy)), End::Empty(429)),
        on_create("a 4xx without a `Status` object", page("POST", 403), RETRY).saying("probably a proxy"),
        Case::new("403, and `/readyz` says", vec![forbidden(), page("GET", 500)], RETRY),
        Case::new("403", vec![forbidden(), ready(), absent()], End::Failed(Reason::Forbidden)).saying(NO_RIGHT),
        Case::new("409 `AlreadyExists`", vec![exists(), foreign], End::Failed(Reason::PodNameConflict)),
        Case { token_is_mounted: false, ..Case::new("the token file can't be read", vec![], RETRY) },
    ]
}

pub fn cases() -> Vec<Case> {
    refusals().chain(others()).collect()
}

#[tokio::test]
async fn every_failure_is_answered_as_documented() {
    assert_rows_are_covered("What heals and what does not", &cases());
    for case in cases() {
        let wait = if case.end == End::Empty(429) { "7" } else { "" };
        assert_eq!(run(case).await.0.header("retry-after"), wait);
    }
}

/// A sweep of a list without an end: the time of each call is no bound of it.
#[tokio::test]
async fn a_delivery_ends_in_its_time_however_many_calls_are_left() {
    let page = Response::new(r#"{"items":[],"metadata":{"continue":"x"}}"#.into());
    let api = Proxy::serve(serving(move |_| std::future::ready(Ok(page.clone()))), None);
    let sink = [("k_sink", "http://sink/"), ("sink_origin", "http://sink"), ("kube_api_timeout", "500ms")];
    let provisioner = Provisioner::start(&api.url(), &sink);
    let ended = tokio::time::timeout(Duration::from_secs(30), provisioner.deliver(binary("1", PING, "{}"))).await;
    assert_eq!(end_of(&ended.expect("it ends")), RETRY);
}
