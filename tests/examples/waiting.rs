//! The program that waits ends with its own answer, and with no other.

use serde_json::{Value, json};
use tests::command::Running;
use tests::events::{Delivery, binary, with_header};
use tests::manifests::object;

use crate::Part;
use crate::broker::{free_address, pods, send, unknown_broker};
use crate::producers::builds;
use crate::readme::{BROKER, Ended, commands, end, run, shell};

const HEADING: &str = "Waiting for the answer";
const SCHEDULING_DONE: &str = "io.podgateway.client.scheduling.done";
/// Where the README has it listen.
const LISTEN: &str = "127.0.0.1:9000";

/// The tests.
pub fn part() -> Part {
    let tests: Vec<crate::Test> = vec![
        ("no answer ends it with 2, a refusal with 3", Box::new(no_answer_ends_it_with_2_and_a_refusal_with_3)),
        ("its own answer and reports end it as they say, and no others", Box::new(what_comes_ends_it_as_it_says)),
        ("a client is waited for until it is scheduled, runs or has ended", Box::new(a_client_is_waited_for)),
        ("the Trigger for a cluster gets the answer to its Job", Box::new(the_trigger_gets_the_answer_to_its_job)),
    ];
    Part { name: "waiting", needs: builds("Python"), builds: Vec::new(), tests }
}

/// The two commands of the README: the one with the Trigger, and the program's.
fn documented() -> [String; 2] {
    commands(HEADING).try_into().unwrap()
}

/// The program's command with other flags, for the broker in `K_SINK`.
fn wait(flags: &str) -> String {
    documented()[1].replace(&format!(" foo {BROKER}"), &format!(" {flags}"))
}

fn no_answer_ends_it_with_2_and_a_refusal_with_3() {
    let running = Running::start(&[]);
    let unanswered = end(&wait("--listen 127.0.0.1:0 --timeout 1 --id 1 foo"), &running.address("broker"));
    assert_eq!(unanswered.code, Some(2), "{unanswered:?}");
    let said = &unanswered.stderr;
    assert!(said.contains("no answer within 1 s") && said.contains("--id 1 --source"), "{said}");
    let (unknown, closed) = (unknown_broker(&running), format!("http://{}/default/default", free_address()));
    for (broker, says) in [(unknown, "no broker default/other"), (closed, ""), (String::new(), "K_SINK")] {
        let refused = end(&wait("--listen 127.0.0.1:0 foo"), &broker);
        assert!(refused.code == Some(3) && refused.stderr.contains(says), "{refused:?}");
    }
}

/// The program, waiting, and where it listens.
fn start_waiting(line: &str, broker: &str) -> (Running, String) {
    let mut waiting = Running::spawn(&mut shell(line, broker));
    let [said, _] = waiting.until(|said, _| said.contains('\n'));
    let address = said.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{said:?}")).to_owned();
    (waiting, format!("http://{address}/"))
}

/// An event as the broker would deliver it: its type, the id and the source of the event that it is about, a reason.
type Event = (&'static str, &'static str, &'static str, &'static str);

fn event((ty, id, source, reason): Event) -> Delivery {
    let about = json!({"source": source});
    let data = json!({"namespace": "n", "pod_name": "p", "message": "said", "pending_event": about, "reason": reason});
    with_header(binary("a", ty, &data.to_string()), "ce-causationid", id)
}

/// What comes, in its order, how far the program was to wait, and how it ends. No order is promised.
fn what_comes_ends_it_as_it_says() {
    const DONE: Event = (SCHEDULING_DONE, "1", "/me", "");
    const RUNNING: Event = ("io.podgateway.client.running", "1", "/me", "");
    const COMPLETED: Event = ("io.podgateway.client.ended", "1", "/me", "Completed");
    const EVICTED: Event = ("io.podgateway.client.ended", "1", "/me", "Evicted");
    const OTHERS: [Event; 3] = [
        (SCHEDULING_DONE, "2", "/me", ""),
        (SCHEDULING_DONE, "1", "/you", ""),
        ("io.podgateway.client.pending", "1", "/me", ""),
    ];
    let running = Running::start(&[]);
    for (until, events, code, said) in [
        ("done", &[OTHERS[0], OTHERS[1], OTHERS[2], DONE][..], 0, "\ndone: n/p: said\n"),
        ("running", &[DONE, RUNNING], 0, "running: n/p: said\n"),
        ("done", &[RUNNING], 0, "running: n/p: said\n"),
        ("running", &[COMPLETED], 1, "ended: Completed: said\n"),
        ("ended", &[DONE, RUNNING, COMPLETED], 0, "ended: Completed: said\n"),
        ("ended", &[DONE, EVICTED], 1, "ended: Evicted: said\n"),
    ] {
        let line = wait(&format!("--listen 127.0.0.1:0 --id 1 --source /me --until {until} foo"));
        let (waiting, address) = start_waiting(&line, &running.address("broker"));
        let no_answer = with_header(binary("a", SCHEDULING_DONE, "{}"), "ce-causationid", "1");
        assert_eq!(send(no_answer, &address).status, 400);
        for told in events {
            assert_eq!(send(event(*told), &address).status, 202, "{until} {told:?}");
        }
        let (ended, output) = waiting.end();
        assert!(ended == Some(code) && output.iter().any(|text| text.ends_with(said)), "{until}: {ended:?} {output:?}");
    }
}

fn a_client_is_waited_for() {
    let address = free_address();
    let [trigger, first] = documented();
    let flags = trigger.split('"').nth(1).unwrap().replace(LISTEN, &address);
    assert!(flags.contains(&address), "{trigger}");
    let running = Running::start(&flags.split(' ').collect::<Vec<_>>());
    let broker = running.address("broker");
    let [until_running, until_ended] = commands("Waiting until it runs, and until it ends").try_into().unwrap();
    let with =
        |line: &str, flags: &str| line.replace(&format!(" foo {BROKER}"), &format!(" --listen {address} {flags}"));
    for (line, code, says) in [
        // As the README has it, but for the ports.
        (first.replace(BROKER, &format!("{broker} --listen {address}")), 0, "done: default/"),
        (with(&first, "nope"), 1, "failed: GatewayNotInjected: "),
        (with(&until_running, "--id 1 --source /me foo"), 0, "running: default/"),
    ] {
        let Ended { code: ended, stdout, stderr } = end(&line, &broker);
        let said = stdout + &stderr;
        assert!(ended == Some(code) && said.contains(says), "{line}: {ended:?} {said}");
    }
    let (waiting, _) = start_waiting(&with(&until_ended, "--id 1 --source /me foo"), &broker);
    let [line] = commands("Ending a client").try_into().unwrap();
    run(&line.replace(BROKER, &broker), "").unwrap();
    let (code, [_, errors]) = waiting.end();
    assert!(code == Some(1) && errors.contains("ended: Terminated: "), "{errors}");
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
    let running = Running::start(&["--trigger", &format!("http://{address}/{filter}")]);
    // The later --timeout counts: a filter that is wrong is not to hold the tests up.
    let asks = format!("{} --timeout 30", asks.replace(&in_cluster, &address));
    let ended = end(&wait(&asks), &running.address("broker"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(pods(&running).len(), 1);
}
