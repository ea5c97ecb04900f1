//! How much memory an instance takes, whatever it is sent or answered.

use provisioner::pod::text;
use provisioner::reason::Reason;
use provisioner::testing::{client_running, merged, pod_template, routed, wanted};
use serde_json::{Value, json};
use tests::events::{Delivery, binary, body, pending_with, structured};
use tests::peer::{Step, absent, happy, json_step};

use crate::answers::event;
use crate::{Case, End, run};

/// What an event needs that has nothing in it but its gateway: three pages of 64 KiB, one of them for the stack.
const USUAL: usize = 3 << 16;
/// What any other event may need beside that, whatever its bytes are.
const MORE: usize = 8 << 20;

/// An event of nearly a mebibyte.
fn large(name: &'static str, request: Delivery, script: Vec<Step>, end: End) -> Case {
    Case::new(name, script, end).of(request).within(USUAL + MORE)
}

#[tokio::test]
async fn an_event_takes_three_pages_of_memory_or_its_own_size_and_half_a_mebibyte_more() {
    run(Case::new("usual", happy(), End::Done).within(USUAL)).await;
    let largest = json!({"gateway_name": "foo", "padding": "x".repeat(ROOM)}).to_string();
    run(Case::new("largest", happy(), End::Done).of(pending_with("1", &largest)).within(3 << 19)).await;
}

