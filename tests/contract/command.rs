//! The command as a user runs it: what it prints to people, to scripts and to terminals, how it ends, what it waits for,
//! and what it says to bad input.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use http::StatusCode;
use serde_json::{Value, json};
use tests::cluster::certificates::Authority;
use tests::command::{FREE_PORTS, Running, application, command};
use tests::events::{Reply, pending};
use tests::peer::{Answer, fault, happy, json_step};
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

fn run(directory: &Path, arguments: &[&str]) -> Output {
    command(directory).args(FREE_PORTS).args(arguments).output().unwrap()
}

#[test]
fn what_is_missing_or_broken_is_said_in_one_line() {
    let directory = application();
    std::fs::write(directory.path().join("broken.toml"), "spin_manifest_version = [").unwrap();
    std::fs::write(directory.path().join("kubeconfig"), "{}").unwrap();
    for (arguments, code, expected) in [
        (&["--nope"][..], 2, "unexpected argument '--nope'"),
        (&["--variable", "x"], 2, "NAME=VALUE"),
        (&["--from", "nowhere.toml"], 1, "nowhere.toml"),
        (&["--from", "broken.toml"], 1, "broken.toml"),
        (&["--kubeconfig", "nowhere"], 1, "cannot read nowhere"),
        (&["--kubeconfig", "kubeconfig"], 1, "no context"),
        (&["--runtime-config-file", "nowhere"], 1, "nowhere"),
        (&["--variable", "nobody=1"], 1, "nobody"),
    ] {
        check_error(&run(directory.path(), arguments), code, expected);
    }
    std::fs::remove_file(directory.path().join("target/wasm32-wasip2/release/provisioner.wasm")).unwrap();
    check_error(&run(directory.path(), &[]), 1, "build it first");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let directory = application();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for at in (1..FREE_PORTS.len()).step_by(2) {
        let mut arguments = FREE_PORTS;
        arguments[at] = &address;
        check_error(&command(directory.path()).args(arguments).output().unwrap(), 1, &address);
    }
}

#[test]
fn a_component_is_compiled_once_for_all_starts_unless_nothing_is_to_be_kept() {
    let (directory, cache) = (application(), tempfile::tempdir().unwrap());
    let kept_by = |arguments: &[&str]| {
        let mut command = command(directory.path());
        let command = command.env("XDG_CACHE_HOME", cache.path()).args(FREE_PORTS).args(arguments);
        Running::spawn(command).until(|said, _| said.contains("Ctrl-C stops it."));
        cache.path().read_dir().unwrap().count()
    };
    assert_eq!(kept_by(&["--disable-cache"]), 0);
    assert_eq!(kept_by(&[]), 1);
}

#[test]
fn a_page_is_printed_where_there_is_no_application_and_is_an_error_only_where_it_cannot_be_written() {
    let nowhere = tempfile::tempdir().unwrap();
    let run = |stdout: Stdio| command(nowhere.path()).arg("--man").stdout(stdout).output().unwrap();
    let printed = run(Stdio::piped());
    assert!(text(&printed.stdout).contains(".TH cloudevents-podgateway-client-provisioner 1"), "{printed:?}");
    let full = run(File::options().write(true).open("/dev/full").unwrap().into());
    check_error(&full, 1, "cannot write to stdout: ");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    for output in [printed, run(writer.into())] {
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    }
}

