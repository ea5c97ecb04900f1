//! The command as a user runs it: what it prints to people and to scripts, what it waits for, what it says to bad input,
//! who may reach its listeners, and how it plays a client's life.

use std::net::TcpListener;
use std::process::Output;

use http::header::{CONTENT_TYPE, HeaderValue, ORIGIN};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tests::cluster::client::until;
use tests::command::{FREE_PORTS, Running, command};
use tests::events::{Delivery, Reply, binary, body, pending, with_header};
use tests::peer::{Answer, fault, happy, json_step};
use tests::provisioner::repository;
use tests::{Peer, TOKEN};

use crate::{End, end_of};

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[track_caller]
fn check_error(output: &Output, code: i32, expected: &str) {
    // How long it took is said on a slow machine.
    let lines = text(&output.stderr).split_inclusive('\n').filter(|line| !line.starts_with("compiling "));
    let text: String = lines.collect();
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(text.starts_with("error: ") && text.contains(expected) && !text.contains("panicked"), "{text}");
    assert!(code == 2 || text.lines().count() == 1, "more than one line: {text}");
}

fn run(arguments: &[&str]) -> Output {
    command().args(FREE_PORTS).args(arguments).output().unwrap()
}

#[test]
fn what_is_missing_or_broken_is_said_in_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let broken = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let manifest = std::fs::read_to_string(repository().join("spin.toml")).unwrap();
    ["oidc", "serviceaccount"].iter().for_each(|mount| std::fs::create_dir(directory.path().join(mount)).unwrap());
    for (arguments, code, expected) in [
        (["--nope", ""], 2, "unexpected argument '--nope'"),
        (["--variable", "x"], 2, "NAME=VALUE"),
        (["--from", "nowhere.toml"], 1, "nowhere.toml"),
        (["--from", &broken("broken.toml", "spin_manifest_version = [")], 1, "broken.toml"),
        (["--kubeconfig", "nowhere"], 1, "cannot read nowhere"),
        (["--kubeconfig", &broken("kubeconfig", "{}")], 1, "no context"),
        (["--runtime-config-file", "nowhere"], 1, "nowhere"),
        (["--variable", "nobody=1"], 1, "nobody"),
    ] {
        check_error(&run(&arguments), code, expected);
    }
    let uncompilable = manifest.replace("target/wasm32-wasip2/release/provisioner.wasm", "kubeconfig");
    // The addresses are told while the component is compiled, and not if none is built.
    for (text, expected, is_told) in [(&manifest, "build it first", false), (&uncompilable, "can't be run", true)] {
        let output = run(&["--from", &broken("spin.toml", text)]);
        check_error(&output, 1, expected);
        assert_eq!(output.stdout.starts_with(b"page "), is_told, "{output:?}");
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for at in (1..FREE_PORTS.len()).step_by(2) {
        let mut arguments = FREE_PORTS;
        arguments[at] = &address;
        check_error(&command().args(arguments).output().unwrap(), 1, &address);
    }
}

#[test]
fn a_check_says_for_each_gateway_what_would_become_of_a_client() {
    let well = run(&["--check"]);
    assert_eq!(well.status.code(), Some(0), "{well:?}");
    assert!(text(&well.stdout).contains("pod-gateway-bar.gateway-system.svc.cluster.local  none"));
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = run(&["--check", "--variable", &format!("kube_api_url=http://{nobody}")]);
    assert!(text(&refused.stdout).contains(": the connection is refused; is this the right cluster"), "{refused:?}");
    let [told, listed] =
        ["text", "json"].map(|form| run(&["--check", "--variable", "gateways=foo,nope", "--output", form]));
    check_error(&told, 1, "error: 1 of 2 gateways can't take clients\n");
    assert!(text(&told.stdout).contains("no webhook acts on this value of setGateway in default"), "{told:?}");
    let rows: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let address = "pod-gateway-foo.gateway-system.svc.cluster.local";
    let foo = json!({"gateway": "foo", "injected": true, "address": address, "problem": null, "advice": []});
    assert_eq!((&rows[0], &rows[1]["injected"], &rows[1]["address"]), (&foo, &json!(false), &Value::Null));
}

