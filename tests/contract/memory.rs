//! How much memory an instance takes, and how much a whole replica for each event that it has in hand.

use std::sync::Arc;

use host::RuntimeConfig;
use provisioner::testing::{client_running, merged, pod_template, routed, wanted};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tests::command::{Running, application};
use tests::events::{Delivery, binary, body, pending, pending_with};
use tests::peer::{Answer, Step, client, happy, json_step, status};
use tests::{Peer, Provisioner, Reply};
use tokio::sync::Barrier;

use crate::answers::{event, structured};
use crate::command::kubeconfig;
use crate::settling::dead;
use crate::{End, end_of};

/// What an event needs that has nothing in it but its gateway: three pages of 64 KiB, one of them for the stack.
const USUAL: usize = 3 << 16;
/// What any other event may need beside that, whatever its bytes are.
const MORE: usize = 8 << 20;

/// How an instance that may take so many bytes ends an event: by what it answers, or what the sink is told.
async fn end(request: Delivery, script: Vec<Step>, memory: usize) -> End {
    end_with(&[], request, script, memory).await
}

async fn end_with(variables: &[(&str, &str)], request: Delivery, script: Vec<Step>, memory: usize) -> End {
    let is_dead = request.uri().path() != "/";
    let config = RuntimeConfig { max_instance_memory: Some(memory), ..RuntimeConfig::default() };
    let peer = Peer::start(script).await;
    let (k_sink, origin) = (format!("{}/sink", peer.url()), peer.url());
    let sink = [("k_sink", k_sink.as_str()), ("sink_origin", origin.as_str())];
    let provisioner = Provisioner::start_with(&peer.url(), if is_dead { &sink } else { variables }, config);
    let reply = provisioner.deliver(request).await;
    if reply.status == 500 {
        return end_of(&reply);
    }
    let calls = peer.finish();
    match calls.last().filter(|call| call.path == "/sink") {
        Some(told) if reply.status == 202 => {
            end_of(&Reply::new(http::StatusCode::OK, told.headers.clone(), told.body.to_string().into()))
        }
        _ => end_of(&reply),
    }
}

#[tokio::test]
async fn a_usual_event_takes_three_pages_of_memory() {
    assert_eq!(end(pending("1", "foo"), happy(), USUAL).await, End::Done);
}

