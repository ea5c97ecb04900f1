//! Every row of the table "From event to answer".

use bytes::Bytes;
use serde_json::{Value, json};
use tests::events::{Delivery, binary, body, pending, pending_with};
use tests::peer::{self, json_step, released, routed, routed_by, status, stored};

use crate::{Case, End, assert_rows_are_covered, run};

const NOT_AN_EVENT: &str = "not a CloudEvent: `id`, `source` or `type` missing or empty, another `specversion`, malformed JSON, an attribute that can't be decoded, an `id` of more than 8 KiB";
const UNKNOWN_FORMAT: &str = "a CloudEvents format other than JSON, or a batch";
const TOO_LARGE: &str = "a body over 1 MiB";
const OTHER_TYPE: &str = "a CloudEvent of another type";
const NO_GATEWAY: &str = "`pending`, but its data is not a JSON object with a string `gateway_name`";
const REFUSED: &str =
    "`pending`, with an invalid or disallowed gateway, expired, or refused for good by the API server";
const RELEASED: &str = "`pending`, and its Pod is verified and released, now or on an earlier delivery";
const CAN_HEAL: &str = "`pending`, and something that can heal is in the way";

fn structured(event: Value) -> Delivery {
    body("application/cloudevents+json; charset=utf-8", event.to_string())
}

fn without(request: Delivery, header: &str) -> Delivery {
    let mut request = request;
    request.headers_mut().remove(header);
    request
}

fn with_header(request: Delivery, name: &'static str, value: &[u8]) -> Delivery {
    let mut request = request;
    request.headers_mut().append(name, http::HeaderValue::from_bytes(value).unwrap());
    request
}

fn happy() -> Vec<peer::Step> {
    vec![json_step("POST", 201, routed), json_step("PATCH", 200, released)]
}

fn removed(created: impl Fn(&Value) -> Value + Send + Sync + 'static) -> Vec<peer::Step> {
    vec![json_step("POST", 201, created), json_step("DELETE", 200, stored)]
}

fn edit(pod: Value, change: impl FnOnce(&mut Value)) -> Value {
    let mut pod = pod;
    change(&mut pod);
    pod
}

fn rejected() -> Vec<Case> {
    let problem = |name, request| Case::new(NOT_AN_EVENT, name, request, vec![], End::Problem(400));
    let format = |name, request| Case::new(UNKNOWN_FORMAT, name, request, vec![], End::Problem(415));
    let valid = json!({"specversion": "1.0", "id": "1", "source": "/test", "type": "t"});
    vec![
        problem("no attributes at all", body("application/json", "{}")),
        problem("no id", without(pending("1", "foo"), "ce-id")),
        problem("an empty id", pending("", "foo")),
        problem("no source", without(pending("1", "foo"), "ce-source")),
        problem("no type", without(pending("1", "foo"), "ce-type")),
        problem("no specversion", without(pending("1", "foo"), "ce-specversion")),
        problem("an attribute twice", with_header(pending("1", "foo"), "ce-id", b"2")),
        problem("another specversion", structured(edit(valid, |event| event["specversion"] = json!("2.0")))),
        problem("malformed JSON", body("application/cloudevents+json", "{")),
        problem("an attribute that is not UTF-8", with_header(pending("1", "foo"), "ce-subject", b"%FF")),
        problem("a time that is none", with_header(pending("1", "foo"), "ce-time", b"now")),
        format("a batch", body("application/cloudevents-batch+json", "[]")),
        format("another format", body("application/cloudevents+avro", "x")),
        Case::new(TOO_LARGE, "one byte more", pending_with("1", &" ".repeat((1 << 20) + 1)), vec![], End::Problem(413)),
        Case::new(TOO_LARGE, "a zip bomb's size", pending_with("1", &"x".repeat(8 << 20)), vec![], End::Problem(413)),
        Case::new(OTHER_TYPE, "a stranger", binary("1", "com.example.other", "{}"), vec![], End::Empty(202)),
        Case::new(OTHER_TYPE, "its own done", binary("1", provisioner::reply::DONE, "{}"), vec![], End::Empty(202)),
        Case::new(OTHER_TYPE, "its own failed", binary("1", provisioner::reply::FAILED, "{}"), vec![], End::Empty(202)),
    ]
}

