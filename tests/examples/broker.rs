//! What the running command shows of its broker and of its Kubernetes API.

use serde_json::Value;
use tests::command::Running;
use tests::events::{Delivery, Reply};

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Sends a request to a URL and reads the answer.
pub fn send(request: Delivery, url: &str) -> Reply {
    wait(Reply::from(url, request))
}

/// The answers to the event with this id that the broker took in, when there are `count`; no report of its client's life.
///
/// # Panics
/// When there are others, or not as many in time.
pub fn answers(running: &Running, id: &str, count: usize) -> Vec<Value> {
    let is_answer = |event: &Value| event["type"].as_str().unwrap().starts_with("io.podgateway.client.scheduling.");
    let answers = wait(running.received(count, |event| event["causationid"] == id && is_answer(event)));
    assert_eq!(answers.len(), count, "{answers:?}");
    answers
}

/// The Pods in the clients' namespace.
pub fn pods(running: &Running) -> Vec<Value> {
    wait(running.pods())
}

/// The address of a broker that the command doesn't have.
pub fn unknown_broker(running: &Running) -> String {
    running.address("broker").replace("/default/default", "/default/other")
}

/// An address of this machine that nobody listens on.
pub fn free_address() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}
