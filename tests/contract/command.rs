//! The command as a user runs it: what it prints to people, to scripts and to terminals, how it ends, what it waits for,
//! and what it says to bad input.

use std::fs::File;
use std::net::TcpListener;
use std::process::{Output, Stdio};

use http::StatusCode;
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tests::cluster::certificates::Authority;
use tests::command::{FREE_PORTS, Running, command};
use tests::events::{Reply, pending};
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
    // Nothing is built there.
    let unbuilt = broken("spin.toml", &std::fs::read_to_string(repository().join("spin.toml")).unwrap());
    ["oidc", "serviceaccount"].iter().for_each(|mount| std::fs::create_dir(directory.path().join(mount)).unwrap());
    for (arguments, code, expected) in [
        (["--nope", ""], 2, "unexpected argument '--nope'"),
        (["--variable", "x"], 2, "NAME=VALUE"),
        (["--from", "nowhere.toml"], 1, "nowhere.toml"),
        (["--from", &broken("broken.toml", "spin_manifest_version = [")], 1, "broken.toml"),
        (["--from", &unbuilt], 1, "build it first"),
        (["--kubeconfig", "nowhere"], 1, "cannot read nowhere"),
        (["--kubeconfig", &broken("kubeconfig", "{}")], 1, "no context"),
        (["--runtime-config-file", "nowhere"], 1, "nowhere"),
        (["--variable", "nobody=1"], 1, "nobody"),
    ] {
        check_error(&run(&arguments), code, expected);
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
fn a_component_is_compiled_once_for_all_starts_unless_nothing_is_to_be_kept() {
    let cache = tempfile::tempdir().unwrap();
    for (arguments, kept) in [(&["--disable-cache"][..], 0), (&[], 1)] {
        let mut command = command();
        let command = command.env("XDG_CACHE_HOME", cache.path()).args(FREE_PORTS).args(arguments);
        Running::spawn(command).until(|said, _| said.contains("Ctrl-C stops it."));
        assert_eq!(cache.path().read_dir().unwrap().count(), kept);
    }
}

#[test]
fn a_page_is_printed_where_there_is_no_application_and_is_an_error_only_where_it_cannot_be_written() {
    let nowhere = tempfile::tempdir().unwrap();
    let run = |stdout: Stdio| command().current_dir(&nowhere).arg("--man").stdout(stdout).output().unwrap();
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
    let well = run(&["--check"]);
    assert_eq!(well.status.code(), Some(0), "{well:?}");
    assert!(text(&well.stdout).contains("pod-gateway-bar.gateway-system.svc.cluster.local  none"));
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = run(&["--check", "--variable", &format!("kube_api_url=http://{nobody}")]);
    assert!(text(&refused.stdout).contains(": the connection is refused; is this the right cluster"), "{refused:?}");
    let unwell = ["--check", "--variable", "gateways=foo,nope", "--output"];
    let check = |output: &str, environment: &[(&str, &str)]| {
        let mut command = command();
        command.args(FREE_PORTS).args(unwell).arg(output).envs(environment.iter().copied());
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        [output.stdout, output.stderr].map(|output| String::from_utf8(output).unwrap())
    };
    let [said, error] = check("text", &[]);
    assert!(said.contains("no webhook acts on setGateway in default"), "{said}");
    assert_eq!(error, "error: 1 of 2 gateways can't take clients\n");
    let [json, error] = check("json", &[("CLICOLOR_FORCE", "1")]);
    let rows: Value = serde_json::from_str(&json).unwrap();
    let foo = json!({
        "gateway": "foo", "injected": true, "address": "pod-gateway-foo.gateway-system.svc.cluster.local",
        "problem": null, "advice": [],
    });
    assert_eq!((&rows[0], &rows[1]["injected"], &rows[1]["address"]), (&foo, &json!(false), &Value::Null));
    assert!(rows[1]["problem"].as_str().unwrap().starts_with("GatewayNotInjected: "), "{rows}");
    // Colours are only where somebody would see them.
    let coloured = check("text", &[("CLICOLOR_FORCE", "1")]);
    assert!(coloured.iter().chain([&error]).all(|output| output.contains('\x1b')), "{coloured:?}");
    let plain = check("text", &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]);
    assert!(!plain.concat().contains('\x1b') && !json.contains('\x1b'), "{plain:?}");
}

