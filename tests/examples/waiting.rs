//! The program that waits ends with its own answer, and with no other.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use http::HeaderValue;
use serde_json::{Value, json};
use tests::command::Running;
use tests::events::binary;
use tests::manifests::object;

use crate::Part;
use crate::broker::{answers, name, pods, send, start};
use crate::producers::python;
use crate::readme::{BROKER, Ended, commands, end, shell};

const HEADING: &str = "Waiting for the answer";
const SCHEDULING_DONE: &str = "io.podgateway.client.scheduling.done";
/// Where the README has it listen.
const LISTEN: &str = "127.0.0.1:9000";

/// The tests.
pub fn part() -> Part {
    let tests: Vec<crate::Test> = vec![
        ("done ends it with 0, for the same Pod when it asks again", Box::new(done_ends_it_with_0)),
        ("an unknown gateway ends it with 1 and the reason", Box::new(an_unknown_gateway_ends_it_with_1)),
        ("no answer ends it with 2", Box::new(no_answer_ends_it_with_2)),
        ("a broker that refuses ends it with 3", Box::new(a_refusal_ends_it_with_3)),
        ("answers to others are acknowledged and passed over", Box::new(answers_to_others_are_passed_over)),
        ("a client's reports end it as they say", Box::new(a_clients_reports_end_it_as_they_say)),
        ("a client is waited for until it runs, and until it has ended", Box::new(a_client_is_waited_for)),
        ("the Trigger for a cluster gets the answer to its Job", Box::new(the_trigger_gets_the_answer_to_its_job)),
    ];
    Part { name: "waiting", needs: python(), builds: Vec::new(), tests }
}

/// The two commands of the README: the one with the Trigger, and the program's.
fn documented() -> (String, String) {
    let [run, wait] = commands(HEADING).try_into().unwrap();
    (run, wait)
}

/// An address of this machine that nobody listens on.
fn free_address() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// The command with the README's Trigger for a subscriber at `address`.
fn start_with_trigger(address: &str) -> Running {
    let run = documented().0;
    let flags = run.split('"').nth(1).unwrap().replace(LISTEN, address);
    assert!(flags.contains(address), "{run}");
    start(&flags.split(' ').collect::<Vec<_>>())
}

/// The program's command with other flags, for the broker in `K_SINK`.
fn wait(flags: &str) -> String {
    documented().1.replace(&format!(" foo {BROKER}"), &format!(" {flags}"))
}

fn done_ends_it_with_0() {
    let address = free_address();
    let running = start_with_trigger(&address);
    let broker = running.address("broker");
    let line = wait(&format!("--listen {address} --id 1 foo"));
    let first = end(&line, &[("K_SINK", &broker)]);
    assert_eq!(first.code, Some(0), "{first:?}");
    let pods = pods(&running);
    assert_eq!(pods.len(), 1);
    assert!(first.stdout.contains(&format!("done: default/{}", name(&pods[0]))), "{first:?}");
    let again = end(&line, &[("K_SINK", &broker)]);
    assert_eq!((again.code, again.stdout), (first.code, first.stdout));
    assert_eq!(crate::broker::pods(&running).len(), 1);
    // As the README has it, but for the ports.
    let line = documented().1.replace(BROKER, &format!("{broker} --listen {address}"));
    assert_eq!(end(&line, &[]).code, Some(0));
    assert_eq!(crate::broker::pods(&running).len(), 2);
}

fn an_unknown_gateway_ends_it_with_1() {
    let address = free_address();
    let running = start_with_trigger(&address);
    let ended = end(&wait(&format!("--listen {address} nope")), &[("K_SINK", &running.address("broker"))]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("failed: GatewayNotInjected: "), "{ended:?}");
    assert!(pods(&running).is_empty());
}

fn no_answer_ends_it_with_2() {
    let running = start(&[]);
    let line = wait("--listen 127.0.0.1:0 --timeout 1 --id 1 foo");
    let ended = end(&line, &[("K_SINK", &running.address("broker"))]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("no answer within 1 s") && ended.stderr.contains("--id 1 --source"), "{ended:?}");
    answers(&running, "1", 1);
    assert_eq!(pods(&running).len(), 1);
}

fn a_refusal_ends_it_with_3() {
    let running = start(&[]);
    let broker = running.address("broker").replace("/default/default", "/default/other");
    let ended = end(&wait("--listen 127.0.0.1:0 foo"), &[("K_SINK", &broker)]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stderr.contains("404") && ended.stderr.contains("no broker default/other"), "{ended:?}");
    let closed = format!("http://{}/default/default", free_address());
    assert_eq!(end(&wait("--listen 127.0.0.1:0 foo"), &[("K_SINK", &closed)]).code, Some(3));
    assert_eq!(end(&wait("foo"), &[]).code, Some(3));
}

/// The program, waiting; it is ended when it is dropped.
struct Waiting(Child);

impl Drop for Waiting {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

impl Waiting {
    /// Starts it, and gives where it listens.
    fn start(mut command: Command) -> (Self, String) {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.as_mut().unwrap());
        stdout.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").map(str::to_owned);
        (Self(child), address.unwrap_or_else(|| panic!("{line:?}")))
    }

    fn end(mut self) -> Ended {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.0.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        self.0.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        Ended { code: self.0.wait().unwrap().code(), stdout, stderr }
    }
}

