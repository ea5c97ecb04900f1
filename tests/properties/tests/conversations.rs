//! Conversations with an API server and with whatever stands in its place, up to the answer.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use properties::answers::{self, SINK, TOKEN};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use provisioner::endpoint::{Body, BodyError};
use provisioner::event::PENDING;
use provisioner::outbound::Answer;
use provisioner::testing::{
    answer, cut, deleting, event, merged, object, pod_template, released, routed, stored, wanted,
};
use serde_json::{Value, json};

use crate::generators::{check_kinds, disturbed, json, text};
use crate::life::{page, pod};
use crate::pods::template;

/// Where the token is put.
const PLACE: &str = "THE TOKEN";

/// The body of a status and its code: what the API server says, before it is an answer.
type Said = (u16, Value);

fn refusal(code: u16, reason: &str, message: &str) -> Said {
    (code, json!({"kind": "Status", "status": "Failure", "reason": reason, "message": message, "code": code}))
}

fn client() -> Value {
    routed(wanted(&[]))
}

/// Answers as the API server gives them, and as it never would.
pub fn api_answer() -> BoxedStrategy<Answer> {
    let reasons = ["AlreadyExists", "Conflict", "NotFound", "Forbidden", "Invalid", "InternalError", "TooManyRequests"];
    let refusal = select(reasons.to_vec()).prop_map(|reason| refusal(0, reason, "m").1);
    let body = prop_oneof![4 => pod(), 2 => refusal, 2 => template(), 1 => page(), 1 => json()];
    let body = prop_oneof![9 => body.prop_map(|body| body.to_string().into_bytes()), 1 => vec(any::<u8>(), 0..30)];
    let code = prop_oneof![6 => select(vec![200u16, 201, 409, 404, 422, 403, 429, 500]), 1 => 100u16..1000];
    let answered = (code, body).prop_map(|(code, body)| answer(code, body));
    prop_oneof![9 => answered, 1 => Just(cut())].boxed()
}

/// What is said when nothing is in the way, or one thing.
fn usual() -> impl Strategy<Value = Vec<Said>> + Clone {
    let found = [client(), released(client()), stored(wanted(&[])), deleting(client())].map(|pod| (200, pod));
    let [gated, released, unrouted, deleting] = found;
    let (exists, taken) = (refusal(409, "AlreadyExists", "m"), (202, json!(null)));
    let (forbidden, missing) = (refusal(403, "Forbidden", "pods is forbidden: no"), refusal(404, "NotFound", "m"));
    let denial = refusal(403, "", "admission webhook \"w\" denied the request: no");
    let quota = refusal(403, "Forbidden", "pods \"x\" is forbidden: failed quota: q: must specify limits.cpu");
    let invalid = refusal(422, "Invalid", "m");
    select(vec![
        vec![gated.clone(), released.clone(), taken.clone()],
        vec![exists.clone(), released.clone(), taken.clone()],
        vec![exists.clone(), gated.clone(), released.clone(), taken.clone()],
        vec![unrouted.clone(), unrouted, taken.clone()],
        vec![exists, deleting],
        vec![missing.clone(), missing.clone(), taken.clone()],
        vec![denial, missing.clone(), taken.clone()],
        vec![quota, missing, taken.clone()],
        vec![forbidden.clone(), forbidden, (200, json!("ok")), taken.clone()],
        vec![(200, pod_template(|_| ())), gated.clone(), released, taken.clone()],
        vec![gated, invalid, (200, json!({"kind": "Status", "status": "Success"})), taken],
    ])
}

fn said(said: Vec<Said>) -> Vec<Answer> {
    said.iter().map(|(code, body)| object(*code, body)).collect()
}

fn conversation() -> impl Strategy<Value = Vec<Answer>> {
    disturbed(usual().prop_map(said), api_answer())
}

fn settings() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    let all = vec![
        ("client_pod_template", "crawler"),
        ("k_sink", SINK),
        ("gateway_verification", "off"),
        ("gateway_address", "gw"),
        ("client_image", ""),
        ("sink_origin", "*"),
    ];
    prop_oneof![Just(Vec::new()), subsequence(all, 0..4)]
}

/// Headers of which most are an event's, with any bytes that a header may hold.
fn headers() -> impl Strategy<Value = HeaderMap> {
    let attributes = "ce-(id|source|type|specversion|time|data|x|datacontenttype|knativearrivaltime)";
    let name = prop_oneof![4 => attributes, 1 => "content-(type|encoding)"];
    let name = name.prop_map(|name| name.parse::<HeaderName>().unwrap());
    let usual =
        ["1.0", "0.3", "application/json", "application/cloudevents+json", "identity", PENDING, "\"", "%", "%41", ""];
    let byte = prop_oneof![b' '..=b'~', 128..=255u8, Just(b'\t')];
    let value = vec(byte, 0..20).prop_map(|bytes| HeaderValue::from_bytes(&bytes).unwrap());
    let value = prop_oneof![select(usual.to_vec()).prop_map(HeaderValue::from_static), value];
    vec((name, value), 0..12).prop_map(HeaderMap::from_iter)
}