fn invalid_data() -> Vec<Case> {
    let case = |name, request| Case::new(NO_GATEWAY, name, request, vec![], End::Failed("InvalidEventData"));
    let base64 = json!({
        "specversion": "1.0", "id": "1", "source": "/test", "type": provisioner::event::PENDING,
        "data_base64": "eyJnYXRld2F5X25hbWUiOiJmb28ifQ==",
    });
    vec![
        case("no data", pending_with("1", "")),
        case("no JSON", pending_with("1", "foo")),
        case("an array", pending_with("1", "[]")),
        case("no gateway_name", pending_with("1", "{}")),
        case("a number", pending_with("1", r#"{"gateway_name": 1}"#)),
        case("null", pending_with("1", r#"{"gateway_name": null}"#)),
        case("bytes that nobody calls JSON", structured(base64)),
        case("text", with_header(without(pending("1", "foo"), "content-type"), "content-type", b"text/plain")),
    ]
}

fn refused() -> Vec<Case> {
    let case = |name, gateway, reason| Case::new(REFUSED, name, pending("1", gateway), vec![], End::Failed(reason));
    let api = |name, script, reason| Case::new(REFUSED, name, pending("1", "foo"), script, End::Failed(reason));
    let absent = || vec![status("GET", 404, "NotFound", "pods \"x\" not found")];
    let expired = with_header(pending("1", "foo"), "ce-expirytime", b"2020-01-01T00:00:00Z");
    vec![
        case("an empty name", "", "InvalidGatewayName"),
        case(
            "a name too long",
            "a234567890123456789012345678901234567890123456789012345678901234",
            "InvalidGatewayName",
        ),
        case("a name with a slash", "a/b", "InvalidGatewayName"),
        case("a gateway that is not allowed", "baz", "GatewayNotAllowed").with("gateways", "foo,bar"),
        Case::new(REFUSED, "an expired event", expired, absent(), End::Failed("EventExpired")),
        api("nobody took it", removed(stored), "GatewayNotInjected"),
        api("the wrong gateway", removed(|pod| routed_by("elsewhere", pod)), "WrongGatewayInjected")
            .with("gateway_address", "pod-gateway-{gateway}.gateway-system.svc.cluster.local"),
        api("another image", removed(swapped_image), "UnsafePod"),
        api("no gate", removed(released), "UnsafePod"),
        api(
            "a denial",
            vec![status("POST", 400, "BadRequest", DENIED), status("GET", 404, "NotFound", "")],
            "PodRejected",
        ),
    ]
}

const DENIED: &str = "admission webhook \"policy.example\" denied the request: no";

fn swapped_image(posted: &Value) -> Value {
    edit(routed(posted), |pod| pod["spec"]["containers"][0]["image"] = json!("evil"))
}

fn released_cases() -> Vec<Case> {
    let case = |name, request, script| Case::new(RELEASED, name, request, script, End::Done);
    let exists = || status("POST", 409, "AlreadyExists", "pods \"x\" already exists");
    let event = json!({
        "specversion": "1.0", "id": "1", "source": "/test", "type": provisioner::event::PENDING,
        "datacontenttype": "application/json", "data": {"gateway_name": "foo"},
    });
    let encoded = edit(event.clone(), |event| {
        event.as_object_mut().unwrap().remove("data");
        event["data_base64"] = json!("eyJnYXRld2F5X25hbWUiOiJmb28ifQ==");
    });
    let old = edit(event.clone(), |event| event["specversion"] = json!("0.3"));
    let going =
        |pod: &Value| edit(released(pod), |pod| pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"));
    vec![
        case("binary mode", pending("1", "foo"), happy()),
        case("structured mode", structured(event.clone()), happy()),
        case("another case of the media type", body("Application/CloudEvents+JSON", event.to_string()), happy()),
        case("base64 data", structured(encoded), happy()),
        case("version 0.3", structured(old), happy()),
        case("an earlier delivery released it", pending("1", "foo"), vec![exists(), json_step("GET", 200, released)]),
        case(
            "an earlier delivery only created it",
            pending("1", "foo"),
            vec![exists(), json_step("GET", 200, routed), json_step("PATCH", 200, released)],
        ),
        case("it has run and is on its way out", pending("1", "foo"), vec![exists(), json_step("GET", 200, going)]),
        case("verification is off", pending("1", "foo"), vec![json_step("POST", 201, stored)])
            .with("gateway_verification", "off"),
    ]
}

fn healing() -> Vec<Case> {
    let case = |name, script, end| Case::new(CAN_HEAL, name, pending("1", "foo"), script, end);
    vec![
        case("the API server is unwell", vec![status("POST", 500, "InternalError", "etcd")], End::Empty(503)),
        case("the API server is busy", vec![status("POST", 429, "TooManyRequests", "later")], End::Empty(429)),
    ]
}

fn cases() -> Vec<Case> {
    [rejected(), invalid_data(), refused(), released_cases(), healing()].into_iter().flatten().collect()
}

#[tokio::test]
async fn every_event_is_answered_as_documented() {
    for case in cases() {
        run(case).await;
    }
}

#[test]
fn no_row_of_the_contract_is_without_a_case() {
    assert_rows_are_covered("docs/contract.md", "From event to answer", &cases());
}

#[test]
fn every_reason_that_a_delivery_can_have_is_seen() {
    let all = cases().into_iter().chain(crate::healing::cases()).chain(crate::settling::cases());
    let seen: Vec<_> =
        all.filter_map(|case| if let End::Failed(reason) = case.end { Some(reason) } else { None }).collect();
    for reason in provisioner::reason::Reason::ALL {
        let word = serde_json::to_value(reason).unwrap();
        let word = word.as_str().unwrap();
        assert!(seen.contains(&word), "no case ends in {word}");
    }
}

#[tokio::test]
async fn a_body_of_the_largest_size_is_read() {
    let padding = " ".repeat((1 << 20) - r#"{"gateway_name":"foo"}"#.len());
    let request = pending_with("1", &format!("{{\"gateway_name\":\"foo\"{padding}}}"));
    assert_eq!(http_body::Body::size_hint(request.body()).exact(), Some(1 << 20));
    run(Case::new(RELEASED, "1 MiB to the byte", request, happy(), End::Done)).await;
}

#[tokio::test]
async fn the_calls_are_the_ones_that_the_role_allows_and_carry_the_token() {
    let peer = tests::Peer::start(happy()).await;
    let provisioner = tests::Provisioner::start(&peer.url(), &[("client_namespace", "clients")]);
    let reply = provisioner.deliver(pending("1", "foo")).await;
    let calls = peer.finish();
    let name = reply.json()["pod_name"].as_str().unwrap().to_owned();
    assert_eq!(calls[0].path, "/api/v1/namespaces/clients/pods");
    assert_eq!(calls[1].path, format!("/api/v1/namespaces/clients/pods/{name}"));
    assert_eq!(calls[1].headers["content-type"], "application/strategic-merge-patch+json");
    for call in &calls {
        assert_eq!(call.headers["authorization"], format!("Bearer {}", tests::TOKEN));
    }
    assert_eq!(reply.attribute("subject"), format!("clients/{name}"));
    assert_eq!(reply.attribute("causationid"), "1");
    assert_eq!(Bytes::from(reply.header("content-type").to_owned()), "application/json");
}