#[tokio::test]
async fn an_event_becomes_a_pod_and_what_happens_is_an_object_a_line_after_the_addresses() {
    let mut running = Running::spawn(command().args(FREE_PORTS).args(["--output=json", "--client-image=busybox"]));
    let [said, _] = running.until(|said, _| said.contains('\n'));
    let addresses: Value = serde_json::from_str(&said).unwrap();
    let broker = addresses["broker"].as_str().unwrap();
    assert_eq!(Reply::from(broker, pending("1", "foo")).await.status, StatusCode::ACCEPTED);
    // Steps of an event and changes of a Pod are in order each, but not among each other.
    let kinds = ["received", "podCreated", "podReleased", "delivered", "reply"];
    let of = |said: &str, kind: &str| {
        let lines = said.lines().skip(1).map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.into_iter().find(|line| line["kind"] == kind)
    };
    let [said, _] = running.until(|said, _| kinds.iter().all(|kind| of(said, kind).is_some()));
    assert_eq!(of(&said, "reply").unwrap()["type"], provisioner::reply::DONE);
    assert_eq!(of(&said, "podCreated").unwrap()["pod"]["spec"]["containers"][0]["image"], "busybox");
    assert_eq!(of(&said, "podReleased").unwrap()["pod"]["spec"].get("schedulingGates"), None);
    let (code, [_, logged]) = running.stop("-INT");
    assert!(code == Some(0) && logged.contains("\"outcome\":\"done\""), "{logged}");
}

// The command waits for an answer of the peer, and the test for the command.
#[tokio::test(flavor = "multi_thread")]
async fn a_kubeconfig_takes_the_place_of_the_embedded_api_and_no_token_leaves_in_clear_text() {
    // One that comes up late is enough.
    let version = [fault("GET", || Answer::Close), json_step("GET", 403, |_| json!({}))];
    let swept = json_step("GET", 200, |_| json!({"kind": "PodList", "metadata": {}, "items": []}));
    let peer = Peer::start(version.into_iter().chain(happy()).chain([swept]).collect()).await;
    let kubeconfig = kubeconfig(&peer.url());
    let mut running = Running::start(&["--kubeconfig", kubeconfig.path().to_str().unwrap()]);
    let reply = Reply::from(&running.address("provisioner"), pending("1", "foo")).await;
    assert_eq!(end_of(&reply), End::Done);
    running.until(|_, logged| logged.contains("\"outcome\":\"swept\""));
    let calls = peer.finish();
    assert!(calls.iter().all(|call| !call.headers.contains_key("authorization")), "{calls:?}");
    let (code, output) = running.stop("-HUP");
    let output = output.concat();
    assert!(code == Some(0) && !output.contains(TOKEN) && !format!("{reply:?}").contains(TOKEN), "{output}");
}

fn kubeconfig(server: &str) -> NamedTempFile {
    let config = json!({
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": TOKEN}}],
    });
    let file = NamedTempFile::new().unwrap();
    std::fs::write(&file, config.to_string()).unwrap();
    file
}

#[test]
fn a_cluster_that_is_silent_is_waited_for_until_it_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let kubeconfig = kubeconfig(&url);
    let given_up = run(&["--kubeconfig", kubeconfig.path().to_str().unwrap(), "--variable", "kube_api_timeout=1s"]);
    let error = format!("error: no answer from {url} within 2 s: it is silent; is this machine in its network?");
    let errors = text(&given_up.stderr);
    assert_eq!((given_up.status.code(), errors.lines().last()), (Some(1), Some(&*error)));
    assert!(errors.contains(&format!("waiting for {url} …\nwaiting for {url}: ")), "{errors}");
}

