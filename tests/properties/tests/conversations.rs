//! Conversations with an API server and with whatever stands in its place, up to the answer.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, Request};
use properties::answers::{self, SINK, TOKEN};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use provisioner::endpoint::{Answered, Body, BodyError};
use provisioner::event::PENDING;
use provisioner::kubernetes::{read_deletion, read_object, read_pod};
use provisioner::log::Kind;
use provisioner::outbound::Answer;
use provisioner::pod::Pod;
use provisioner::testing::{answer, cut, deleting, event, now, object, pod_template, released, routed, stored, wanted};
use serde_json::{Value, json};

use crate::generators::{json, kinds, text};
use crate::pods::template;
use crate::reading::headers;

const STRUCTURED: &str = "application/cloudevents+json";

/// Where the token is put.
const PLACE: &str = "THE TOKEN";

/// The body of a status and its code: what the API server says, before it is an answer.
type Said = (u16, Value);

fn status(code: u16, reason: &str) -> Said {
    refusal(code, reason, "m")
}

fn refusal(code: u16, reason: &str, message: &str) -> Said {
    (code, json!({"kind": "Status", "status": "Failure", "reason": reason, "message": message, "code": code}))
}

/// The event's Pod in the states in which the API server may have it: gated, released, unrouted, being deleted.
fn pods() -> [Value; 4] {
    let gated = routed(wanted(&[]));
    [gated.clone(), released(gated.clone()), stored(wanted(&[])), deleting(gated)]
}

/// Answers as the API server gives them, and as it never would.
fn api_answer() -> impl Strategy<Value = Answer> {
    let reasons = ["AlreadyExists", "Conflict", "NotFound", "Forbidden", "Invalid", "InternalError", "TooManyRequests"];
    let refusal = select(reasons.to_vec()).prop_map(|reason| status(0, reason).1);
    let body = prop_oneof![4 => select(pods().to_vec()), 2 => refusal, 2 => template(), 1 => json()];
    let body = prop_oneof![9 => body.prop_map(|body| body.to_string().into_bytes()), 1 => vec(any::<u8>(), 0..30)];
    let code = prop_oneof![6 => select(vec![200u16, 201, 409, 404, 422, 403, 429, 500]), 1 => 100u16..1000];
    let answered = (code, body).prop_map(|(code, body)| answer(code, body));
    prop_oneof![9 => answered, 1 => Just(cut())]
}

/// What is said when nothing is in the way, or one thing.
fn usual() -> impl Strategy<Value = Vec<Said>> {
    let [gated, released, unrouted, deleting] = pods().map(|pod| (200, pod));
    let (exists, taken) = (status(409, "AlreadyExists"), (202, json!(null)));
    let (forbidden, missing) = (refusal(403, "Forbidden", "pods is forbidden: no"), status(404, "NotFound"));
    let denial = refusal(403, "", "admission webhook \"w\" denied the request: no");
    let quota = refusal(403, "Forbidden", "pods \"x\" is forbidden: failed quota: q: must specify limits.cpu");
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
        vec![gated, status(422, "Invalid"), (200, json!({"kind": "Status", "status": "Success"})), taken],
    ])
}

fn said(said: Vec<Said>) -> Vec<Answer> {
    said.iter().map(|(code, body)| object(*code, body)).collect()
}

