//! Each producer makes one Pod, the same one when it sends again, and says when the broker did not take its event.

use tests::command::Running;

use crate::broker::{answers, free_address, pods, unknown_broker};
use crate::readme::{BROKER, Ended, commands, end, run};
use crate::{Part, Test};

const DONE: &str = "io.podgateway.client.scheduling.done";

/// A part for each producer.
pub fn parts() -> Vec<Part> {
    let needs = |commands: &[&str]| commands.iter().map(|&command| command.to_owned()).collect::<Vec<_>>();
    let mut curl = part("curl", needs(&["curl --version"]), Vec::new());
    curl.tests.push(("what the README sends twice is one Pod, and is ended", Box::new(what_is_sent_twice_is_one_pod)));
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

fn what_fails_is_said(line: &str) {
    let running = Running::start(&[]);
    let (unknown, closed) = (unknown_broker(&running), format!("http://{}/default/default", free_address()));
    let refused = end(&with(line, "--id 1"), &[("K_SINK", &unknown)]);
    check_failure(&refused, 1, &["refuses the event", "404", &unknown, "no broker default/other"]);
    let unanswered = end(&with(line, "--id 1 --source /me"), &[("K_SINK", &closed)]);
    check_failure(&unanswered, 1, &["no answer from", &closed, "--id 1 --source /me"]);
    check_failure(&end(&with(line, ""), &[]), 2, &["K_SINK"]);
    assert!(pods(&running).is_empty());
}

#[track_caller]
fn check_failure(ended: &Ended, code: i32, expected: &[&str]) {
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(code), ""), "{ended:?}");
    for text in expected {
        assert!(ended.stderr.contains(text), "no {text:?} in {ended:?}");
    }
}

fn what_is_sent_twice_is_one_pod() {
    let running = Running::start(&[]);
    for line in &commands("Sending again") {
        run(&to(&running, line), &[]).unwrap();
    }
    let answers = answers(&running, "1", 2);
    assert_eq!(answers[0]["id"], answers[1]["id"]);
    let [pod] = &pods(&running)[..] else { panic!("there is one Pod") };
    assert_eq!(answers[0]["data"]["pod_name"], pod["metadata"]["name"]);
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
    check_failure(&end(&line, &[("K_SINK", &unknown_broker(&running))]), 1, &["refuses the event", "404"]);
}
