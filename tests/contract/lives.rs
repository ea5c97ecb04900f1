//! The command plays clients' whole lives: from the event that asks for one to the Pod that is taken away.

use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::{Value, json};
use tests::cluster::client::until_within;
use tests::command::{Running, application};
use tests::events::{Reply, bare, binary, body, pending};

const TYPE: &str = "io.podgateway.client";
/// How long a busy machine may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The command, whose clients have an end of their own and are taken away at the next sweep.
struct Life(Running, #[expect(dead_code, reason = "dropping it removes the application")] tempfile::TempDir);

impl Life {
    fn start() -> Self {
        let directory = application();
        let mut variables = vec!["--variable", "client_pod_template=client"];
        variables.extend(["--variable", "client_retention=0s", "--variable", "client_patience=0s"]);
        Self(Running::start(directory.path(), &variables), directory)
    }

    async fn publish(&self, id: &str, ty: &str, data: &Value) {
        let reply = Reply::from(&self.0.address("broker"), binary(id, ty, &data.to_string())).await;
        assert_eq!(reply.status, StatusCode::ACCEPTED);
    }

    async fn get(&self, url: &str) -> Value {
        Reply::from(url, bare("GET", "/")).await.json()
    }

    /// The first event of this type that the broker takes in.
    async fn told(&self, ty: &str) -> Value {
        let events = self.0.address("broker").replace("/default/default", "/events");
        let begin = Instant::now();
        loop {
            let steps = self.get(&events).await;
            let is_it = |step: &&Value| step["kind"] == "received" && step["event"]["type"] == format!("{TYPE}.{ty}");
            if let Some(step) = steps.as_array().unwrap().iter().find(is_it) {
                return step["event"]["data"].clone();
            }
            assert!(begin.elapsed() < PATIENCE, "no {ty}: {steps:#}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn end(&self, uid: &Value, act: &str) -> StatusCode {
        let form = format!("uid={}&act={act}", uid.as_str().unwrap());
        let url = format!("{}clients", self.0.address("page"));
        Reply::from(&url, body("application/x-www-form-urlencoded", form)).await.status
    }

    async fn pods(&self) -> usize {
        let pods = format!("{}/api/v1/namespaces/default/pods", self.0.address("kubernetes"));
        self.get(&pods).await["items"].as_array().unwrap().len()
    }

    async fn until_there_is_no_pod(&self) {
        until_within(PATIENCE, "the Pod is gone", || async { self.pods().await == 0 }).await;
    }
}

#[tokio::test]
async fn a_client_runs_completes_and_is_swept_away() {
    let life = Life::start();
    Reply::from(&life.0.address("broker"), pending("1", "foo")).await;
    let uid = life.told("scheduling.done").await["pod_uid"].clone();
    let running = life.told("running").await;
    assert_eq!((&running["pod_uid"], &running["pending_event"]), (&uid, &json!({"source": "/test", "id": "1"})));
    assert!(running["node_name"].is_string() && running["pod_ip"].is_string(), "{running}");
    // It is started again, as its restartPolicy says, and so is no end.
    assert_eq!(life.end(&uid, "fail").await, StatusCode::SEE_OTHER);
    let completes = || async { life.end(&uid, "complete").await == StatusCode::SEE_OTHER };
    until_within(PATIENCE, "it starts again", completes).await;
    let ended = life.told("ended").await;
    assert_eq!((&ended["reason"], &ended["exit_code"]), (&json!("Completed"), &json!(0)));
    assert_eq!(life.end(&uid, "complete").await, StatusCode::CONFLICT);
    life.publish("2", provisioner::event::PING, &json!({})).await;
    life.until_there_is_no_pod().await;
}

#[tokio::test]
async fn a_client_that_is_asked_to_end_has_ended_terminated() {
    let life = Life::start();
    Reply::from(&life.0.address("broker"), pending("1", "foo")).await;
    let pending = life.told("running").await["pending_event"].clone();
    life.publish("2", provisioner::event::TERMINATION, &json!({ "pending_event": pending })).await;
    assert_eq!(life.told("termination.done").await["pending_event"], pending);
    assert_eq!(life.told("ended").await["reason"], "Terminated");
    life.until_there_is_no_pod().await;
}

/// An answer that may not pass the broker once more makes a dead letter of the event that it answers.
#[tokio::test]
async fn what_the_broker_gives_up_on_is_answered_by_way_of_the_dead_letter_route() {
    let life = Life::start();
    let about = json!({"pending_event": {"source": "/test", "id": "1"}});
    let asks = [
        (pending("1", "foo"), "scheduling.done"),
        (binary("2", provisioner::event::TERMINATION, &about.to_string()), "termination.done"),
    ];
    for (mut event, answer) in asks {
        event.headers_mut().insert("ce-knativebrokerttl", http::HeaderValue::from_static("2"));
        Reply::from(&life.0.address("broker"), event).await;
        assert_eq!(life.told(answer).await["pending_event"], about["pending_event"]);
    }
}
