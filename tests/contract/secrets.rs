//! No output ever holds the token: not the log, not an answer, not even when the API server echoes it.

use provisioner::testing::{routed, stored};
use serde_json::{Value, json};
use tests::events::{bare, pending};
use tests::peer::{Answer, Step, client, happy, json_step, ready, status_object};
use tests::{Peer, Provisioner, TOKEN};

/// An API server that answers with the very header that it was sent, in every place that is read.
fn echo(method: &'static str, code: u16, reason: &'static str) -> Step {
    let answer = move |call: &tests::peer::Call, _: &Value| {
        let seen = call.headers["authorization"].to_str().unwrap().to_owned();
        let body = status_object(code, reason, &format!("you sent {seen}")).to_string();
        Answer::Respond(code, vec![("retry-after", seen.clone()), ("x-echo", seen)], body.into())
    };
    (method, Box::new(answer))
}

/// A Pod that a webhook, or whoever released it, has written the token into.
fn quoting(made: fn(Value) -> Value, pointer: &'static str) -> impl Fn(Value) -> Value {
    move |pod| {
        let mut pod = made(pod);
        *pod.pointer_mut(pointer).unwrap() = json!(TOKEN);
        pod
    }
}

#[tokio::test]
async fn the_token_is_in_no_output() {
    let removed = || json_step("DELETE", 200, stored);
    let scripts = [
        (happy(), false),
        (vec![echo("POST", 403, "Forbidden"), ready(), echo("GET", 404, "NotFound")], true),
        (vec![echo("POST", 500, "InternalError")], true),
        (vec![json_step("POST", 201, routed), echo("PATCH", 422, "Invalid"), removed()], true),
        (vec![json_step("POST", 201, quoting(routed, "/metadata/labels/setGateway")), removed()], true),
        (vec![json_step("POST", 201, routed), json_step("PATCH", 200, quoting(client, "/metadata/uid"))], true),
    ];
    for (script, is_quoted) in scripts {
        let peer = Peer::start(script).await;
        let provisioner = Provisioner::start(&peer.url(), &[]);
        let event = provisioner.deliver(pending("1", "foo")).await;
        let probe = provisioner.deliver(bare("GET", "/readyz")).await;
        let output = format!("{event:?}{probe:?}{}", provisioner.logs().text());
        assert!(!output.contains(TOKEN) && output.contains("[redacted]") == is_quoted, "{output}");
        peer.finish();
    }
}

#[tokio::test]
async fn a_token_file_that_holds_something_else_is_not_quoted() {
    let peer = Peer::start(vec![]).await;
    let provisioner = Provisioner::start(&peer.url(), &[]);
    provisioner.write_token(&format!("{TOKEN}\nand more"));
    for request in [pending("1", "foo"), bare("GET", "/readyz")] {
        let reply = provisioner.deliver(request).await;
        assert_eq!(reply.status, 503);
        assert!(!format!("{reply:?}{}", provisioner.logs().text()).contains(TOKEN));
    }
    peer.finish();
}
