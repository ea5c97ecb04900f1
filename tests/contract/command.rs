//! The command as a user runs it: what it prints, how it ends, and what it says to bad input.

use std::path::{Path, PathBuf};
use std::process::Output;

use provisioner::testing::{released, routed, routed_by, stored, wanted};
use serde_json::{Value, json};
use tests::command::{FREE_PORTS, Running, application, command};
use tests::events::{Reply, pending};
use tests::peer::{happy, json_step, status};
use tests::pods::is_gated;
use tests::{Peer, TOKEN};

use crate::{Case, End, end_of, run};

#[track_caller]
pub fn check_error(output: &Output, code: i32, expected: &str) {
    let all = String::from_utf8_lossy(&output.stderr);
    // How long it took is said on a slow machine.
    let text: String = all.split_inclusive('\n').filter(|line| !line.starts_with("compiling ")).collect();
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(text.contains(expected), "{text}");
    assert!(text.starts_with("error: ") && !text.contains("panicked") && !text.contains("backtrace"), "{text}");
    assert!(code == 2 || text.lines().count() == 1, "more than one line: {text}");
}

#[test]
fn a_flag_that_nobody_knows_is_a_usage_error() {
    let directory = application();
    check_error(&command(directory.path()).arg("--nope").output().unwrap(), 2, "unexpected argument '--nope'");
    check_error(&command(directory.path()).args(["--variable", "x"]).output().unwrap(), 2, "NAME=VALUE");
    check_error(&command(directory.path()).args(["--listen", "x"]).output().unwrap(), 2, "--listen");
}

#[test]
fn what_is_missing_or_broken_is_said_in_one_line() {
    let directory = application();
    let run = |arguments: &[&str]| command(directory.path()).args(FREE_PORTS).args(arguments).output().unwrap();
    check_error(&run(&["--from", "nowhere.toml"]), 1, "nowhere.toml");
    check_error(&run(&["--kubeconfig", "nowhere"]), 1, "cannot read nowhere");
    check_error(&run(&["--runtime-config-file", "nowhere"]), 1, "nowhere");
    check_error(&run(&["--variable", "nobody=1"]), 1, "nobody");
    std::fs::write(directory.path().join("broken.toml"), "spin_manifest_version = [").unwrap();
    check_error(&run(&["--from", "broken.toml"]), 1, "broken.toml");
    std::fs::write(directory.path().join("kubeconfig"), "{}").unwrap();
    check_error(&run(&["--kubeconfig", "kubeconfig"]), 1, "no context");
    std::fs::remove_file(directory.path().join("target/wasm32-wasip2/release/provisioner.wasm")).unwrap();
    check_error(&run(&[]), 1, "build it first");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let directory = application();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for flag in ["--listen", "--broker-listen", "--kubernetes-listen", "--page-listen"] {
        let mut arguments = FREE_PORTS.to_vec();
        let at = arguments.iter().position(|argument| *argument == flag).unwrap();
        arguments[at + 1] = &address;
        check_error(&command(directory.path()).args(arguments).output().unwrap(), 1, &address);
    }
}

#[test]
fn a_component_is_compiled_once_for_all_starts_unless_nothing_is_to_be_kept() {
    let (directory, cache) = (application(), tempfile::tempdir().unwrap());
    let kept_by = |arguments: &[&str]| {
        let mut command = command(directory.path());
        command.env("XDG_CACHE_HOME", cache.path());
        drop(Running::of(command, arguments));
        cache.path().read_dir().unwrap().count()
    };
    assert_eq!(kept_by(&["--disable-cache"]), 0);
    assert_eq!(kept_by(&[]), 1);
}

#[test]
fn a_check_says_for_each_gateway_what_would_become_of_a_client() {
    let directory = application();
    let run = |arguments: &[&str]| {
        command(directory.path()).arg("--check").args(FREE_PORTS).args(arguments).output().unwrap()
    };
    let well = run(&[]);
    assert_eq!(well.status.code(), Some(0), "{well:?}");
    assert!(String::from_utf8_lossy(&well.stdout).contains("pod-gateway-bar.gateway-system.svc.cluster.local  none"));
    let unwell = run(&["--variable", "gateways=foo,nope"]);
    assert_eq!(unwell.status.code(), Some(1));
    let text = String::from_utf8_lossy(&unwell.stdout).into_owned();
    assert!(text.contains("no webhook acts on setGateway in default"), "{text}");
    assert_eq!(String::from_utf8_lossy(&unwell.stderr), "error: 1 of 2 gateways can't take clients\n");
    let gone = run(&["--client-namespace=gone"]);
    assert!(String::from_utf8_lossy(&gone.stdout).contains("NamespaceNotFound"), "{gone:?}");
}

