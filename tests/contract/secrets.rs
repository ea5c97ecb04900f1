//! No output ever holds the token: not the log, not an answer, not even when the API server echoes it.

use serde_json::json;
use tests::events::{bare, pending};
use tests::peer::{Answer, Step, fault, json_step, released, routed, status, status_object, stored};
use tests::{Peer, Provisioner, TOKEN};

/// An API server that answers with the very header that it was sent, in every place that is read.
fn echo(method: &'static str, code: u16, reason: &'static str) -> Step {
    (
        method,
        Box::new(move |call, _| {
            let seen = call.headers["authorization"].to_str().unwrap();
            let body = status_object(code, reason, &format!("you sent {seen}"));
            Answer::Respond(
                code,
                vec![("retry-after", seen.to_owned()), ("x-echo", seen.to_owned())],
                body.to_string().into(),
            )
        }),
    )
}

async fn check(script: Vec<Step>) {
    let peer = Peer::start(script).await;
    let provisioner = Provisioner::start(&peer.url(), &[]);
    for request in [pending("1", "foo"), bare("GET", "/readyz")] {
        let reply = provisioner.deliver(request).await;
        assert!(!format!("{reply:?}").contains(TOKEN), "{reply:?}");
    }
    assert!(!provisioner.logs().text().contains(TOKEN), "{}", provisioner.logs().text());
    peer.finish();
}

#[tokio::test]
async fn the_token_is_in_no_output() {
    check(vec![json_step("POST", 201, routed), json_step("PATCH", 200, released)]).await;
    check(vec![json_step("POST", 201, stored), json_step("DELETE", 200, stored)]).await;
    check(vec![status("POST", 401, "Unauthorized", "Unauthorized")]).await;
    check(vec![fault("POST", || Answer::CutBody(201))]).await;
    check(vec![json_step("POST", 201, |_| json!({"kind": "Pod"}))]).await;
    for (code, reason) in [(400, "BadRequest"), (403, "Forbidden"), (429, "TooManyRequests"), (500, "InternalError")] {
        let is_final = code < 429;
        let absent = is_final.then(|| echo("GET", 404, "NotFound"));
        check([echo("POST", code, reason)].into_iter().chain(absent).collect()).await;
        check(vec![json_step("POST", 201, stored), echo("DELETE", code, reason)]).await;
    }
    check(vec![json_step("POST", 201, routed), echo("PATCH", 422, "Invalid"), json_step("DELETE", 200, stored)]).await;
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