#[tokio::test]
async fn an_event_becomes_a_pod_and_what_happens_is_an_object_a_line_after_the_addresses() {
    let mut running = Running::spawn(command().args(FREE_PORTS).args(["--output=json", "--client-image=busybox"]));
    let [said, _] = running.until(|said, _| said.contains('\n'));
    let addresses: Value = serde_json::from_str(&said).unwrap();
    let accepted = Reply::from(addresses["broker"].as_str().unwrap(), pending("1", "foo")).await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED);
    // Steps of an event and changes of a Pod are in order each, but not among each other.
    let kinds = ["received", "podCreated", "podReleased", "delivered", "reply"];
    let is_told = |said: &str, kind: &&str| said.contains(&format!("\"kind\":\"{kind}\""));
    let [said, _] = running.until(|said, _| kinds.iter().all(|kind| is_told(said, kind)));
    let lines: Vec<Value> = said.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str| lines.iter().find(|line| line["kind"] == kind).unwrap();
    assert_eq!(of("received")["event"]["data"], json!({"gateway_name": "foo"}));
    assert_eq!(of("reply")["type"], provisioner::reply::DONE);
    assert_eq!(of("podCreated")["pod"]["spec"]["containers"][0]["image"], "busybox");
    assert_eq!(of("podReleased")["pod"]["spec"].get("schedulingGates"), None);
    assert!(lines.iter().all(|line| line["at"].is_string()));
    let (code, [_, logged]) = running.interrupt();
    assert!(code == Some(0) && logged.contains("\"outcome\":\"done\""), "{logged}");
}

// The command waits for an answer of the peer, and the test for the command.
#[tokio::test(flavor = "multi_thread")]
async fn a_kubeconfig_takes_the_place_of_the_embedded_api_and_its_token_stays_secret() {
    // One that comes up late is enough.
    let version = [fault("GET", || Answer::Close), json_step("GET", 403, |_| json!({}))];
    let peer = Peer::start(version.into_iter().chain(happy()).collect()).await;
    let kubeconfig = kubeconfig(&peer.url());
    let running = Running::start(&["--kubeconfig", kubeconfig.path().to_str().unwrap()]);
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

pub fn kubeconfig(server: &str) -> NamedTempFile {
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
fn a_cluster_that_is_silent_is_waited_for_until_it_is_given_up_or_the_wait_is_interrupted() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let kubeconfig = kubeconfig(&url);
    let start = |timeout: &str| {
        let mut command = command();
        command.args(FREE_PORTS).arg("--kubeconfig").arg(kubeconfig.path());
        Running::spawn(command.args(["--variable", &format!("kube_api_timeout={timeout}")]))
    };
    let (code, [said, errors]) = start("1s").end();
    let error = format!("error: no answer from {url} within 2 s: it is silent; is this machine in its network?");
    assert_eq!((said.as_str(), code, errors.lines().last()), ("", Some(1), Some(&*error)));
    assert!(errors.contains(&format!("waiting for {url} …\nwaiting for {url}: ")), "{errors}");

    let mut waiting = start("1m");
    waiting.until(|_, errors| errors.contains("waiting for"));
    let (code, [_, errors]) = waiting.interrupt();
    assert_eq!((code, errors.lines().last()), (Some(1), Some("error: stopped before it was done")));
}

#[test]
fn a_cluster_that_is_not_trusted_is_no_reason_to_wait() {
    let untrusted = TcpListener::bind("127.0.0.1:0").unwrap();
    let kubeconfig = kubeconfig(&format!("https://{}", untrusted.local_addr().unwrap()));
    // Whoever answers has a certificate that nobody vouches for.
    let answering = std::thread::spawn(move || {
        let mut connection = rustls::ServerConnection::new(Authority::new().server_config()).unwrap();
        _ = connection.complete_io(&mut untrusted.accept().unwrap().0);
    });
    check_error(&run(&["--kubeconfig", kubeconfig.path().to_str().unwrap()]), 1, ": there is no TLS with it");
    answering.join().unwrap();
}
