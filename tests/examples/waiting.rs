//! The program that waits ends with its own answer, and with no other.

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
        ("done ends it with 0, an unknown gateway with 1 and the reason", Box::new(an_answer_ends_it_with_0_or_1)),
        ("no answer ends it with 2, a refusal with 3", Box::new(no_answer_ends_it_with_2_and_a_refusal_with_3)),
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

/// How the program ends with these flags, for the broker of a command.
fn ends(flags: &str, running: &Running) -> Ended {
    end(&wait(flags), &[("K_SINK", &running.address("broker"))])
}

fn an_answer_ends_it_with_0_or_1() {
    let address = free_address();
    let running = start_with_trigger(&address);
    let first = ends(&format!("--listen {address} --id 1 foo"), &running);
    assert_eq!(first.code, Some(0), "{first:?}");
    assert!(first.stdout.contains(&format!("done: default/{}", name(&pods(&running)[0]))), "{first:?}");
    let again = ends(&format!("--listen {address} --id 1 foo"), &running);
    assert_eq!((again.code, again.stdout), (first.code, first.stdout));
    assert_eq!(pods(&running).len(), 1);
    // As the README has it, but for the ports.
    let line = documented().1.replace(BROKER, &format!("{} --listen {address}", running.address("broker")));
    assert_eq!(end(&line, &[]).code, Some(0));
    let unknown = ends(&format!("--listen {address} nope"), &running);
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
    assert!(unknown.stderr.contains("failed: GatewayNotInjected: "), "{unknown:?}");
    assert_eq!(pods(&running).len(), 2);
}

fn no_answer_ends_it_with_2_and_a_refusal_with_3() {
    let running = start(&[]);
    let unanswered = ends("--listen 127.0.0.1:0 --timeout 1 --id 1 foo", &running);
    assert_eq!(unanswered.code, Some(2), "{unanswered:?}");
    let said = &unanswered.stderr;
    assert!(said.contains("no answer within 1 s") && said.contains("--id 1 --source"), "{unanswered:?}");
    answers(&running, "1", 1);
    let other = running.address("broker").replace("/default/default", "/default/other");
    let closed = format!("http://{}/default/default", free_address());
    for (broker, says) in [(Some(&other), "no broker default/other"), (Some(&closed), ""), (None, "K_SINK")] {
        let environment: Vec<_> = broker.map(|broker| ("K_SINK", broker.as_str())).into_iter().collect();
        let refused = end(&wait("--listen 127.0.0.1:0 foo"), &environment);
        assert!(refused.code == Some(3) && refused.stderr.contains(says), "{refused:?}");
    }
}

/// The program, waiting, and where it listens.
fn start_waiting(line: &str, broker: &str) -> (Running, String) {
    let mut waiting = Running::spawn(&mut shell(line, &[("K_SINK", broker)]));
    let [said, _] = waiting.until(|said, _| said.contains('\n'));
    let address = said.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{said:?}")).to_owned();
    (waiting, address)
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
        let (waiting, address) = start_waiting(&line, &running.address("broker"));
        for (ty, reason) in events {
            assert_eq!(deliver(&address, ty, "1", "/me", &json!({"reason": reason})), 202, "{until} {ty}");
        }
        let (ended, output) = waiting.end();
        assert_eq!(ended, Some(code), "{until}: {output:?}");
        assert!(output.iter().any(|text| text.ends_with(said)), "{until}: {output:?}");
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
    let (waiting, _) = start_waiting(&wait_until("ended", &address), broker[0].1);
    let [line] = commands("Ending a client").try_into().unwrap();
    crate::readme::run(&line.replace(BROKER, broker[0].1), &[]).unwrap();
    let (code, [_, errors]) = waiting.end();
    assert!(code == Some(1) && errors.contains("ended: Terminated: "), "{errors}");
}

fn answers_to_others_are_passed_over() {
    let running = start(&[]);
    let line = wait("--listen 127.0.0.1:0 --id 1 --source /me foo");
    let (waiting, address) = start_waiting(&line, &running.address("broker"));
    let deliver = |ty, causation, source, pod| deliver(&address, ty, causation, source, &json!({"pod_name": pod}));
    assert_eq!(deliver(SCHEDULING_DONE, "2", "/me", "other-id"), 202);
    assert_eq!(deliver(SCHEDULING_DONE, "1", "/you", "other-source"), 202);
    assert_eq!(deliver("io.podgateway.client.pending", "1", "/me", "other-type"), 202);
    let mut no_event = binary("a", SCHEDULING_DONE, "{}");
    no_event.headers_mut().remove("ce-id");
    no_event.headers_mut().insert("ce-causationid", HeaderValue::from_static("1"));
    assert_eq!(send(no_event, &format!("http://{address}/")).status, 400);
    assert_eq!(deliver(SCHEDULING_DONE, "1", "/me", "its-own"), 202);
    let (code, [said, _]) = waiting.end();
    assert!(code == Some(0) && said.contains("\ndone: n/its-own"), "{said}");
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
