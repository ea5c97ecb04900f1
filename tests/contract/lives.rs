//! The command plays clients' whole lives: from the event that asks for one to the Pod that is taken away.

use http::StatusCode;
use serde_json::{Value, json};
use tests::cluster::client::until;
use tests::command::Running;
use tests::events::{Reply, binary, body, pending};

/// The command, whose clients have an end of their own and are taken away at the next sweep.
struct Life(Running);

impl Life {
    fn new() -> Self {
        let variables = ["client_pod_template=client", "client_retention=0s", "client_patience=0s"];
        Self(Running::start(&variables.map(|variable| ["--variable", variable]).concat()))
    }

    /// With a client, of which it gives what was told when it ran.
    async fn start() -> (Self, Value) {
        let life = Self::new();
        Reply::from(&life.0.address("broker"), pending("1", "foo")).await;
        let running = life.told("running").await;
        (life, running)
    }

    async fn publish(&self, ty: &str, data: &Value) {
        let reply = Reply::from(&self.0.address("broker"), binary("2", ty, &data.to_string())).await;
        assert_eq!(reply.status, StatusCode::ACCEPTED);
    }

    /// The data of the first event of this type that the broker takes in.
    async fn told(&self, ty: &str) -> Value {
        let ty = format!("io.podgateway.client.{ty}");
        self.0.received(1, |event| event["type"] == ty).await[0]["data"].clone()
    }

    async fn end(&self, uid: &Value, act: &str) -> StatusCode {
        let form = format!("uid={}&act={act}", uid.as_str().unwrap());
        let url = format!("{}clients", self.0.address("page"));
        Reply::from(&url, body("application/x-www-form-urlencoded", form)).await.status
    }

    async fn until_there_is_no_pod(&self) {
        until("the Pod is gone", || async { self.0.pods().await.is_empty() }).await;
    }
}

#[tokio::test]
async fn a_client_runs_completes_and_is_swept_away() {
    let (mut life, running) = Life::start().await;
    life.0.until(|said, _| said.contains("released  [gateway-init, client, gateway-sidecar]"));
    let uid = life.told("scheduling.done").await["pod_uid"].clone();
    assert_eq!((&running["pod_uid"], &running["pending_event"]), (&uid, &json!({"source": "/test", "id": "1"})));
    assert!(running["node_name"].is_string() && running["pod_ip"].is_string(), "{running}");
    // It is started again, as its restartPolicy says, and so is no end.
    assert_eq!(life.end(&uid, "fail").await, StatusCode::SEE_OTHER);
    until("it starts again", || async { life.end(&uid, "complete").await == StatusCode::SEE_OTHER }).await;
    let ended = life.told("ended").await;
    assert_eq!((&ended["reason"], &ended["exit_code"]), (&json!("Completed"), &json!(0)));
    assert_eq!(life.end(&uid, "complete").await, StatusCode::CONFLICT);
    life.publish(provisioner::event::PING, &json!({})).await;
    life.until_there_is_no_pod().await;
}

#[tokio::test]
async fn a_client_that_is_asked_to_end_has_ended_terminated() {
    let (life, running) = Life::start().await;
    let pending = &running["pending_event"];
    life.publish(provisioner::event::TERMINATION, &json!({ "pending_event": pending })).await;
    assert_eq!(life.told("termination.done").await["pending_event"], *pending);
    assert_eq!(life.told("ended").await["reason"], "Terminated");
    life.until_there_is_no_pod().await;
}

/// An answer that may not pass the broker once more makes a dead letter of the event that it answers.
#[tokio::test]
async fn what_the_broker_gives_up_on_is_answered_on_the_dead_letter_route() {
    let life = Life::new();
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