/// Gives the program at `address` an event, as the broker would.
fn deliver(address: &str, ty: &str, causation: &'static str, source: &str, data: &Value) -> u16 {
    let mut whole = json!({"namespace": "n", "pod_name": "p", "message": "said", "pending_event": {"source": source}});
    whole.as_object_mut().unwrap().extend(data.as_object().unwrap().clone());
    let mut event = binary("a", ty, &whole.to_string());
    event.headers_mut().insert("ce-causationid", HeaderValue::from_static(causation));
    send(event, &format!("http://{address}/")).status.as_u16()
}

/// What came, in its order, how far the program was to wait, and how it ends.
fn a_clients_reports_end_it_as_they_say() {
    const RUNNING: (&str, &str) = ("io.podgateway.client.running", "");
    const COMPLETED: (&str, &str) = ("io.podgateway.client.ended", "Completed");
    const EVICTED: (&str, &str) = ("io.podgateway.client.ended", "Evicted");
    const DONE: (&str, &str) = (SCHEDULING_DONE, "");
    for (until, events, code, said) in [
        ("running", &[DONE, RUNNING][..], 0, "running: n/p: said\n"),
        // No order is promised.
        ("done", &[RUNNING], 0, "running: n/p: said\n"),
        ("running", &[COMPLETED], 1, "ended: Completed: said\n"),
        ("ended", &[DONE, RUNNING, COMPLETED], 0, "ended: Completed: said\n"),
        ("ended", &[DONE, EVICTED], 1, "ended: Evicted: said\n"),
    ] {
        let running = start(&[]);
        let line = wait(&format!("--listen 127.0.0.1:0 --id 1 --source /me --until {until} foo"));
        let (waiting, address) = Waiting::start(shell(&line, &[("K_SINK", &running.address("broker"))]));
        for (ty, reason) in events {
            assert_eq!(deliver(&address, ty, "1", "/me", &json!({"reason": reason})), 202, "{until} {ty}");
        }
        let ended = waiting.end();
        assert_eq!(ended.code, Some(code), "{until}: {ended:?}");
        assert!([&ended.stdout, &ended.stderr].iter().any(|text| text.ends_with(said)), "{until}: {ended:?}");
    }
    assert_eq!(commands("Waiting until it runs, and until it ends").len(), 2);
}

/// The README's command that waits until then, for a subscriber at `address`.
fn wait_until(state: &str, address: &str) -> String {
    let commands = commands("Waiting until it runs, and until it ends");
    let command = commands.iter().find(|command| command.contains(&format!("--until {state}"))).unwrap();
    command.replace(&format!(" foo {BROKER}"), &format!(" --listen {address} --id 1 --source /me foo"))
}

fn a_client_is_waited_for() {
    let address = free_address();
    let running = start_with_trigger(&address);
    let broker = [("K_SINK", &*running.address("broker"))];
    let ran = end(&wait_until("running", &address), &broker);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("running: default/"), "{ran:?}");
    let (waiting, _) = Waiting::start(shell(&wait_until("ended", &address), &broker));
    let [line] = commands("Ending a client").try_into().unwrap();
    crate::readme::run(&line.replace(BROKER, broker[0].1), &[]).unwrap();
    let ended = waiting.end();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("ended: Terminated: "), "{ended:?}");
}

fn answers_to_others_are_passed_over() {
    let running = start(&[]);
    let line = wait("--listen 127.0.0.1:0 --id 1 --source /me foo");
    let (waiting, address) = Waiting::start(shell(&line, &[("K_SINK", &running.address("broker"))]));
    let deliver = |ty, causation, source, pod| deliver(&address, ty, causation, source, &json!({"pod_name": pod}));
    assert_eq!(deliver(SCHEDULING_DONE, "2", "/me", "other-id"), 202);
    assert_eq!(deliver(SCHEDULING_DONE, "1", "/you", "other-source"), 202);
    assert_eq!(deliver("io.podgateway.client.pending", "1", "/me", "other-type"), 202);
    let mut no_event = binary("a", SCHEDULING_DONE, "{}");
    no_event.headers_mut().remove("ce-id");
    no_event.headers_mut().insert("ce-causationid", HeaderValue::from_static("1"));
    assert_eq!(send(no_event, &format!("http://{address}/")).status, 400);
    assert_eq!(deliver(SCHEDULING_DONE, "1", "/me", "its-own"), 202);
    let ended = waiting.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.starts_with("done: n/its-own"), "{ended:?}");
}

fn the_trigger_gets_the_answer_to_its_job() {
    let file = "examples/wait-for-answer/job.yaml";
    let container = object(file, "Job")["spec"]["template"]["spec"]["containers"][0].clone();
    let command = container["command"][2].as_str().unwrap().to_owned();
    let asks = command.split("wait.py ").nth(1).unwrap().trim();
    let port = container["ports"][0]["containerPort"].to_string();
    let (address, in_cluster) = (free_address(), format!("0.0.0.0:{port}"));
    assert!(asks.contains(&in_cluster), "{asks}");

    let trigger = object("examples/wait-for-answer/trigger.yaml", "Trigger");
    let attributes = trigger["spec"]["filter"]["attributes"].as_object().unwrap();
    let pair = |(name, value): (&String, &Value)| format!(",{name}={}", value.as_str().unwrap());
    let filter: String = attributes.iter().map(pair).collect();
    let running = start(&["--trigger", &format!("http://{address}/{filter}")]);
    // The later --timeout counts: a filter that is wrong is not to hold the tests up.
    let asks = format!("{} --timeout 30", asks.replace(&in_cluster, &address));
    let ended = end(&wait(&asks), &[("K_SINK", &running.address("broker"))]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(pods(&running).len(), 1);
}
