//! Every row of the table "From event to answer".

use bytes::Bytes;
use provisioner::testing::{deleting, released, routed, routed_by, stored};
use serde_json::{Value, json};
use tests::events::{Delivery, binary, body, pending, pending_with};
use tests::peer::{self, client, happy, json_step, status};

use crate::{Case, End, assert_rows_are_covered, run};

const NOT_AN_EVENT: &str = "not a CloudEvent: `id`, `source` or `type` missing or empty, another `specversion`, malformed JSON, an attribute used here that can't be decoded";
const UNKNOWN_FORMAT: &str = "a CloudEvents format other than JSON, a batch, or a `Content-Encoding`";
const TOO_LARGE: &str = "a body over 1 MiB";
const OTHER_TYPE: &str = "a CloudEvent of another type";
const NO_GATEWAY: &str = "`pending`, but its data is not a JSON object with a string `gateway_name`";
const REFUSED: &str =
    "`pending`, with an invalid or disallowed gateway, expired, or refused for good by the API server";
const RELEASED: &str = "`pending`, and its Pod is verified and released, now or on an earlier delivery";
const CAN_HEAL: &str = "`pending`, and something that can heal is in the way";

pub fn structured(event: Value) -> Delivery {
    body("application/cloudevents+json; charset=utf-8", event.to_string())
}

fn without(request: Delivery, header: &str) -> Delivery {
    let mut request = request;
    request.headers_mut().remove(header);
    request
}

pub fn with_header(request: Delivery, name: &'static str, value: &[u8]) -> Delivery {
    let mut request = request;
    request.headers_mut().append(name, http::HeaderValue::from_bytes(value).unwrap());
    request
}

/// The bytes with a byte order mark before them, which some tools write.
fn marked(text: &str) -> Vec<u8> {
    ["\u{feff}", text].concat().into_bytes()
}

/// What gzip makes of anything begins like this.
const GZIP: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03";

fn removed(created: impl Fn(Value) -> Value + Send + Sync + 'static) -> Vec<peer::Step> {
    vec![json_step("POST", 201, created), json_step("DELETE", 200, stored)]
}

/// The pending event of (`/test`, `1`) in structured mode.
pub fn event() -> Value {
    json!({
        "specversion": "1.0", "id": "1", "source": "/test", "type": provisioner::event::PENDING,
        "datacontenttype": "application/json", "data": {"gateway_name": "foo"},
    })
}

fn edit(mut value: Value, change: impl FnOnce(&mut Value)) -> Value {
    change(&mut value);
    value
}