/// The event of every Pod here, and others, in binary mode; by Knative and by anybody else.
fn request() -> impl Strategy<Value = Request<Body>> {
    let path = prop_oneof![6 => Just("/".to_owned()), 3 => Just("/dead-letter".to_owned()), 1 => "/[a-z]{0,6}"];
    let method = prop_oneof![8 => Just(Method::POST), 1 => select(vec![Method::GET, Method::OPTIONS, Method::TRACE])];
    let event = |ty: &'static str| Just(event("/", ty, "").headers().clone());
    let headers = prop_oneof![8 => event(PENDING), 1 => event("other"), 1 => headers()];
    let more = ["correlationid", "knativearrivaltime", "expirytime", "knativeerrordata"];
    let more = option::weighted(0.3, (select(more.to_vec()), "[!-~]([ -~]{0,9}[!-~])?"));
    let asked = Just(Ok(br#"{"gateway_name":"foo"}"#.to_vec()));
    let broken = select(vec![BodyError::TooLarge, BodyError::Incomplete]).prop_map(Err);
    let body = prop_oneof![8 => asked, 1 => broken, 1 => json().prop_map(|json| Ok(json.to_string().into_bytes()))];
    (method, path, headers, more, body).prop_map(|(method, path, mut headers, more, body)| {
        headers.extend(more.map(|(name, value)| {
            (format!("ce-{name}").parse::<HeaderName>().unwrap(), HeaderValue::from_str(&value).unwrap())
        }));
        let mut request = Request::builder().method(method).uri(path).body(body).unwrap();
        *request.headers_mut() = headers;
        request
    })
}

fn pending() -> Request<Body> {
    event("/", PENDING, r#"{"gateway_name":"foo"}"#).map(Ok)
}

/// Every text within, the names of members included.
fn each_text(value: &mut Value, act: &mut impl FnMut(&mut String)) {
    match value {
        Value::String(text) => act(text),
        Value::Array(items) => items.iter_mut().for_each(|item| each_text(item, act)),
        Value::Object(members) => {
            for (mut name, mut member) in std::mem::take(members) {
                act(&mut name);
                each_text(&mut member, act);
                members.insert(name, member);
            }
        }
        _ => (),
    }
}

/// A conversation in which the token stands somewhere, and often where a text that quotes it is cut off.
fn planted() -> impl Strategy<Value = Vec<Answer>> {
    let before = prop_oneof![2 => Just(0), 2 => 190..260usize, 1 => 0..1_100usize, 2 => 1_940..2_060usize];
    let written = select(vec![TOKEN.to_owned(), TOKEN.replace("eyJ", "\\u0065yJ")]);
    (usual(), any::<[Index; 2]>(), before, written).prop_map(|(script, [which, place], before, written)| {
        let which = which.index(script.len());
        let (code, mut body) = script[which].clone();
        let mut texts = 0;
        each_text(&mut body, &mut |_| texts += 1);
        let (mut at, place) = (0, place.index(texts.max(1)));
        each_text(&mut body, &mut |text| {
            *text = if at == place { PLACE.to_owned() } else { std::mem::take(text) };
            at += 1;
        });
        let mut script = said(script);
        script[which] =
            answer(code, body.to_string().replace(PLACE, &format!("{}{written} and more", "x".repeat(before))));
        script
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn every_conversation_ends_in_an_answer_of_the_table(
        request in request(), settings in settings(), answers in conversation(),
    ) {
        answers::check(request, &settings, answers);
    }

    #[test]
    fn the_token_leaves_by_no_way_whatever_the_api_server_answers(settings in settings(), answers in planted()) {
        answers::check(pending(), &settings, answers);
    }

    #[test]
    fn envelopes_of_any_members_are_answered(
        members in btree_map(
            "id|source|type|specversion|time|subject|data(_base64|content(type|encoding)|schema)?|ext|correlationid",
            prop_oneof![3 => text().prop_map(Value::from), 1 => json()],
            0..4,
        ),
    ) {
        let usual = json!({"specversion": "1.0", "id": "1", "source": "/test", "type": PENDING});
        let envelope = merged(merged(usual, &json!({"data": {"gateway_name": "foo"}})), &json!(members));
        let request = Request::post("/").header("content-type", "application/cloudevents+json");
        let request = request.body(Ok(envelope.to_string().into_bytes())).unwrap();
        // No gateway but another may be asked for, so each is answered without a call.
        answers::check(request, &[("gateways", "bar")], Vec::new());
    }
}

#[test]
fn generated_conversations_end_in_every_way_there_is() {
    let conversations = (request(), settings(), conversation());
    let outcomes = conversations.prop_map(|(request, settings, answers)| {
        answers::check(request, &settings, answers).log.map(|entry| entry.outcome)
    });
    let kinds = ["None", "Some(Done)", "Some(Failed)", "Some(Retry)", "Some(Ignored)", "Some(Rejected)"];
    check_kinds(outcomes, &kinds);
}
