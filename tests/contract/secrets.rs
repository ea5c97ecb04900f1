//! No output ever holds the token: not the log, not an answer, not even when the API server echoes it.

use provisioner::testing::{gateway_container, routed, stored};
use serde_json::{Value, json};
use tests::events::{bare, pending};
use tests::peer::{Answer, Step, client, fault, happy, json_step, ready, status, status_object};
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

/// Gives what was answered to the event, and what was logged.
async fn check(script: Vec<Step>) -> String {
    let peer = Peer::start(script).await;
    let provisioner = Provisioner::start(&peer.url(), &[]);
    let event = provisioner.deliver(pending("1", "foo")).await;
    let probe = provisioner.deliver(bare("GET", "/readyz")).await;
    let output = format!("{event:?}{probe:?}{}", provisioner.logs().text());
    assert!(!output.contains(TOKEN), "{output}");
    peer.finish();
    output
}

#[tokio::test]
async fn the_token_is_in_no_output() {
    check(happy()).await;
    check(vec![json_step("POST", 201, stored), json_step("DELETE", 200, stored)]).await;
    check(vec![status("POST", 401, "Unauthorized", "Unauthorized")]).await;
    check(vec![fault("POST", || Answer::CutBody(201))]).await;
    check(vec![json_step("POST", 201, |_| json!({"kind": "Pod"}))]).await;
    for (code, reason) in [(400, "BadRequest"), (403, "Forbidden"), (429, "TooManyRequests"), (500, "InternalError")] {
        // What is final is final once there is no Pod of an earlier delivery.
        let lookup = (code < 429).then(|| echo("GET", 404, "NotFound"));
        let is_ready = (code == 403).then(ready);
        check([echo("POST", code, reason)].into_iter().chain(is_ready).chain(lookup).collect()).await;
        check(vec![json_step("POST", 201, stored), echo("DELETE", code, reason)]).await;
    }
    check(vec![json_step("POST", 201, routed), echo("PATCH", 422, "Invalid"), json_step("DELETE", 200, stored)]).await;
}

/// Wherever a Pod can hold a text, in the Pod that a webhook has changed and in the one that was released.
#[tokio::test]
async fn a_pod_that_quotes_the_token_is_not_quoted() {
    let places: [fn(&mut Value); 10] = [
        |pod| pod["metadata"]["labels"]["setGateway"] = json!(TOKEN),
        |pod| pod["metadata"]["annotations"]["setGateway"] = json!(TOKEN),
        |pod| pod["metadata"]["annotations"]["podgateway.io/event-id"] = json!(TOKEN),
        |pod| pod["metadata"]["annotations"][format!("k8s.v1.cni.cncf.io/{TOKEN}")] = json!("x"),
        |pod| pod["spec"]["nodeName"] = json!(TOKEN),
        |pod| pod["spec"]["containers"][1]["name"] = json!(TOKEN),
        |pod| pod["spec"]["containers"][1] = gateway_container(TOKEN, "elsewhere"),
        |pod| pod["spec"]["initContainers"][0]["env"] = json!([{"name": "gateway", "value": TOKEN}]),
        |pod| pod["spec"]["volumes"] = json!([{"name": "x", "hostPath": {"path": TOKEN}}]),
        |pod| pod["spec"]["containers"][0]["securityContext"] = json!({"capabilities": {"drop": [TOKEN]}}),
    ];
    for quote in places {
        let changed = move |pod: Value| {
            let mut pod = routed(pod);
            quote(&mut pod);
            pod["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": TOKEN, "image": TOKEN}));
            pod
        };
        let output = check(vec![json_step("POST", 201, changed), json_step("DELETE", 200, stored)]).await;
        assert!(output.matches("[redacted]").count() >= 2, "in the event and in the log: {output}");
    }
    let named = |pod: Value| {
        let mut pod = client(pod);
        pod["metadata"]["uid"] = json!(TOKEN);
        pod
    };
    assert!(check(vec![json_step("POST", 201, routed), json_step("PATCH", 200, named)]).await.contains("[redacted]"));
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