fn rejected() -> Vec<Case> {
    let problem = |name, request| Case::new(NOT_AN_EVENT, name, request, vec![], End::Problem(400));
    let format = |name, request| Case::new(UNKNOWN_FORMAT, name, request, vec![], End::Problem(415));
    let twice = event().to_string().replacen('{', "{\"id\":\"2\",", 1);
    let encoded = |coding: &'static [u8]| with_header(pending("1", "foo"), "content-encoding", coding);
    vec![
        problem("no attributes at all", body("application/json", "{}")),
        problem("no id", without(pending("1", "foo"), "ce-id")),
        problem("an empty id", pending("", "foo")),
        problem("no source", without(pending("1", "foo"), "ce-source")),
        problem("no type", without(pending("1", "foo"), "ce-type")),
        problem("no specversion", without(pending("1", "foo"), "ce-specversion")),
        problem("an attribute twice", with_header(pending("1", "foo"), "ce-id", b"2")),
        problem("a member twice", body("application/cloudevents+json", twice)).saying("id"),
        problem("another specversion", structured(edit(event(), |event| event["specversion"] = json!("2.0")))),
        problem("an id that is a number", structured(edit(event(), |event| event["id"] = json!(1)))),
        problem("a list of what an event has", body(STRUCTURED, r#"["1.0", "1", "/test", "t"]"#)),
        problem("malformed JSON", body("application/cloudevents+json", "{")),
        problem("an event that gzip has compressed", body("application/cloudevents+json", GZIP)).saying("compressed"),
        format("a batch", body("application/cloudevents-batch+json", "[]")),
        format("another format", body("application/cloudevents+avro", "x")),
        format("a body that gzip has compressed and says so", encoded(b"gzip")).saying("\"gzip\""),
        format("a coding that nobody knows", encoded(b"whim")).saying("\"whim\""),
        Case::new(TOO_LARGE, "one byte more", pending_with("1", &" ".repeat((1 << 20) + 1)), vec![], End::Problem(413)),
        Case::new(TOO_LARGE, "a zip bomb's size", pending_with("1", &"x".repeat(8 << 20)), vec![], End::Problem(413)),
        Case::new(OTHER_TYPE, "a stranger", binary("1", "com.example.other", "{}"), vec![], End::Empty(202)),
        Case::new(OTHER_TYPE, "its own done", binary("1", provisioner::reply::DONE, "{}"), vec![], End::Empty(202)),
        Case::new(OTHER_TYPE, "its own failed", binary("1", provisioner::reply::FAILED, "{}"), vec![], End::Empty(202)),
    ]
}

fn invalid_data() -> Vec<Case> {
    let case = |name, request| Case::new(NO_GATEWAY, name, request, vec![], End::Failed("InvalidEventData"));
    let base64 = edit(event(), |event| {
        *event = without_data(event.take());
        event["data_base64"] = json!("eyJnYXRld2F5X25hbWUiOiJmb28ifQ==");
        event["datacontenttype"] = Value::Null;
    });
    let twice = json!(r#"{"gateway_name": "foo"}"#);
    let compressed = || pending("1", "foo").map(|_| Bytes::from_static(GZIP).into());
    vec![
        case("no data", pending_with("1", "")).saying("no data"),
        case("no JSON", pending_with("1", "foo")).saying("not JSON"),
        case("an array", pending_with("1", "[]")).saying("not an object"),
        case("no gateway_name", pending_with("1", "{}")).saying("no gateway_name"),
        case("a number", pending_with("1", r#"{"gateway_name": 1}"#)).saying("gateway_name is not a string"),
        case("null", pending_with("1", r#"{"gateway_name": null}"#)).saying("gateway_name is null"),
        case("a string that holds JSON", pending_with("1", &twice.to_string())).saying("encoded twice"),
        case("the same in structured mode", structured(edit(event(), |event| event["data"] = twice.clone())))
            .saying("encoded twice"),
        case("bytes that gzip has compressed", compressed()).saying("compressed with gzip"),
        case("bytes that nobody calls JSON", structured(base64)),
        case("text", with_header(without(pending("1", "foo"), "content-type"), "content-type", b"text/plain")),
    ]
}

fn without_data(mut event: Value) -> Value {
    event.as_object_mut().unwrap().remove("data");
    event
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
        api("no gate", removed(|pod| released(stored(pod))), "UnsafePod"),
        api(
            "a denial",
            vec![status("POST", 400, "BadRequest", DENIED), status("GET", 404, "NotFound", "")],
            "PodRejected",
        ),
    ]
}

const DENIED: &str = "admission webhook \"policy.example\" denied the request: no";

fn released_cases() -> Vec<Case> {
    let case = |name, request, script| Case::new(RELEASED, name, request, script, End::Done);
    let exists = || status("POST", 409, "AlreadyExists", "pods \"x\" already exists");
    let encoded = edit(without_data(event()), |event| {
        event["data_base64"] = json!("eyJnYXRld2F5X25hbWUiOiJmb28ifQ==");
    });
    let old = edit(event(), |event| event["specversion"] = json!("0.3"));
    let with_text = |text: Vec<u8>| pending("1", "foo").map(|_| Bytes::from(text).into());
    let with = |name, value: &[u8]| with_header(pending("1", "foo"), name, value);
    let mut cases = vec![
        case("binary mode", pending("1", "foo"), happy()),
        case("structured mode", structured(event()), happy()),
        case("another case of the media type", body("Application/CloudEvents+JSON", event().to_string()), happy()),
        case("base64 data", structured(encoded), happy()),
        case("version 0.3", structured(old), happy()),
        case("the content type as an attribute too", with("ce-datacontenttype", b"application/json"), happy()),
        case("a byte order mark before the data", with_text(marked(r#"{"gateway_name": "foo"}"#)), happy()),
        case("a byte order mark before the event", body(STRUCTURED, marked(&event().to_string())), happy()),
        case("a coding that is none", with("content-encoding", b"identity"), happy()),
        case("a subject that can't be decoded", with("ce-subject", b"%FF"), happy()),
        case("a subject twice", with_header(with("ce-subject", b"a"), "ce-subject", b"b"), happy()),
        case("an earlier delivery released it", pending("1", "foo"), vec![exists(), json_step("GET", 200, client)]),
        case(
            "an earlier delivery only created it",
            pending("1", "foo"),
            vec![exists(), json_step("GET", 200, routed), json_step("PATCH", 200, client)],
        ),
        case(
            "it has run and is on its way out",
            pending("1", "foo"),
            vec![exists(), json_step("GET", 200, |pod| deleting(client(pod)))],
        ),
        case("verification is off", pending("1", "foo"), vec![json_step("POST", 201, stored)])
            .with("gateway_verification", "off"),
    ];
    for time in STRANGE_TIMES {
        cases.push(case("a time that is no timestamp", with("ce-time", time.as_bytes()), happy()));
        let event = edit(event(), |event| event["time"] = json!(time));
        cases.push(case("a time that is no timestamp, in structured mode", structured(event), happy()));
    }
    cases
}

const STRUCTURED: &str = "application/cloudevents+json";

/// Times as senders write them that nobody here reads.
const STRANGE_TIMES: [&str; 6] = [
    "2023-01-19T22:30:24.860213GMT",
    "2023-01-19T22:30:24+0000",
    "2023-01-19T22:30:24",
    "2023-01-19T22:30:24+11:00[Australia/Sydney]",
    "1674167424",
    "now",
];

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

/// With which a Go consumer couldn't read it: nobody there decodes what binary mode encodes.
#[tokio::test]
async fn an_answer_is_in_the_mode_of_its_event_unless_a_header_cannot_hold_it() {
    let correlated = |request, id: &'static [u8]| with_header(request, "ce-correlationid", id);
    let modes = [
        (pending("1", "foo"), "application/json"),
        (structured(event()), STRUCTURED),
        (correlated(pending("1", "foo"), b"a"), "application/json"),
        (correlated(pending("1", "foo"), b"a b"), STRUCTURED),
        (correlated(pending("1", "foo"), "\u{e4}".as_bytes()), STRUCTURED),
        (correlated(pending("1", "foo"), b"50%ff"), STRUCTURED),
        (correlated(pending("1", "foo"), &[b'a'; 8_193]), STRUCTURED),
    ];
    for (request, content_type) in modes {
        let sent = request.headers().get("ce-correlationid").cloned();
        let (reply, _) = run(Case::new(RELEASED, "in its mode", request, happy(), End::Done)).await;
        assert_eq!(reply.header("content-type"), content_type);
        let correlation = sent.map_or("1".to_owned(), |value| String::from_utf8(value.as_bytes().to_vec()).unwrap());
        assert_eq!(reply.attribute("correlationid"), correlation);
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
