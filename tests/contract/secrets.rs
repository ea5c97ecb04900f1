//! No output ever holds the token, not even when the API server echoes it: `run` looks for it in every answer and line.

use provisioner::reason::Reason;
use provisioner::testing::{merged, routed, stored};
use serde_json::{Value, json};
use tests::TOKEN;
use tests::peer::{Answer, Call, Step, client, happy, json_step, ready, status_object};

use crate::{Case, End, run};

/// An API server that answers with the very header that it was sent, in every place that is read.
fn echo(method: &'static str, code: u16, reason: &'static str) -> Step {
    let answer = move |call: &Call, _: &Value| {
        let seen = call.headers["authorization"].to_str().unwrap().to_owned();
        let body = status_object(code, reason, &format!("you sent {seen}")).to_string();
        Answer::Respond(code, vec![("retry-after", seen.clone()), ("x-echo", seen)], body.into())
    };
    (method, Box::new(answer))
}

#[tokio::test]
async fn the_token_is_in_no_output() {
    let removed = || json_step("DELETE", 200, stored);
    // Written into the Pod by a webhook, or by whoever released it.
    let relabelled = json!({"metadata": {"labels": {"setGateway": TOKEN}}});
    let relabelled = json_step("POST", 201, move |pod| merged(routed(pod), &relabelled));
    let renamed = json_step("PATCH", 200, |pod| merged(client(pod), &json!({"metadata": {"uid": TOKEN}})));
    for (script, end) in [
        (vec![echo("POST", 403, "Forbidden"), ready(), echo("GET", 404, "NotFound")], End::Failed(Reason::Forbidden)),
        (vec![echo("POST", 500, "InternalError")], End::Empty(503)),
        (vec![happy().remove(0), echo("PATCH", 422, "Invalid"), removed()], End::Failed(Reason::PodRejected)),
        (vec![relabelled, removed()], End::Failed(Reason::WrongGatewayInjected)),
    ] {
        run(Case::new("the token", script, end).saying("[redacted]")).await;
    }
    let (reply, _) = run(Case::new("the token", vec![happy().remove(0), renamed], End::Done)).await;
    assert_eq!(reply.json()["pod_uid"], "[redacted]");
}