#[test]
fn a_check_says_for_each_gateway_what_would_become_of_a_client() {
    let directory = application();
    let check = |arguments: &[&str]| run(directory.path(), &[&["--check"], arguments].concat());
    let well = check(&[]);
    assert_eq!(well.status.code(), Some(0), "{well:?}");
    assert!(text(&well.stdout).contains("pod-gateway-bar.gateway-system.svc.cluster.local  none"));
    let gone = check(&["--client-namespace=gone"]);
    assert!(text(&gone.stdout).contains("NamespaceNotFound"), "{gone:?}");
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = check(&["--variable", &format!("kube_api_url=http://{nobody}")]);
    assert!(text(&refused.stdout).contains(": the connection is refused; is this the right cluster"), "{refused:?}");
    let unwell = check(&["--variable", "gateways=foo,nope"]);
    assert!(text(&unwell.stdout).contains("no webhook acts on setGateway in default"), "{unwell:?}");

    let json = check(&["--variable", "gateways=foo,nope", "--output=json"]);
    let rows: Value = serde_json::from_slice(&json.stdout).unwrap();
    let foo = json!({
        "gateway": "foo", "injected": true, "address": "pod-gateway-foo.gateway-system.svc.cluster.local",
        "problem": null, "advice": [],
    });
    assert_eq!((&rows[0], &rows[1]["injected"], &rows[1]["address"]), (&foo, &json!(false), &Value::Null));
    assert!(rows[1]["problem"].as_str().unwrap().starts_with("GatewayNotInjected: "), "{rows}");
    for output in [unwell, json] {
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), said), (Some(1), "error: 1 of 2 gateways can't take clients\n"));
    }
}

#[test]
fn there_are_colours_only_where_somebody_would_see_them() {
    let directory = application();
    let escapes = |output: &str, environment: &[(&str, &str)]| {
        let mut command = command(directory.path());
        command.args(["--check", "--variable", "gateways=foo,nope", "--output", output]).args(FREE_PORTS);
        let output = command.envs(environment.iter().copied()).output().unwrap();
        [&output.stdout, &output.stderr].map(|bytes| bytes.iter().filter(|byte| **byte == 0x1b).count())
    };
    assert_eq!(escapes("text", &[]), [0, 0]);
    assert_eq!(escapes("text", &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]), [0, 0]);
    assert_eq!(escapes("json", &[("CLICOLOR_FORCE", "1")])[0], 0);
    let forced = escapes("text", &[("CLICOLOR_FORCE", "1")]);
    assert!(forced[0] >= 4 && forced[1] > 0, "{forced:?}");
}

#[tokio::test]
async fn an_event_becomes_a_pod_and_ctrl_c_ends_it() {
    let directory = application();
    let running = Running::start(directory.path(), &["--client-image=busybox"]);
    let reply = Reply::from(&running.address("provisioner"), pending("1", "foo")).await;
    assert_eq!(end_of(&reply), End::Done);
    let [pod] = &running.pods().await[..] else { panic!("there is one Pod") };
    assert_eq!(pod["metadata"]["name"], reply.json()["pod_name"]);
    assert_eq!(pod["spec"]["containers"][0]["image"], "busybox");
    let (code, [said, logged]) = running.interrupt();
    assert_eq!(code, Some(0));
    assert!(said.contains("released  [gateway-init, client, gateway-sidecar]"), "{said}");
    assert!(logged.contains("\"outcome\":\"done\""), "{logged}");
}