/// `local/src/doors.rs` has the whole rule.
#[tokio::test]
async fn every_door_opens_to_those_that_may_come_in_and_to_no_other_site() {
    let running = Running::start(&[]);
    for (door, path, method, status) in [
        ("page", "", Method::GET, 200),
        ("broker", "", Method::POST, 202),
        ("kubernetes", "/api/v1/namespaces/default/pods", Method::GET, 200),
        ("provisioner", "", Method::POST, 200),
    ] {
        let (url, mut request) = (format!("{}{path}", running.address(door)), pending("1", "foo"));
        *request.method_mut() = method;
        assert_eq!(Reply::from(&url, request.clone()).await.status, status, "{door}");
        // A browser sends this for any site without asking.
        request.headers_mut().insert(ORIGIN, HeaderValue::from_static("http://evil.example"));
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain;charset=UTF-8"));
        let refused = Reply::from(&url, request).await;
        assert_eq!(refused.status, 403, "{door}");
        assert!(String::from_utf8_lossy(&refused.body).contains("evil.example"), "{refused:?}");
        assert!(!refused.headers.contains_key("access-control-allow-origin"), "{door}");
    }
}

/// The command plays clients' whole lives: these have an end of their own and are taken away at the next sweep.
fn start() -> Running {
    let variables = ["client_pod_template=client", "client_retention=0s", "client_patience=0s"];
    Running::start(&variables.map(|variable| ["--variable", variable]).concat())
}

async fn publish(running: &Running, event: Delivery) {
    assert_eq!(Reply::from(&running.address("broker"), event).await.status, StatusCode::ACCEPTED);
}

/// The data of the first event of this type about the client of that event which the broker takes in.
async fn told(running: &Running, ty: &str, id: &str) -> Value {
    let ty = format!("io.podgateway.client.{ty}");
    let is_meant = |event: &Value| event["type"] == ty && event["data"]["pending_event"]["id"] == id;
    running.received(1, is_meant).await[0]["data"].clone()
}

/// Asks for the end of the client of this event.
fn termination(id: &str) -> Delivery {
    let about = json!({"pending_event": {"source": "/test", "id": id}});
    binary("end", provisioner::event::TERMINATION, &about.to_string())
}

#[tokio::test]
async fn a_client_runs_completes_and_is_swept_away_and_another_is_ended_where_somebody_asks_for_it() {
    let running = start();
    publish(&running, pending("1", "foo")).await;
    let uid = told(&running, "running", "1").await["pod_uid"].clone();
    let form = format!("uid={}&act=complete", uid.as_str().unwrap());
    let form = body("application/x-www-form-urlencoded", form);
    assert_eq!(Reply::from(&format!("{}clients", running.address("page")), form).await.status, StatusCode::SEE_OTHER);
    assert_eq!(told(&running, "ended", "1").await["reason"], "Completed");
    publish(&running, binary("ping", provisioner::event::PING, "{}")).await;
    until("the Pod is swept away", || async { running.pods().await.is_empty() }).await;

    publish(&running, pending("2", "foo")).await;
    told(&running, "running", "2").await;
    publish(&running, termination("2")).await;
    told(&running, "termination.done", "2").await;
    assert_eq!(told(&running, "ended", "2").await["reason"], "Terminated");
    until("the Pod is gone", || async { running.pods().await.is_empty() }).await;
}

/// An answer that may not pass the broker once more makes a dead letter of the event that it answers.
#[tokio::test]
async fn what_the_broker_gives_up_on_is_answered_on_the_dead_letter_route() {
    let running = start();
    for (event, answer) in [(pending("1", "foo"), "scheduling.done"), (termination("1"), "termination.done")] {
        publish(&running, with_header(event, "ce-knativebrokerttl", "2")).await;
        told(&running, answer, "1").await;
    }
}