/// A conversation as it goes when nothing is in the way, or with anything at one place of it, or of anything.
fn conversation() -> impl Strategy<Value = Vec<Answer>> {
    let disturbed = (usual(), any::<Index>(), api_answer()).prop_map(|(script, at, answer)| {
        let mut script = said(script);
        let at = at.index(script.len());
        script[at] = answer;
        script
    });
    prop_oneof![2 => usual().prop_map(said), 3 => disturbed, 1 => vec(api_answer(), 0..7)]
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

/// The event of every Pod here, and others, in binary mode; by Knative and by anybody else.
fn request() -> impl Strategy<Value = Request<Body>> {
    let path = prop_oneof![6 => Just("/".to_owned()), 3 => Just("/dead-letter".to_owned()), 1 => "/[a-z]{0,6}"];
    let method = prop_oneof![8 => Just(Method::POST), 1 => select(vec![Method::GET, Method::OPTIONS, Method::TRACE])];
    let event = |ty: &'static str| Just(event("/", ty, "").into_parts().0.headers);
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

fn pending(path: &str, content_type: &str, body: String) -> Request<Body> {
    if content_type == STRUCTURED {
        return Request::post(path).header("content-type", STRUCTURED).body(Ok(body.into_bytes())).unwrap();
    }
    event(path, PENDING, body).map(Ok)
}

/// JSON texts of every shape: deep, wide, long, odd.
fn shape() -> impl Strategy<Value = String> {
    let size = prop_oneof![1..200usize, 1..100_000usize, Just(100_000)];
    prop_oneof![
        size.clone().prop_map(|n| "[".repeat(n) + &"]".repeat(n)),
        size.clone().prop_map(|n| "{\"\":".repeat(n) + "0" + &"}".repeat(n)),
        size.clone().prop_map(|n| "[{\"a\":".repeat(n) + "[]" + &"}]".repeat(n)),
        size.clone().prop_map(|n| format!("[{}0]", "{},".repeat(n))),
        size.clone().prop_map(|n| format!("{{{}\"x\":0}}", "\"a\":[0],".repeat(n))),
        size.clone().prop_map(|n| format!("-{}.{}e-{}", "1".repeat(n), "0".repeat(n), "9".repeat(n % 50 + 1))),
        size.prop_map(|n| format!("\"{}\"", "\\u0000\\ud800\\\"\\/".repeat(n / 2))),
        select(vec!["1e400", "-0", "1E+999999999999", "\"\\udfff\"", "\"\u{0}\"", "tru", "[", "\"", "{\"a\"}"])
            .prop_map(str::to_owned),
        json().prop_map(|json| json.to_string()),
    ]
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

/// A conversation with a text in one of its answers that an answer or the log quotes, and where it is.
fn quoting() -> impl Strategy<Value = (Vec<Said>, usize, &'static str)> {
    let (gated, missing) = ((201, pods()[0].clone()), status(404, "NotFound"));
    let quota = refusal(403, "Forbidden", "pods \"x\" is forbidden: failed quota: q: must specify limits.cpu for: ");
    let removed = (200, json!({"kind": "Status", "status": "Success"}));
    let of_pod = [
        "/metadata/uid",
        "/metadata/annotations/setGateway",
        "/metadata/annotations/podgateway.io~1event-source",
        "/metadata/labels/setGateway",
        "/metadata/labels/app.kubernetes.io~1managed-by",
        "/spec/initContainers/0/name",
        "/spec/initContainers/0/env/0/value",
        "/spec/containers/1/env/0/value",
        "/spec/containers/0/securityContext/capabilities/drop/0",
    ];
    let of_pod = of_pod.map(|place| (vec![gated.clone(), removed.clone()], 0, place));
    let denial = refusal(422, "Invalid", "");
    let of_refusal = [
        (vec![quota, missing.clone()], 0, "/message"),
        (vec![denial.clone(), missing], 0, "/message"),
        (vec![gated.clone(), denial, removed], 1, "/message"),
        (vec![gated, refusal(500, "InternalError", "")], 1, "/message"),
    ];
    select(of_pod.into_iter().chain(of_refusal).collect::<Vec<_>>())
}

/// A conversation in which the token stands somewhere, and often where a text that quotes it is cut off.
fn planted() -> impl Strategy<Value = Vec<Answer>> {
    let anywhere =
        (usual(), any::<[Index; 2]>(), any::<bool>()).prop_map(|(mut script, [which, place], is_instead)| {
            let which = which.index(script.len());
            let mut texts = 0;
            each_text(&mut script[which].1, &mut |_| texts += 1);
            let (mut at, place) = (0, place.index(texts.max(1)));
            each_text(&mut script[which].1, &mut |text| {
                if at == place {
                    *text = if is_instead { PLACE.to_owned() } else { format!("{text}{PLACE}") };
                }
                at += 1;
            });
            (script, which)
        });
    let quoted = quoting().prop_map(|(mut script, which, place)| {
        let text = script[which].1.pointer_mut(place).unwrap();
        *text = json!(format!("{}{PLACE}", text.as_str().unwrap()));
        (script, which)
    });
    let before = prop_oneof![2 => Just(0), 2 => 190..260usize, 1 => 0..1_100usize, 2 => 1_940..2_060usize];
    (prop_oneof![anywhere, quoted], before, any::<bool>()).prop_map(|((script, which), before, is_escaped)| {
        let token = if is_escaped { TOKEN.replace("eyJ", "\\u0065yJ") } else { TOKEN.to_owned() };
        let (code, body) = (script[which].0, script[which].1.to_string());
        let mut script = said(script);
        script[which] = answer(code, body.replace(PLACE, &format!("{}{token} and more", "x".repeat(before))));
        script
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn bodies_of_any_bytes_are_a_pod_or_an_error(bytes: Vec<u8>, pod in json()) {
        for body in [bytes, pod.to_string().into_bytes()] {
            prop_assert!(read_pod::<Pod>(&body, "default", "x").is_err());
            _ = read_object(&body, "PodTemplate");
            prop_assert!(read_deletion(&body, "x").is_err());
        }
    }

    #[test]
    fn every_conversation_ends_in_an_answer_of_the_table(
        request in request(), settings in settings(), answers in conversation(),
    ) {
        answers::check(request, &settings, answers);
    }

    #[test]
    fn the_token_leaves_by_no_way_whatever_the_api_server_answers(settings in settings(), answers in planted()) {
        answers::check(pending("/", "application/json", r#"{"gateway_name":"foo"}"#.into()), &settings, answers);
    }
}

proptest! {
    #[test]
    fn data_of_any_shape_is_answered(shape in shape(), is_structured: bool, is_whole: bool, is_dead_letter: bool) {
        let data = match is_whole {
            true => shape.clone(),
            false => format!(r#"{{"x":{shape},"gateway_name":"foo","y":{shape}}}"#),
        };
        let attributes = format!(r#""specversion":"1.0","id":"1","source":"/test","type":"{PENDING}""#);
        let path = if is_dead_letter { "/dead-letter" } else { "/" };
        let request = match is_structured {
            true => pending(path, STRUCTURED, format!(r#"{{{attributes},"x":{shape},"data":{data}}}"#)),
            false => pending(path, "application/json", data.clone()),
        };
        let [gated, released, ..] = pods();
        let script = said(vec![(200, gated), (200, released), (202, json!(null))]);
        let settings = [("k_sink", SINK), ("sink_origin", "http://sink")];
        let Answered { log, .. } = answers::check(request, if is_dead_letter { &settings } else { &[] }, script);
        let entry = log.unwrap();
        // Numbers are no more than their text here, and so are escapes: only what is no JSON is none.
        let is_json = serde_json::from_str::<Box<serde_json::value::RawValue>>(&data).is_ok();
        let expected = match (is_json, is_whole, is_structured) {
            (true, false, _) => Kind::Done,
            (true, true, _) | (false, _, false) => Kind::Failed,
            (false, _, true) => Kind::Rejected,
        };
        prop_assert_eq!(entry.outcome, expected, "{:?} {:.200}", entry.message, data);
    }

    #[test]
    fn an_answer_names_its_event_exactly(
        id in text(), source in text(), correlation in option::of(text()), gateway in option::of(text()),
    ) {
        let mut event = json!({"specversion": "1.0", "id": id, "source": source, "type": PENDING});
        event["data"] = json!({ "gateway_name": gateway });
        event["correlationid"] = json!(correlation);
        answers::check(pending("/", STRUCTURED, event.to_string()), &[("gateways", "foo")], Vec::new());
    }
}

#[test]
fn generated_conversations_end_in_every_way_there_is() {
    let kinds = kinds((request(), settings(), conversation()), |(request, settings, answers)| {
        let entry = answers::check(request, &settings, answers).log;
        entry.map_or("probe".into(), |entry| format!("{:?}", entry.outcome))
    });
    for kind in ["Done", "Failed", "Retry", "Ignored", "Rejected"] {
        assert!(kinds.get(kind).is_some_and(|&count| count > 0), "{kind} in {kinds:?}");
    }
}

#[test]
fn a_planted_token_comes_as_far_as_an_answer_or_the_log() {
    let kinds = kinds(planted(), |answers| {
        let request = pending("/", "application/json", r#"{"gateway_name":"foo"}"#.into());
        let answered = answers::check(request, &[], answers);
        let line = answered.log.unwrap().line(now(), Duration::ZERO);
        let told = String::from_utf8_lossy(answered.response.body()).into_owned();
        format!("{} {}", told.contains("[redacted]"), line.contains("[redacted]"))
    });
    assert!(kinds.get("true true").is_some_and(|&count| count > 10), "{kinds:?}");
}
