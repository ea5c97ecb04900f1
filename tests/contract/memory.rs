//! How much memory an instance takes, and how much a whole replica for each event that it has in hand.

use std::sync::Arc;

use host::RuntimeConfig;
use provisioner::reason::Reason;
use provisioner::testing::{client_running, merged, pod_template, routed, wanted};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tests::command::{Running, application};
use tests::events::{Delivery, binary, body, pending, pending_with, structured};
use tests::peer::{Answer, Step, absent, accepts, client, found, happy, json_step, status};
use tests::{Peer, Provisioner, Reply};
use tokio::sync::Barrier;

use crate::answers::event;
use crate::command::kubeconfig;
use crate::settling::dead;
use crate::{End, end_of};

/// What an event needs that has nothing in it but its gateway: three pages of 64 KiB, one of them for the stack.
const USUAL: usize = 3 << 16;
/// What any other event may need beside that, whatever its bytes are.
const MORE: usize = 8 << 20;

/// A provisioner each of whose instances may take so many bytes.
fn limited(url: &str, memory: usize, variables: &[(&str, &str)]) -> Provisioner {
    let config = RuntimeConfig { max_instance_memory: Some(memory), ..RuntimeConfig::default() };
    Provisioner::start_with(url, variables, config)
}

/// How an instance that may take so many bytes ends an event: by what it answers, or what the sink is told.
async fn end(request: Delivery, script: Vec<Step>, memory: usize) -> End {
    let peer = Peer::start(script).await;
    let (k_sink, origin) = (format!("{}/sink", peer.url()), peer.url());
    let sink = [("k_sink", k_sink.as_str()), ("sink_origin", origin.as_str())];
    let has_sink = request.uri().path() != "/";
    let reply = limited(&peer.url(), memory, if has_sink { &sink } else { &[] }).deliver(request).await;
    if !has_sink || reply.status != 202 {
        return end_of(&reply);
    }
    let told = peer.finish().pop().expect("the sink was told");
    end_of(&Reply::new(http::StatusCode::OK, told.headers, told.body.to_string().into()))
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
        let script = [json_step("GET", 200, move |_| template.clone())].into_iter().chain(happy());
        let peer = Peer::start(script.collect()).await;
        let provisioner = limited(&peer.url(), 1 << 20, &[("client_pod_template", "crawler")]);
        assert_eq!(end_of(&provisioner.deliver(pending("1", "foo")).await), End::Done);
    }
}

const MEBIBYTE: usize = 1 << 20;
/// What of a mebibyte is left for the rest of an event.
const ROOM: usize = MEBIBYTE - 300;