#[tokio::test]
async fn what_happens_is_an_object_a_line_after_the_addresses() {
    let directory = application();
    let mut running = Running::spawn(command(directory.path()).args(FREE_PORTS).args(["--output", "json"]));
    let [said, _] = running.until(|said, _| said.contains('\n'));
    let addresses: Value = serde_json::from_str(&said).unwrap();
    assert!(addresses["kubernetes"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{addresses}");
    let accepted = Reply::from(addresses["broker"].as_str().unwrap(), pending("1", "foo")).await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED);
    // Steps of an event and changes of a Pod are in order each, but not among each other.
    let kinds = ["received", "podCreated", "podReleased", "delivered", "reply"];
    let is_told = |said: &str, kind: &&str| said.contains(&format!("\"kind\":\"{kind}\""));
    let [said, _] = running.until(|said, _| kinds.iter().all(|kind| is_told(said, kind)));
    let lines: Vec<Value> = said.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str| lines.iter().find(|line| line["kind"] == kind).unwrap();
    assert_eq!(of("received")["event"]["data"], json!({"gateway_name": "foo"}));
    assert_eq!(of("reply")["type"], "io.podgateway.client.scheduling.done");
    assert_eq!(of("podCreated")["pod"]["metadata"]["namespace"], "default");
    assert_eq!(of("podReleased")["pod"]["spec"].get("schedulingGates"), None);
    assert!(lines.iter().all(|line| line["at"].is_string()));
    assert_eq!(running.interrupt().0, Some(0));
}

// The command waits for an answer of the peer, and the test for the command.
#[tokio::test(flavor = "multi_thread")]
async fn a_kubeconfig_takes_the_place_of_the_embedded_api_and_its_token_stays_secret() {
    // One that comes up late is enough.
    let version = [fault("GET", || Answer::Close), json_step("GET", 403, |_| json!({}))];
    let peer = Peer::start(version.into_iter().chain(happy()).collect()).await;
    let directory = application();
    let kubeconfig = kubeconfig(directory.path(), &peer.url());
    let running = Running::start(directory.path(), &["--kubeconfig", kubeconfig.to_str().unwrap()]);
    let reply = Reply::from(&running.address("provisioner"), pending("1", "foo")).await;
    assert_eq!(end_of(&reply), End::Done);
    let url = peer.url();
    let (asked, calls): (Vec<_>, Vec<_>) = peer.finish().into_iter().partition(|call| call.path == "/version");
    assert!(asked.iter().all(|call| !call.headers.contains_key("authorization")), "{asked:?}");
    assert!(calls.iter().all(|call| call.headers["authorization"] == format!("Bearer {TOKEN}")), "{calls:?}");
    let (code, output) = running.interrupt();
    let output = output.concat();
    assert_eq!(code, Some(0));
    assert!(!output.contains(TOKEN) && !format!("{reply:?}").contains(TOKEN), "{output}");
    assert!(output.contains(&url) && !output.contains("embedded"), "{output}");
}

pub fn kubeconfig(directory: &Path, server: &str) -> PathBuf {
    let config = json!({
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": TOKEN}}],
    });
    let path = directory.join("kubeconfig");
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

#[test]
fn a_cluster_that_is_silent_is_waited_for_until_it_is_given_up_or_the_wait_is_interrupted() {
    let directory = application();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let start = |timeout: &str| {
        let mut command = command(directory.path());
        command.args(FREE_PORTS).arg("--kubeconfig").arg(kubeconfig(directory.path(), &url));
        Running::spawn(command.args(["--variable", &format!("kube_api_timeout={timeout}")]))
    };
    let (code, [said, errors]) = start("1s").end();
    let error = format!("error: no answer from {url} within 2 s: it is silent; is this machine in its network?");
    let lines: Vec<_> = errors.lines().filter(|line| !line.starts_with("compiling")).collect();
    assert_eq!((lines.len(), said.as_str(), code), (3, "", Some(1)), "{lines:?}");
    assert_eq!((lines[0], lines[2]), (format!("waiting for {url} …").as_str(), error.as_str()), "{lines:?}");
    assert!(lines[1].starts_with(&format!("waiting for {url}: ")), "{lines:?}");

    let mut waiting = start("1m");
    waiting.until(|_, errors| errors.contains("waiting for"));
    let (code, [_, errors]) = waiting.interrupt();
    assert_eq!((code, errors.lines().last()), (Some(1), Some("error: stopped before it was done")));
}

#[test]
fn a_cluster_that_is_not_trusted_is_no_reason_to_wait() {
    let directory = application();
    let untrusted = TcpListener::bind("127.0.0.1:0").unwrap();
    let kubeconfig = kubeconfig(directory.path(), &format!("https://{}", untrusted.local_addr().unwrap()));
    // Whoever answers has a certificate that nobody vouches for.
    let answering = std::thread::spawn(move || {
        let mut connection = rustls::ServerConnection::new(Authority::new().server_config()).unwrap();
        _ = connection.complete_io(&mut untrusted.accept().unwrap().0);
    });
    let output = run(directory.path(), &["--kubeconfig", kubeconfig.to_str().unwrap()]);
    assert!(text(&output.stderr).contains(": there is no TLS with it"), "{output:?}");
    assert_eq!(output.status.code(), Some(1));
    answering.join().unwrap();
}