/// The deepest JSON that is read has 127 levels: of a PodTemplate, and of the Pod that is made of it.
#[tokio::test]
async fn the_deepest_answer_has_room_on_the_stack() {
    for (open, close) in [("[", "]"), (r#"{"x":"#, "}")] {
        let deep: Value = serde_json::from_str(&nested(open, close, 120)).unwrap();
        let template = pod_template(|spec| spec["affinity"] = deep);
        let script = [json_step("GET", 200, move |_| template.clone())].into_iter().chain(happy()).collect();
        let variables = [("client_pod_template", "crawler")];
        assert_eq!(end_with(&variables, pending("1", "foo"), script, 1 << 20).await, End::Done);
    }
}

/// An event of nearly a mebibyte: its data as JSON, or else the members of its envelope.
enum Shape {
    Data(String, End),
    Envelope(String, End),
}

const MEBIBYTE: usize = 1 << 20;
/// What of a mebibyte is left for the rest of an event.
const ROOM: usize = MEBIBYTE - 300;

/// As many of the items as fit.
fn filled(open: &str, item: impl Fn(usize) -> String, separator: &str, close: &str, room: usize) -> String {
    let mut text = open.to_owned();
    for number in 0.. {
        let item = item(number);
        if text.len() + separator.len() + item.len() + close.len() > room {
            break;
        }
        if number > 0 {
            text.push_str(separator);
        }
        text.push_str(&item);
    }
    text + close
}

fn list(item: &str) -> String {
    filled("[", |_| item.to_owned(), ",", "]", ROOM)
}

fn nested(open: &str, close: &str, levels: usize) -> String {
    format!("{}1{}", open.repeat(levels), close.repeat(levels))
}

/// A text of the largest size, of this piece.
fn long(piece: &str) -> String {
    filled("\"", |_| piece.to_owned(), "", "\"", ROOM)
}

fn shapes() -> Vec<(&'static str, Shape)> {
    let beside = |value: String| Shape::Data(format!(r#"{{"gateway_name":"foo","x":{value}}}"#), End::Done);
    let before = |value: String| Shape::Data(format!(r#"{{"x":{value},"gateway_name":"foo"}}"#), End::Done);
    let gateway =
        |value: String| Shape::Data(format!(r#"{{"gateway_name":{value}}}"#), End::Failed("InvalidGatewayName"));
    let bad = |data: String| Shape::Data(data, End::Failed("InvalidEventData"));
    let bytes = |room: usize| base64(&format!(r#"{{"gateway_name":"foo","x":"{}"}}"#, "x".repeat(room * 3 / 4 - 40)));
    let extensions = |value: &str| {
        filled("", |number| format!("\"x{number}\":{value}"), ",", "", ROOM) + r#","data":{"gateway_name":"foo"}"#
    };
    let envelope = |members: String| Shape::Envelope(members, End::Done);
    vec![
        ("objects", beside(list(r#"{"":0}"#))),
        ("objects before what is read", before(list(r#"{"":0}"#))),
        ("members", beside(filled("{", |number| format!("\"{number}\":0"), ",", "}", ROOM))),
        ("chains of a hundred objects", beside(list(&nested(r#"{"":"#, "}", 100)))),
        ("a hundred thousand levels of lists", beside(nested("[", "]", 100_000))),
        ("a hundred thousand levels of objects", beside(nested(r#"{"":"#, "}", 100_000))),
        ("empty lists", beside(list("[]"))),
        ("numbers", beside(list("1"))),
        ("long numbers", beside(list("-1.2345678901234567e-300"))),
        ("one number", beside("1".repeat(ROOM - 40))),
        ("texts", beside(list(r#""a""#))),
        ("one text", beside(long("x"))),
        ("escapes", beside(long("\\u0001"))),
        ("escapes in a name", Shape::Data(format!(r#"{{{}:0,"gateway_name":"foo"}}"#, long("\\n")), End::Done)),
        ("a gateway's name", gateway(long("x"))),
        ("a gateway's name of escapes", gateway(long("\\u0001"))),
        ("a gateway's name that is an object", bad(format!(r#"{{"gateway_name":{}}}"#, list(r#"{"":0}"#)))),
        ("no object", bad(list(r#"{"":0}"#))),
        ("no JSON", bad("x".repeat(ROOM))),
        ("no JSON at its end", bad(list(r#"{"":0}"#) + "x")),
        ("JSON that was encoded twice", bad(json!(list(r#"{"":0}"#)).to_string().chars().take(ROOM).collect())),
        ("extensions", envelope(extensions("\"\""))),
        ("extensions that are lists", envelope(extensions("[[[[]]]]"))),
        ("bytes", envelope(format!(r#""datacontenttype":"application/json","data_base64":"{}""#, bytes(ROOM - 40)))),
        ("bytes of version 0.3", envelope(format!(r#""datacontentencoding":"base64","data":"{}""#, bytes(ROOM - 40)))),
        ("a dead letter's last answer", envelope(error_data())),
        ("a time", envelope(format!(r#""time":{},"data":{{"gateway_name":"foo"}}"#, long("x")))),
        (
            "a time of expiry",
            Shape::Envelope(
                format!(r#""expirytime":{},"data":{{"gateway_name":"foo"}}"#, long("x")),
                End::Failed("InvalidEventData"),
            ),
        ),
    ]
}

fn error_data() -> String {
    let data = base64(&"x".repeat((ROOM - 100) * 3 / 4));
    format!(r#""knativeerrorcode":503,"knativeerrordata":"{data}","data":{{"gateway_name":"foo"}}"#)
}

fn base64(text: &str) -> String {
    use ::base64::Engine;
    ::base64::engine::general_purpose::STANDARD.encode(text)
}

/// The event in each mode that can carry it.
fn in_each_mode(shape: &Shape) -> Vec<Delivery> {
    let envelope = |version: &str, members: &str| {
        let text = format!(
            r#"{{"specversion":"{version}","id":"1","source":"/test","type":"{}",{members}}}"#,
            provisioner::event::PENDING
        );
        body("application/cloudevents+json", text)
    };
    let requests = match shape {
        Shape::Data(data, _) if serde_json::from_str::<&RawValue>(data).is_err() => vec![pending_with("1", data)],
        Shape::Data(data, _) => vec![pending_with("1", data), envelope("1.0", &format!("\"data\":{data}"))],
        Shape::Envelope(members, _) if members.contains("datacontentencoding") => vec![envelope("0.3", members)],
        Shape::Envelope(members, _) => vec![envelope("1.0", members)],
    };
    for request in &requests {
        let size = http_body::Body::size_hint(request.body()).exact().unwrap();
        assert!(size <= MEBIBYTE as u64, "{size}");
    }
    requests
}

fn accepts() -> Step {
    json_step("POST", 202, |_| Value::Null)
}

fn absent() -> Step {
    status("GET", 404, "NotFound", "pods \"x\" not found")
}

#[tokio::test]
async fn whatever_a_mebibyte_holds_is_answered_with_eight_more_than_a_usual_event_needs() {
    for (name, shape) in shapes() {
        let (Shape::Data(_, expected) | Shape::Envelope(_, expected)) = shape;
        for request in in_each_mode(&shape) {
            let is_done = expected == End::Done;
            let script = if is_done { happy() } else { vec![] };
            assert_eq!(end(request, script, USUAL + MORE).await, expected, "{name}");
        }
        for request in in_each_mode(&shape) {
            let found = json_step("GET", 200, |_| client(wanted(&[])));
            let script = if expected == End::Done { vec![found, accepts()] } else { vec![accepts()] };
            assert_eq!(end(dead(request), script, USUAL + MORE).await, expected, "{name}, a dead letter");
        }
    }
}

/// An event with an attribute of the largest size, of this piece.
fn large(attribute: &str, piece: &str) -> Delivery {
    let mut members = vec![("id", "\"1\"".to_owned()), ("source", "\"/test\"".to_owned())];
    members.retain(|(name, _)| *name != attribute);
    members.push((attribute, long(piece)));
    let members: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    let ty = provisioner::event::PENDING;
    let rest = format!(r#""specversion":"1.0","type":"{ty}","data":{{"gateway_name":"foo"}}"#);
    body("application/cloudevents+json", format!("{{{},{rest}}}", members.join(",")))
}

/// What an answer repeats of an event. Two of these are in the annotations of its Pod, of which an API server takes 256
/// KiB.
#[tokio::test]
async fn an_attribute_of_a_mebibyte_is_answered_as_well() {
    let too_long = "metadata.annotations: Too long: may not be more than 262144 bytes";
    for attribute in ["id", "source", "correlationid", "traceparent", "tracestate"] {
        for piece in ["x", "\\\"", "\\u0001", "\u{e4}", "%"] {
            let refused = vec![status("POST", 422, "Invalid", too_long), absent()];
            let answered = end(large(attribute, piece), refused, USUAL + MORE).await;
            assert_eq!(answered, End::Failed("PodRejected"), "{attribute} of {piece}");
            let settled = end(dead(large(attribute, piece)), vec![absent(), accepts()], USUAL + MORE).await;
            assert_eq!(settled, End::Failed("Undeliverable"), "{attribute} of {piece}, a dead letter");
        }
    }
    let other = format!(r#"{{"specversion":"1.0","id":"1","source":"/test","type":{}}}"#, long("x"));
    assert_eq!(end(body("application/cloudevents+json", other), vec![], USUAL + MORE).await, End::Empty(202));
}

#[tokio::test]
async fn an_id_as_long_as_a_pod_can_hold_it_becomes_a_client() {
    let mut event = event();
    event["id"] = json!("x".repeat(250 << 10));
    assert_eq!(end(structured(event), happy(), USUAL + MORE).await, End::Done);
}

#[tokio::test]
async fn an_event_of_the_largest_size_takes_its_own_size_and_half_a_mebibyte_more() {
    let padding = "x".repeat(MEBIBYTE - 100);
    let data = format!(r#"{{"gateway_name": "foo", "padding": "{padding}"}}"#);
    assert_eq!(end(pending_with("1", &data), happy(), 3 << 19).await, End::Done);
}

/// As many clients as a namespace with a quota of 470 has, at least; and the most that a sweep of them may need.
const CLIENTS: usize = 470;
const SWEEP: usize = 16 << 20;

/// A page as large as an answer may be: of clients that were told of, with long annotations.
fn page(from: usize) -> Value {
    let told = json!({"metadata": {"annotations": {"podgateway.io/reported": "running", "note": "x".repeat(36_000)}}});
    let client = |_| merged(client_running(routed(wanted(&[]))), &told);
    let to = CLIENTS.min(from + 50);
    let next = if to < CLIENTS { to.to_string() } else { String::new() };
    json!({"metadata": {"continue": next}, "items": (from..to).map(client).collect::<Vec<_>>()})
}

#[tokio::test]
async fn a_sweep_of_hundreds_of_clients_takes_ten_calls_and_sixteen_mebibytes() {
    let pages: Vec<_> = (0..CLIENTS).step_by(50).map(page).collect();
    assert!(pages[0].to_string().len() > 1_900_000, "{}", pages[0].to_string().len());
    let script: Vec<_> = pages.into_iter().map(|page| json_step("GET", 200, move |_| page.clone())).collect();
    assert!(script.len() <= 10);
    let config = RuntimeConfig { max_instance_memory: Some(SWEEP), ..RuntimeConfig::default() };
    let peer = Peer::start(script).await;
    let (k_sink, origin) = (format!("{}/sink", peer.url()), peer.url());
    let sink = [("k_sink", k_sink.as_str()), ("sink_origin", origin.as_str())];
    let provisioner = Provisioner::start_with(&peer.url(), &sink, config);
    let reply = provisioner.deliver(binary("1", provisioner::event::PING, "{}")).await;
    assert_eq!(end_of(&reply), End::Empty(202));
    peer.finish();
}

/// As many events as are in a replica's hands at once in the test of a burst.
const BURST: usize = 128;

/// How many requests Spin takes at once.
pub const AT_ONCE: usize = 1_000;

/// How much the host's memory may grow for each event that it has in hand, in KiB.
const EACH: usize = 400;

/// How much a replica's grows under Spin, which has more of its own for each request, in KiB: measured, and rounded up.
/// `docs/operations.md`, *Sizing*.
pub const EACH_UNDER_SPIN: usize = 512;

/// Sends so many events at once, and lets none of their calls end before all of them have been made.
async fn burst(address: &str, events: usize) {
    let deliveries = (0..events).map(|id| Reply::from(address, pending(&id.to_string(), "foo")));
    for reply in futures::future::join_all(deliveries).await {
        assert_eq!(end_of(&reply), End::Empty(503));
    }
}

fn held(events: usize) -> Vec<Step> {
    let barrier = Arc::new(Barrier::new(events));
    let step = |barrier: Arc<Barrier>| -> Step { ("POST", Box::new(move |_, _| Answer::Together(barrier.clone()))) };
    (0..events).map(|_| step(barrier.clone())).collect()
}

/// The most memory that a process ever had at once, in KiB (proc(5), `VmHWM`).
fn peak(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("Linux says so");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).expect("it is a number of KiB")
}

/// The host keeps as much of every instance that there was as Spin does, so this is what a replica under Spin takes too.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_grows_by_no_more_than_a_few_hundred_kibibytes_for_each_event_in_its_hands() {
    let version = json_step("GET", 200, |_| json!({"major": "1"}));
    let script = std::iter::once(version).chain(held(1)).chain(held(BURST)).chain(held(BURST));
    let peer = Peer::start(script.collect()).await;
    let directory = application();
    let kubeconfig = kubeconfig(directory.path(), &peer.url());
    let arguments = ["--kubeconfig", kubeconfig.to_str().unwrap(), "--variable", "kube_api_timeout=1m"];
    let running = Running::start(directory.path(), &arguments);
    let address = running.address("provisioner");
    burst(&address, 1).await;
    let before = peak(running.id());
    burst(&address, BURST).await;
    // An instance is cleaned when it has ended, which touches all of its memory. The second burst finds that done.
    burst(&address, BURST).await;
    let each = (peak(running.id()) - before) / (BURST - 1);
    peer.finish();
    println!("{before} KiB with one event in hand, and {each} KiB for each further one");
    assert!(each <= EACH, "{each} KiB for each event in hand, and {before} KiB with one");
}