/// The deepest JSON that is read has 127 levels: of a PodTemplate, and of the Pod that is made of it.
#[tokio::test]
async fn the_deepest_answer_has_room_on_the_stack() {
    for (open, close) in [("[", "]"), (r#"{"x":"#, "}")] {
        let deep: Value = serde_json::from_str(&nested(open, close, 120)).unwrap();
        let template = pod_template(|spec| spec["affinity"] = deep);
        let script = [json_step("GET", 200, move |_| template.clone())].into_iter().chain(happy()).collect();
        run(Case::new("deep", script, End::Done).with("client_pod_template", "crawler").within(MEBIBYTE)).await;
    }
}

const MEBIBYTE: usize = 1 << 20;
/// What of a mebibyte is left for the rest of an event.
const ROOM: usize = MEBIBYTE - 300;

/// As many of the items as fit, with commas.
fn list(item: impl Fn(usize) -> String) -> String {
    let items = (0..).map(item).scan(0, |length, item| {
        *length += item.len() + 1;
        (*length < ROOM).then_some(item)
    });
    items.collect::<Vec<_>>().join(",")
}

fn nested(open: &str, close: &str, levels: usize) -> String {
    format!("{}1{}", open.repeat(levels), close.repeat(levels))
}

/// A text of the largest size, of this piece.
fn long(piece: &str) -> String {
    format!("\"{}\"", piece.repeat(ROOM / piece.len()))
}

fn base64(text: &str) -> String {
    use ::base64::Engine;
    ::base64::engine::general_purpose::STANDARD.encode(text)
}

/// A pending event in structured mode with these members.
fn envelope(members: &str) -> Delivery {
    let ty = provisioner::event::PENDING;
    body("application/cloudevents+json", format!(r#"{{"id":"1","source":"/test","type":"{ty}",{members}}}"#))
}

/// Events of nearly a mebibyte that say what a usual one says, in each mode that can carry them.
fn done() -> Vec<(&'static str, Delivery)> {
    let beside = [
        ("objects", format!("[{}]", list(|_| r#"{"":0}"#.into()))),
        ("members", format!("{{{}}}", list(|number| format!("\"{number}\":0")))),
        ("a hundred thousand levels of lists", nested("[", "]", 100_000)),
        ("a hundred thousand levels of objects", nested(r#"{"":"#, "}", 100_000)),
        ("one number", "1".repeat(ROOM)),
        ("escapes", long("\\u0001")),
        ("escapes in a name", format!("{{{}:0}}", long("\\n"))),
    ];
    let in_both_modes = beside.into_iter().flat_map(|(name, value)| {
        let data = format!(r#"{{"x":{value},"gateway_name":"foo"}}"#);
        [(name, pending_with("1", &data)), (name, envelope(&format!(r#""specversion":"1.0","data":{data}"#)))]
    });
    let bytes = base64(&format!(r#"{{"gateway_name":"foo","x":"{}"}}"#, "x".repeat(ROOM * 3 / 4 - 70)));
    let usual = |members: &str| format!(r#""specversion":"1.0","data":{{"gateway_name":"foo"}},{members}"#);
    let last_answer = format!(r#""knativeerrordata":"{}""#, base64(&"x".repeat(ROOM * 3 / 4 - 70)));
    let others = [
        ("extensions", usual(&list(|number| format!("\"x{number}\":\"\"")))),
        ("extensions that are lists", usual(&list(|number| format!("\"x{number}\":[[[[]]]]")))),
        ("a dead letter's last answer", usual(&last_answer)),
        ("a time", usual(&format!(r#""time":{}"#, long("x")))),
        ("bytes", format!(r#""specversion":"1.0","datacontenttype":"text/json","data_base64":"{bytes}""#)),
        ("bytes of 0.3", format!(r#""specversion":"0.3","datacontentencoding":"base64","data":"{bytes}""#)),
    ];
    in_both_modes.chain(others.map(|(name, members)| (name, envelope(&members)))).collect()
}

#[tokio::test]
async fn whatever_a_mebibyte_holds_is_answered_with_eight_more_than_a_usual_event_needs() {
    for (name, request) in done() {
        run(large(name, request, happy(), End::Done)).await;
    }
    let objects = format!("[{}]", list(|_| r#"{"":0}"#.into()));
    let gateway = |value: &str| format!(r#"{{"gateway_name":{value}}}"#);
    for (name, data, reason) in [
        ("a gateway's name of escapes", gateway(&long("\\u0001")), Reason::InvalidGatewayName),
        ("a gateway's name that is a list", gateway(&objects), Reason::InvalidEventData),
        ("no object", objects.clone(), Reason::InvalidEventData),
        ("no JSON", "x".repeat(ROOM), Reason::InvalidEventData),
        ("JSON that was encoded twice", json!(objects[..ROOM / 2]).to_string(), Reason::InvalidEventData),
        ("no JSON at its end", objects + "x", Reason::InvalidEventData),
    ] {
        run(large(name, pending_with("1", &data), vec![], End::Failed(reason))).await;
    }
    let other = format!(r#"{{"specversion":"1.0","id":"1","source":"/test","type":{}}}"#, long("x"));
    // Quoted in an error, it would be six times as long.
    let (string, invalid) = (long("\u{7f}"), End::Failed(Reason::InvalidEventData));
    let no_identity = format!(r#"{{"pending_event":{string}}}"#);
    let all = list(|_| r#"[""]"#.into());
    let [some, more] = [255, 510].map(|kibibytes: usize| &all[..(kibibytes << 10) - 1]);
    let change = |all| format!(r#"{{"metadata":{{"uid":"u"}},"status":{{"containerStatuses":[{all}]}}}}"#);
    for (name, request, end) in [
        ("a type", body("application/cloudevents+json", other), End::Empty(202)),
        ("data that is a string", pending_with("1", &string), invalid),
        ("an identity that is a string", binary("1", provisioner::event::TERMINATION, &no_identity), invalid),
        ("an event that is a string", body("application/cloudevents+json", string), End::Problem(400)),
        ("a change of many containers", binary("1", provisioner::event::UPDATED, &change(some)), End::Empty(202)),
        ("a change of more of them", binary("1", provisioner::event::UPDATED, &change(more)), End::Empty(202)),
    ] {
        run(large(name, request, vec![], end)).await;
    }
}

/// What an answer repeats of an event. Two of these are too long for the annotations of its Pod.
#[tokio::test]
async fn an_attribute_of_a_mebibyte_is_answered_as_well() {
    let (rejected, undeliverable) = (End::Failed(Reason::PodRejected), End::Failed(Reason::Undeliverable));
    for attribute in ["id", "source", "correlationid", "traceparent", "tracestate"] {
        for piece in ["x", "\\\"", "\\u0001", "\u{e4}", "%"] {
            let value: Value = serde_json::from_str(&long(piece)).unwrap();
            let request = structured(&merged(event(), &json!({attribute: value})));
            let is_too_long = ["id", "source"].contains(&attribute) && text(&value).len() > 252 << 10;
            let (script, end) = if is_too_long { (vec![absent()], rejected) } else { (happy(), End::Done) };
            run(large(attribute, request.clone(), script, end)).await;
            run(large(attribute, request, vec![absent()], undeliverable).given_up()).await;
        }
    }
    // As long as a Pod can hold it.
    let longest = structured(&merged(event(), &json!({"id": "x".repeat(250 << 10)})));
    run(large("longest", longest, happy(), End::Done)).await;
}

/// How many pages of clients a namespace with a quota of 470 has.
const PAGES: usize = 10;

/// A page as large as an answer may be: of clients that were told of, with long annotations.
fn page(number: usize) -> Step {
    let told = json!({"metadata": {"annotations": {"podgateway.io/reported": "running", "note": "x".repeat(36_000)}}});
    let client = merged(client_running(routed(wanted(&[]))), &told);
    let next = if number < PAGES { number.to_string() } else { String::new() };
    let page = json!({"metadata": {"continue": next}, "items": vec![client; 50]});
    assert!(page.to_string().len() > 1_900_000);
    json_step("GET", 200, move |_| page.clone())
}

#[tokio::test]
async fn a_sweep_of_hundreds_of_clients_takes_ten_calls_and_sixteen_mebibytes() {
    let ping = binary("1", provisioner::event::PING, "{}");
    let pages = (1..=PAGES).map(page).collect();
    run(Case::new("a sweep", pages, End::Empty(202)).of(ping).with_sink().within(16 << 20)).await;
}
