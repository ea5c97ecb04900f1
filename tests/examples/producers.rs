//! Each producer makes one Pod, the same one when it sends again, and says when the broker did not take its event.

use provisioner::testing::merged;
use serde_json::{Value, json};
use tests::command::Running;
use tests::markdown::{Page, event};

use crate::broker::{answers, free_address, pods, unknown_broker};
use crate::readme::{BROKER, commands, fail, run};
use crate::{Part, Test};

const DONE: &str = "io.podgateway.client.scheduling.done";

/// A part for each producer.
pub fn parts() -> Vec<Part> {
    let needs = |commands: &[&str]| commands.iter().map(|&command| command.to_owned()).collect::<Vec<_>>();
    let mut curl = part("curl", needs(&["curl --version"]), Vec::new());
    curl.tests.push(("what the README sends twice is one Pod, and is ended", Box::new(what_is_sent_twice_is_one_pod)));
    curl.tests
        .push(("the curl of the first README gets the answer below it", Box::new(the_first_curl_gets_its_answer)));
    vec![
        curl,
        part("Python", builds("Python"), Vec::new()),
        part("Go", needs(&["go version", "go mod download -C examples/go"]), builds("Go")),
        part("Rust", Vec::new(), builds("Rust")),
    ]
}

/// The commands of the README that come before the one that publishes.
pub fn builds(heading: &str) -> Vec<String> {
    let mut commands = commands(heading);
    commands.pop();
    commands
}

fn part(heading: &'static str, needs: Vec<String>, builds: Vec<String>) -> Part {
    let line = commands(heading).pop().unwrap();
    let test = |name, check: fn(&str)| -> Test {
        let line = line.clone();
        (name, Box::new(move || check(&line)))
    };
    let tests = vec![
        test("an event is one Pod and answered done, also when it is sent again", one_event_is_one_pod),
        test("a broker that refuses the event, is not there or not named is said", what_fails_is_said),
    ];
    Part { name: heading, needs, builds, tests }
}

/// The id and the source that a producer prints.
fn published(stdout: &str) -> (String, String) {
    let after = |word: &str| {
        let rest = stdout.split(word).nth(1).unwrap_or_else(|| panic!("no {word:?} in {stdout:?}"));
        rest.split(", ").next().unwrap().to_owned()
    };
    (after("published: id "), after("source "))
}

fn to(running: &Running, line: &str) -> String {
    assert!(line.contains(BROKER), "{line}");
    line.replace(BROKER, &running.address("broker"))
}

/// The same, with flags and without the broker's address.
fn with(line: &str, flags: &str) -> String {
    line.replace(&format!(" foo {BROKER}"), &format!(" {flags} foo"))
}

fn one_event_is_one_pod(line: &str) {
    let running = Running::start(&[]);
    let (id, source) = published(&run(&to(&running, line), "").unwrap());
    let first = answers(&running, &id, 1).remove(0);
    let again = with(line, &format!("--id {id} --source {source}"));
    assert_eq!(published(&run(&again, &running.address("broker")).unwrap()), (id.clone(), source.clone()));
    let second = answers(&running, &id, 2).remove(1);
    assert_eq!((&second["type"], &second["id"], &second["data"]), (&json!(DONE), &first["id"], &first["data"]));
    let [pod] = &pods(&running)[..] else { panic!("there is one Pod") };
    let annotations = json!({"podgateway.io/event-id": id, "podgateway.io/event-source": source});
    assert_eq!(merged(pod.clone(), &json!({"metadata": {"annotations": annotations}})), *pod);

    let (other, same_source) = published(&run(&to(&running, line), "").unwrap());
    assert!(other != id && same_source == source, "{other} of {same_source}");
    answers(&running, &other, 1);
    assert_eq!(pods(&running).len(), 2);
}

fn what_fails_is_said(line: &str) {
    let running = Running::start(&[]);
    let (unknown, closed) = (unknown_broker(&running), format!("http://{}/default/default", free_address()));
    fail(&with(line, "--id 1"), &unknown, 1, &["refuses the event", "404", &unknown, "no broker default/other"]);
    let unanswered = with(line, "--id 1 --source /me");
    fail(&unanswered, &closed, 1, &["no answer from", &closed, "--id 1 --source /me"]);
    fail(&with(line, ""), "", 2, &["K_SINK"]);
    assert!(pods(&running).is_empty());
}

fn what_is_sent_twice_is_one_pod() {
    let running = Running::start(&[]);
    for line in &commands("Sending again") {
        run(&to(&running, line), "").unwrap();
    }
    let answers = answers(&running, "1", 2);
    assert_eq!(answers[0]["id"], answers[1]["id"]);
    assert_eq!(pods(&running).len(), 1);
    let [line] = commands("Ending a client").try_into().unwrap();
    let (line, provisioner) = (line.replace(&format!(" {BROKER}"), ""), running.address("provisioner"));
    let is_ending = || pods(&running).iter().all(|pod| pod["metadata"]["deletionTimestamp"].is_string());
    // Of somebody else's event there is no client.
    for other in [line.replace("/me", "/you"), line.replace("--id 1", "--id 2")] {
        run(&other, &provisioner).unwrap();
    }
    assert!(!is_ending());
    assert_eq!(run(&line, &provisioner).unwrap(), "asked for the end: id 1, source /me\n");
    assert!(is_ending());
    fail(&line, "", 2, &["K_SINK"]);
    fail(&line.replace(" --id 1", ""), &provisioner, 2, &["--id ID"]);
    fail(&line.replace("/me", "'/a b'"), &provisioner, 2, &["use letters"]);
    fail(&line, &unknown_broker(&running), 1, &["refuses the event", "404"]);
}

/// An event without what differs from run to run.
fn stable(mut event: Value) -> Value {
    event["time"].take();
    event["data"]["pod_uid"].take();
    event
}

fn the_first_curl_gets_its_answer() {
    let blocks = Page::read("README.md").blocks;
    let block = |beginning: &str| &blocks.iter().find(|(_, _, text)| text.starts_with(beginning)).unwrap().2;
    let running = Running::start(&[]);
    let curl = block("curl").replace("http://127.0.0.1:3000/", &running.address("provisioner"));
    let answer = run(&curl, "").unwrap().replace("\r\n", "\n");
    assert_eq!(stable(event(&answer)), stable(event(block("HTTP/1.1 200 OK"))));
}
