//! Each producer makes one Pod, the same one when it sends again, and says when the broker did not take its event.

use tests::command::Running;

use crate::broker::{answers, name, pods, start};
use crate::readme::{BROKER, Ended, commands, end, run};
use crate::{Part, Test};

const DONE: &str = "io.podgateway.client.scheduling.done";

/// A part for each producer.
pub fn parts() -> Vec<Part> {
    let needs = |commands: &[&str]| commands.iter().map(|&command| command.to_owned()).collect::<Vec<_>>();
    let mut curl = part("curl", needs(&["curl --version"]), Vec::new());
    curl.tests.push(("what the README sends twice is one Pod", Box::new(what_the_readme_sends_twice_is_one_pod)));
    curl.tests.push(("a client that is asked to end goes", Box::new(a_client_that_is_asked_to_end_goes)));
    vec![
        curl,
        part("Python", python(), Vec::new()),
        part("Go", needs(&["go version", "go mod download -C examples/go"]), builds("Go")),
        part("Rust", Vec::new(), builds("Rust")),
    ]
}

/// What a program in Python needs: its packages, in an environment of its own.
pub fn python() -> Vec<String> {
    builds("Python")
}

/// The commands of the README that come before the one that publishes.
fn builds(heading: &str) -> Vec<String> {
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
        test("a broker that refuses the event is quoted, and ends it with 1", a_refusal_is_quoted),
        test("a broker that is not there ends it with 1, and it says how to send again", no_answer_says_how_to_go_on),
        test("without a broker it ends with 2", without_a_broker_it_does_not_begin),
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
    let running = start(&[]);
    let (id, source) = published(&run(&to(&running, line), &[]).unwrap());
    let first = answers(&running, &id, 1).remove(0);
    assert_eq!(first["type"], DONE, "{first}");
    let only = pods(&running);
    assert_eq!(only.len(), 1);
    let annotations = &only[0]["metadata"]["annotations"];
    assert_eq!(annotations["podgateway.io/event-id"], id.as_str());
    assert_eq!(annotations["podgateway.io/event-source"], source.as_str());

    let again = with(line, &format!("--id {id} --source {source}"));
    let sent = run(&again, &[("K_SINK", &running.address("broker"))]).unwrap();
    assert_eq!(published(&sent), (id.clone(), source.clone()));
    let second = answers(&running, &id, 2).remove(1);
    assert_eq!((&second["id"], &second["data"]), (&first["id"], &first["data"]));
    assert_eq!(pods(&running).len(), 1);

    let (other, same_source) = published(&run(&to(&running, line), &[]).unwrap());
    assert_ne!(other, id);
    assert_eq!(same_source, source);
    answers(&running, &other, 1);
    assert_eq!(pods(&running).len(), 2);
}

fn a_refusal_is_quoted(line: &str) {
    let running = start(&[]);
    let broker = running.address("broker").replace("/default/default", "/default/other");
    let ended = end(&with(line, "--id 1"), &[("K_SINK", &broker)]);
    check_failure(&ended, 1, &["refuses the event", "404", &broker, "no broker default/other"]);
    assert!(pods(&running).is_empty());
}

fn no_answer_says_how_to_go_on(line: &str) {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let broker = format!("http://{closed}/default/default");
    let ended = end(&with(line, "--id 1 --source /me"), &[("K_SINK", &broker)]);
    check_failure(&ended, 1, &["no answer from", &broker, "--id 1 --source /me"]);
}

fn without_a_broker_it_does_not_begin(line: &str) {
    check_failure(&end(&with(line, ""), &[]), 2, &["K_SINK"]);
}

#[track_caller]
fn check_failure(ended: &Ended, code: i32, expected: &[&str]) {
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(code), ""), "{ended:?}");
    for text in expected {
        assert!(ended.stderr.contains(text), "no {text:?} in {ended:?}");
    }
}

fn what_the_readme_sends_twice_is_one_pod() {
    let running = start(&[]);
    let lines = commands("Sending again");
    assert_eq!(lines.len(), 2);
    for line in &lines {
        run(&to(&running, line), &[]).unwrap();
    }
    let answers = answers(&running, "1", 2);
    assert_eq!(answers[0]["id"], answers[1]["id"]);
    let pods = pods(&running);
    assert_eq!(pods.len(), 1);
    assert_eq!(answers[0]["data"]["pod_name"], name(&pods[0]));
}

fn a_client_that_is_asked_to_end_goes() {
    let running = start(&[]);
    run(&to(&running, &commands("Sending again")[0]), &[]).unwrap();
    answers(&running, "1", 1);
    let [line] = commands("Ending a client").try_into().unwrap();
    let line = line.replace(&format!(" {BROKER}"), "");
    // Of somebody else's event there is no client.
    let provisioner = running.address("provisioner");
    for other in [line.replace("/me", "/you"), line.replace("--id 1", "--id 2")] {
        run(&other, &[("K_SINK", &provisioner)]).unwrap();
    }
    let is_ending = |pod: &serde_json::Value| pod["metadata"]["deletionTimestamp"].is_string();
    assert_eq!(pods(&running).iter().filter(|pod| !is_ending(pod)).count(), 1);
    assert_eq!(run(&line, &[("K_SINK", &provisioner)]).unwrap(), "asked for the end: id 1, source /me\n");
    assert!(pods(&running).iter().all(is_ending));
    check_failure(&end(&line, &[]), 2, &["K_SINK"]);
    check_failure(&end(&line.replace(" --id 1", ""), &[("K_SINK", &provisioner)]), 2, &["--id ID"]);
    check_failure(&end(&line.replace("/me", "'/a b'"), &[("K_SINK", &provisioner)]), 2, &["use letters"]);
    let closed = running.address("broker").replace("/default/default", "/default/other");
    check_failure(&end(&line, &[("K_SINK", &closed)]), 1, &["refuses the event", "404"]);
}