/// What comes of a client is decided by the same code to its last rule, the gate included.
#[tokio::test(flavor = "multi_thread")]
async fn a_check_says_of_a_cluster_what_a_delivery_says_of_a_client() {
    let directory = application();
    let strays: [fn(Value) -> Value; 4] =
        [|pod| released(routed(pod)), |pod| released(stored(pod)), stored, |pod| routed_by("", pod)];
    for made in strays {
        let script = vec![json_step("POST", 201, made), json_step("DELETE", 200, made)];
        let failed = Case::new("a check", "a delivery", pending("1", "foo"), script, End::Failed(reason_of(made)));
        let (delivered, _) = run(failed).await;
        let message = delivered.json()["message"].as_str().unwrap().to_owned();
        let (_, message) = message.split_once(": ").unwrap();

        // Where nothing took it, it is looked why, as far as that is allowed.
        let namespace = (reason_of(made) == "GatewayNotInjected").then(|| status("GET", 403, "Forbidden", "no"));
        let webhooks = status("GET", 403, "Forbidden", "no webhooks for you");
        let script = [json_step("POST", 201, made)].into_iter().chain(namespace).chain([webhooks]);
        let peer = Peer::start(script.collect()).await;
        let kubeconfig = kubeconfig(directory.path(), &peer.url());
        let mut check = command(directory.path());
        check.arg("--check").args(FREE_PORTS).args(["--output=json", "--variable", "gateways=foo", "--kubeconfig"]);
        let output = check.arg(kubeconfig).output().unwrap();
        let rows: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        assert_eq!(rows[0]["problem"], format!("{}: {message}", reason_of(made)));
        let advice = rows[0]["advice"][0].as_str().unwrap();
        assert!(
            advice.contains("list mutatingwebhookconfigurations") && advice.contains("no webhooks for you"),
            "{advice}"
        );
        assert!(peer.finish().iter().any(|call| call.path.ends_with("/pods?dryRun=All")));
    }
}

/// Why the Pod that is made like this is no client.
fn reason_of(made: fn(Value) -> Value) -> &'static str {
    let pod = made(wanted(&[]));
    match (is_gated(&pod), pod["spec"].get("initContainers")) {
        (false, _) => "UnsafePod",
        (true, None) => "GatewayNotInjected",
        (true, Some(_)) => "WrongGatewayInjected",
    }
}

#[tokio::test]
async fn an_event_becomes_a_pod_and_ctrl_c_ends_it() {
    let directory = application();
    let running = Running::start(directory.path(), &["--client-namespace=routed-clients", "--client-image=busybox"]);
    let reply = Reply::from(&running.address("provisioner"), pending("1", "foo")).await;
    assert_eq!(end_of(&reply), End::Done);
    let name = reply.json()["pod_name"].as_str().unwrap().to_owned();
    let path = format!("{}/api/v1/namespaces/routed-clients/pods/{name}", running.address("kubernetes"));
    let mut get = pending("1", "foo");
    *get.method_mut() = http::Method::GET;
    *get.body_mut() = Default::default();
    let pod = Reply::from(&path, get).await.json();
    let names = |list: &str| -> Vec<_> {
        pod["spec"][list].as_array().unwrap().iter().map(|container| container["name"].clone()).collect()
    };
    assert_eq!(names("initContainers"), [json!("gateway-init")]);
    assert_eq!(names("containers"), [json!("client"), json!("gateway-sidecar")]);
    assert_eq!(pod["spec"]["containers"][0]["image"], "busybox");
    assert_eq!(pod["spec"].get("schedulingGates"), None);
    let (code, output) = running.interrupt();
    assert_eq!(code, Some(0));
    assert!(output.contains("released  [gateway-init, client, gateway-sidecar]"), "{output}");
    assert!(output.contains("\"outcome\":\"done\""), "{output}");
}

// The command waits for an answer of the peer, and the test for the command.
#[tokio::test(flavor = "multi_thread")]
async fn a_kubeconfig_takes_the_place_of_the_embedded_api_and_its_token_stays_secret() {
    let version = json_step("GET", 200, |_| json!({"major": "1"}));
    let peer = Peer::start([version].into_iter().chain(happy()).collect()).await;
    let directory = application();
    let kubeconfig = kubeconfig(directory.path(), &peer.url());
    let running = Running::start(directory.path(), &["--kubeconfig", kubeconfig.to_str().unwrap()]);
    let reply = Reply::from(&running.address("provisioner"), pending("1", "foo")).await;
    assert_eq!(end_of(&reply), End::Done);
    for call in &peer.finish()[1..] {
        assert_eq!(call.headers["authorization"], format!("Bearer {TOKEN}"));
    }
    let (code, output) = running.interrupt();
    assert_eq!(code, Some(0));
    assert!(!output.contains(TOKEN) && !format!("{reply:?}").contains(TOKEN), "{output}");
    assert!(!output.contains("embedded"), "{output}");
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
