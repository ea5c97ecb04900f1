//! The command plays clients' whole lives: from the event that asks for one to the Pod that is taken away.

use http::StatusCode;
use serde_json::{Value, json};
use tests::cluster::client::until;
use tests::command::Running;
use tests::events::{Delivery, Reply, binary, body, pending, with_header};

/// The command, whose clients have an end of their own and are taken away at the next sweep.
struct Life(Running);

impl Life {
    fn start() -> Self {
        let variables = ["client_pod_template=client", "client_retention=0s", "client_patience=0s"];
        Self(Running::start(&variables.map(|variable| ["--variable", variable]).concat()))
    }

    async fn publish(&self, event: Delivery) {
        assert_eq!(Reply::from(&self.0.address("broker"), event).await.status, StatusCode::ACCEPTED);
    }

    /// Gives what was told of the client of this event when it ran.
    async fn begin(&self, id: &str) -> Value {
        self.publish(pending(id, "foo")).await;
        self.told("running", id).await
    }

    /// The data of the first event of this type about the client of that event which the broker takes in.
    async fn told(&self, ty: &str, id: &str) -> Value {
        let ty = format!("io.podgateway.client.{ty}");
        let is_meant = |event: &Value| event["type"] == ty && event["data"]["pending_event"]["id"] == id;
        self.0.received(1, is_meant).await[0]["data"].clone()
    }

    async fn end(&self, uid: &Value, act: &str) -> StatusCode {
        let form = format!("uid={}&act={act}", uid.as_str().unwrap());
        let url = format!("{}clients", self.0.address("page"));
        Reply::from(&url, body("application/x-www-form-urlencoded", form)).await.status
    }
}

/// Asks for the end of the client of this event.
fn termination(id: &str) -> Delivery {
    let about = json!({"pending_event": {"source": "/test", "id": id}});
    binary("end", provisioner::event::TERMINATION, &about.to_string())
}

#[tokio::test]
async fn a_client_runs_completes_and_is_swept_away_and_another_is_ended_where_somebody_asks_for_it() {
    let mut life = Life::start();
    let running = life.begin("1").await;
    life.0.until(|said, _| said.contains("released  [gateway-init, client, gateway-sidecar]"));
    let uid = life.told("scheduling.done", "1").await["pod_uid"].clone();
    assert_eq!((&running["pod_uid"], &running["pending_event"]), (&uid, &json!({"source": "/test", "id": "1"})));
    assert!(running["node_name"].is_string() && running["pod_ip"].is_string(), "{running}");
    // It is started again, as its restartPolicy says, and so is no end.
    assert_eq!(life.end(&uid, "fail").await, StatusCode::SEE_OTHER);
    until("it starts again", || async { life.end(&uid, "complete").await == StatusCode::SEE_OTHER }).await;
    let ended = life.told("ended", "1").await;
    assert_eq!((&ended["reason"], &ended["exit_code"]), (&json!("Completed"), &json!(0)));
    assert_eq!(life.end(&uid, "complete").await, StatusCode::CONFLICT);
    life.publish(binary("ping", provisioner::event::PING, "{}")).await;
    until("the Pod is swept away", || async { life.0.pods().await.is_empty() }).await;

    life.begin("2").await;
    life.publish(termination("2")).await;
    life.told("termination.done", "2").await;
    assert_eq!(life.told("ended", "2").await["reason"], "Terminated");
    until("the Pod is gone", || async { life.0.pods().await.is_empty() }).await;
}

/// An answer that may not pass the broker once more makes a dead letter of the event that it answers.
#[tokio::test]
async fn what_the_broker_gives_up_on_is_answered_on_the_dead_letter_route() {
    let life = Life::start();
    for (event, answer) in [(pending("1", "foo"), "scheduling.done"), (termination("1"), "termination.done")] {
        life.publish(with_header(event, "ce-knativebrokerttl", "2")).await;
        life.told(answer, "1").await;
    }
}
