//! What the running command shows of its broker and of its Kubernetes API.

use std::time::{Duration, Instant};

use http::Request;
use serde_json::Value;
use tests::command::Running;
use tests::events::{Delivery, Reply, bare};
use tests::provisioner::repository;

/// How long a condition may take to come true on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts the command with these flags.
pub fn start(arguments: &[&str]) -> Running {
    Running::start(&repository(), arguments)
}

/// Sends a request to a URL and reads the answer.
pub fn send(request: Delivery, url: &str) -> Reply {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(Reply::from(url, request))
}

fn get(url: &str) -> Value {
    let (parts, body) = bare("GET", "/").into_parts();
    let reply = send(Request::from_parts(parts, body), url);
    assert_eq!(reply.status, 200, "{url}");
    reply.json()
}

/// The answers to the event with this id that the broker took in, when there are `count`; no report of its client's life.
///
/// # Panics
/// When there are others, or not as many in time.
pub fn answers(running: &Running, id: &str, count: usize) -> Vec<Value> {
    let broker = running.address("broker");
    let events = format!("{}/events", broker.strip_suffix("/default/default").unwrap());
    let begin = Instant::now();
    loop {
        let steps = get(&events);
        let received = steps.as_array().unwrap().iter().filter(|step| step["kind"] == "received");
        let events = received.map(|step| step["event"].clone());
        let is_answer = |event: &Value| event["type"].as_str().unwrap().starts_with("io.podgateway.client.scheduling.");
        let answers: Vec<Value> = events.filter(|event| event["causationid"] == id && is_answer(event)).collect();
        if answers.len() >= count {
            assert_eq!(answers.len(), count, "{answers:?}");
            return answers;
        }
        assert!(begin.elapsed() < PATIENCE, "{count} answers to {id} do not come: {steps}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The Pods in the clients' namespace.
pub fn pods(running: &Running) -> Vec<Value> {
    let list = get(&format!("{}/api/v1/namespaces/default/pods", running.address("kubernetes")));
    list["items"].as_array().unwrap().clone()
}

/// The name of a Pod.
pub fn name(pod: &Value) -> &str {
    pod["metadata"]["name"].as_str().unwrap()
}
