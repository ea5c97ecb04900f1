//! The real sdk-go, of which Knative's data plane is made: the vectors of `golang.json` are what it writes, a delivery
//! by Knative is read as it reads it, and it reads an answer as it was meant.

use http::HeaderValue;
use serde_json::{Value, json};
use tests::command::Running;
use tests::events::pending;
use tests::provisioner::repository;

use crate::Part;
use crate::broker::{pods, send};
use crate::readme::run;

const VECTORS: &str = "tests/vectors/golang.json";
const PROGRAM: &str = "target/golang/sdk";

/// The tests.
pub fn part() -> Part {
    let needs = ["go version", "go mod download -C tests/golang"];
    Part {
        name: "sdk-go",
        needs: needs.map(str::to_owned).to_vec(),
        builds: vec![format!("go build -C tests/golang -o ../../{PROGRAM} .")],
        tests: vec![
            ("the vectors are what it writes and reads", Box::new(the_vectors_are_what_it_writes_and_reads)),
            ("it reads in an answer the id that it sent", Box::new(it_reads_in_an_answer_the_id_that_it_sent)),
        ],
    }
}

/// Every other consumer of Knative sees an event by sdk-go, so what that reads is the identity that it has there.
fn the_vectors_are_what_it_writes_and_reads() {
    let vectors: Value = serde_json::from_slice(&std::fs::read(repository().join(VECTORS)).unwrap()).unwrap();
    let written: Value = serde_json::from_str(&run(&format!("{PROGRAM} {VECTORS}"), "").unwrap()).unwrap();
    for vector in vectors["requests"].as_array().unwrap() {
        let name = vector["name"].as_str().unwrap();
        let written = &written[name];
        assert_eq!(json!({"headers": written["headers"], "body": written["body"]}), vector["request"], "{name}");
        let is_by_knative = vector["given"].get("knativearrivaltime").is_some();
        for attribute in ["id", "source", "type", "correlationid", "data"].iter().filter(|_| is_by_knative) {
            assert_eq!(written["event"][attribute], vector["expect"]["event"][attribute], "{name}");
        }
    }
}

fn it_reads_in_an_answer_the_id_that_it_sent() {
    const IDS: [&str; 7] = ["plain", "a b", "a%20b", "100%", "50%ff", "ä", "\"q\""];
    let running = Running::start(&[]);
    let answers: Vec<Value> = IDS
        .iter()
        .map(|id| {
            let mut event = pending("1", "foo");
            event.headers_mut().insert("ce-id", HeaderValue::from_bytes(id.as_bytes()).unwrap());
            event.headers_mut().insert("ce-knativearrivaltime", HeaderValue::from_static("2026-01-31T12:00:00Z"));
            let reply = send(event, &running.address("provisioner"));
            assert_eq!((reply.status.as_u16(), reply.outcome()), (200, "done"), "{id}");
            let is_structured = reply.header("content-type") == "application/cloudevents+json";
            assert_eq!(is_structured, *id != "plain", "{id}");
            let headers = reply.headers.iter().map(|(name, value)| [name.as_str(), value.to_str().unwrap()]);
            json!({"headers": headers.collect::<Vec<_>>(), "body": str::from_utf8(&reply.body).unwrap()})
        })
        .collect();
    assert_eq!(pods(&running).len(), IDS.len(), "each id is an event of its own");

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, json!(answers).to_string()).unwrap();
    let read = run(&format!("{PROGRAM} --read {}", file.path().display()), "").unwrap();
    let read: Vec<Value> = serde_json::from_str(&read).unwrap();
    assert_eq!(read.len(), IDS.len());
    for (message, id) in read.iter().zip(IDS) {
        let event = &message["event"];
        assert_eq!((&event["causationid"], &event["correlationid"]), (&json!(id), &json!(id)), "{event}");
        assert_eq!(event["data"]["pending_event"], json!({"source": "/test", "id": id}), "{event}");
    }
}