/// As many of the items as fit.
fn filled(open: &str, item: impl Fn(usize) -> String, separator: &str, close: &str) -> String {
    let mut text = open.to_owned();
    for number in 0.. {
        let item = item(number);
        if text.len() + separator.len() + item.len() + close.len() > ROOM {
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
    filled("[", |_| item.to_owned(), ",", "]")
}

fn nested(open: &str, close: &str, levels: usize) -> String {
    format!("{}1{}", open.repeat(levels), close.repeat(levels))
}

/// A text of the largest size, of this piece.
fn long(piece: &str) -> String {
    filled("\"", |_| piece.to_owned(), "", "\"")
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

/// Events of nearly a mebibyte, in each mode that can carry them.
fn shapes() -> Vec<(&'static str, Vec<Delivery>, End)> {
    let [invalid_data, invalid_name] = [Reason::InvalidEventData, Reason::InvalidGatewayName].map(End::Failed);
    let data = |name, data: String, end| {
        let is_json = serde_json::from_str::<&RawValue>(&data).is_ok();
        let structured = is_json.then(|| envelope(&format!(r#""specversion":"1.0","data":{data}"#)));
        (name, [pending_with("1", &data)].into_iter().chain(structured).collect(), end)
    };
    let beside = |name, value: String| data(name, format!(r#"{{"gateway_name":"foo","x":{value}}}"#), End::Done);
    let gateway = |name, value: String, end| data(name, format!(r#"{{"gateway_name":{value}}}"#), end);
    let usual = r#""specversion":"1.0","data":{"gateway_name":"foo"}"#;
    let members = |name, members: String| (name, vec![envelope(&format!("{usual},{members}"))], End::Done);
    let objects = || list(r#"{"":0}"#);
    let bytes = base64(&format!(r#"{{"gateway_name":"foo","x":"{}"}}"#, "x".repeat(ROOM * 3 / 4 - 70)));
    let extensions = |value: &str| filled("", |number| format!("\"x{number}\":{value}"), ",", "");
    let of_bytes = |name, members: String| (name, vec![envelope(&members)], End::Done);
    vec![
        beside("objects", objects()),
        data("objects before what is read", format!(r#"{{"x":{},"gateway_name":"foo"}}"#, objects()), End::Done),
        beside("members", filled("{", |number| format!("\"{number}\":0"), ",", "}")),
        beside("chains of a hundred objects", list(&nested(r#"{"":"#, "}", 100))),
        beside("a hundred thousand levels of lists", nested("[", "]", 100_000)),
        beside("a hundred thousand levels of objects", nested(r#"{"":"#, "}", 100_000)),
        beside("empty lists", list("[]")),
        beside("numbers", list("1")),
        beside("long numbers", list("-1.2345678901234567e-300")),
        beside("one number", "1".repeat(ROOM - 40)),
        beside("texts", list(r#""a""#)),
        beside("one text", long("x")),
        beside("escapes", long("\\u0001")),
        data("escapes in a name", format!(r#"{{{}:0,"gateway_name":"foo"}}"#, long("\\n")), End::Done),
        gateway("a gateway's name", long("x"), invalid_name),
        gateway("a gateway's name of escapes", long("\\u0001"), invalid_name),
        gateway("a gateway's name that is an object", objects(), invalid_data),
        data("no object", objects(), invalid_data),
        data("no JSON", "x".repeat(ROOM), invalid_data),
        data("no JSON at its end", objects() + "x", invalid_data),
        data("JSON that was encoded twice", json!(objects()).to_string().chars().take(ROOM).collect(), invalid_data),
        members("extensions", extensions("\"\"")),
        members("extensions that are lists", extensions("[[[[]]]]")),
        members(
            "a dead letter's last answer",
            format!(r#""knativeerrordata":"{}""#, base64(&"x".repeat(ROOM * 3 / 4 - 70))),
        ),
        members("a time", format!(r#""time":{}"#, long("x"))),
        ("a time of expiry", vec![envelope(&format!(r#"{usual},"expirytime":{}"#, long("x")))], invalid_data),
        of_bytes("bytes", format!(r#""specversion":"1.0","datacontenttype":"text/json","data_base64":"{bytes}""#)),
        of_bytes("bytes of 0.3", format!(r#""specversion":"0.3","datacontentencoding":"base64","data":"{bytes}""#)),
    ]
}

#[tokio::test]
async fn whatever_a_mebibyte_holds_is_answered_with_eight_more_than_a_usual_event_needs() {
    for (name, requests, expected) in shapes() {
        for request in requests {
            let is_done = expected == End::Done;
            let answered = end(request.clone(), if is_done { happy() } else { vec![] }, USUAL + MORE).await;
            let script = is_done.then(|| found(client)).into_iter().chain([accepts()]).collect();
            let settled = end(dead(request), script, USUAL + MORE).await;
            assert_eq!((answered, settled), (expected, expected), "{name}");
        }
    }
}

/// What an answer repeats of an event. Two of these are in the annotations of its Pod, of which an API server takes 256
/// KiB.
#[tokio::test]
async fn an_attribute_of_a_mebibyte_is_answered_as_well() {
    let too_long = || status("POST", 422, "Invalid", "metadata.annotations: Too long");
    let (rejected, undeliverable) = (End::Failed(Reason::PodRejected), End::Failed(Reason::Undeliverable));
    for attribute in ["id", "source", "correlationid", "traceparent", "tracestate"] {
        for piece in ["x", "\\\"", "\\u0001", "\u{e4}", "%"] {
            let large = || {
                structured(&merged(event(), &json!({attribute: serde_json::from_str::<Value>(&long(piece)).unwrap()})))
            };
            let answered = end(large(), vec![too_long(), absent()], USUAL + MORE).await;
            let settled = end(dead(large()), vec![absent(), accepts()], USUAL + MORE).await;
            assert_eq!((answered, settled), (rejected, undeliverable), "{attribute} of {piece}");
        }
    }
    let other = format!(r#"{{"specversion":"1.0","id":"1","source":"/test","type":{}}}"#, long("x"));
    assert_eq!(end(body("application/cloudevents+json", other), vec![], USUAL + MORE).await, End::Empty(202));
    // As long as a Pod can hold it.
    let longest = structured(&merged(event(), &json!({"id": "x".repeat(250 << 10)})));
    assert_eq!(end(longest, happy(), USUAL + MORE).await, End::Done);
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
fn clients(from: usize) -> Value {
    let told = json!({"metadata": {"annotations": {"podgateway.io/reported": "running", "note": "x".repeat(36_000)}}});
    let client = |_| merged(client_running(routed(wanted(&[]))), &told);
    let to = CLIENTS.min(from + 50);
    let next = if to < CLIENTS { to.to_string() } else { String::new() };
    json!({"metadata": {"continue": next}, "items": (from..to).map(client).collect::<Vec<_>>()})
}

#[tokio::test]
async fn a_sweep_of_hundreds_of_clients_takes_ten_calls_and_sixteen_mebibytes() {
    let pages: Vec<_> = (0..CLIENTS).step_by(50).map(clients).collect();
    assert!(pages[0].to_string().len() > 1_900_000, "{}", pages[0].to_string().len());
    let script: Vec<_> = pages.into_iter().map(|page| json_step("GET", 200, move |_| page.clone())).collect();
    assert!(script.len() <= 10);
    let peer = Peer::start(script).await;
    let sink = [("k_sink", "http://sink.test/"), ("sink_origin", "http://sink.test")];
    let provisioner = limited(&peer.url(), SWEEP, &sink);
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
