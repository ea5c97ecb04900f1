//! What the command says to scripts and to terminals: JSON, colours, pages made of its flags, and what it waits for.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use http::StatusCode;
use rcgen::CertifiedKey;
use serde_json::{Value, json};
use tests::Peer;
use tests::events::{Reply, pending};
use tests::peer::{Answer, fault, json_step};

use tests::command::{FREE_PORTS, application, command};

use crate::command::kubeconfig;

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A running command; it is stopped when it is dropped, and when it says nothing of its own for too long.
struct Process(Child, #[expect(dead_code, reason = "dropping it is what tells")] Sender<()>);

/// Longer than any test here waits.
const PATIENCE: Duration = Duration::from_secs(60);

impl Drop for Process {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

fn signal(name: &str, id: u32) {
    assert!(Command::new("kill").args([name, &id.to_string()]).status().unwrap().success());
}

impl Process {
    fn start(command: &mut Command) -> Self {
        let child = command.args(FREE_PORTS).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (alive, dropped) = channel();
        let id = child.id();
        std::thread::spawn(move || {
            if dropped.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                signal("-KILL", id);
            }
        });
        Self(child, alive)
    }

    /// Its exit code, and what it said on stdout and on stderr, once it has ended.
    fn end(mut self) -> (Option<i32>, String, String) {
        let (mut said, mut errors) = (String::new(), String::new());
        self.0.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        self.0.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        (self.0.wait().unwrap().code(), said, errors)
    }

    /// Interrupts it, as Ctrl-C does, and gives its exit code and what it still said on stderr.
    fn interrupt(mut self) -> (Option<i32>, String) {
        signal("-INT", self.0.id());
        let mut errors = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        (self.0.wait().unwrap().code(), errors)
    }
}

#[test]
fn the_pages_are_printed_where_there_is_no_application() {
    let nowhere = tempfile::tempdir().unwrap();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = command(nowhere.path()).args(["--completions", shell]).output().unwrap();
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
        assert!(text(&output.stdout).contains("kubeconfig"), "{shell}");
    }
    let output = command(nowhere.path()).arg("--man").output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    assert!(text(&output.stdout).contains(".TH cloudevents-podgateway-client-provisioner 1"));
}

#[test]
fn a_page_that_cannot_be_written_is_an_error_and_one_that_nobody_reads_is_none() {
    let nowhere = tempfile::tempdir().unwrap();
    let run = |stdout: Stdio| command(nowhere.path()).arg("--man").stdout(stdout).output().unwrap();
    let full = run(File::options().write(true).open("/dev/full").unwrap().into());
    assert_eq!(full.status.code(), Some(1));
    assert!(text(&full.stderr).starts_with("error: cannot write to stdout: "), "{full:?}");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let unread = run(writer.into());
    assert_eq!((unread.status.code(), text(&unread.stderr)), (Some(0), ""));
}

fn check(directory: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = command(directory);
    command.arg("--check").args(FREE_PORTS).args(["--variable", "gateways=foo,nope"]).args(arguments);
    command.envs(environment.iter().copied()).output().unwrap()
}

#[test]
fn a_check_as_json_is_one_array() {
    let directory = application();
    let output = check(directory.path(), &["--output=json"], &[]);
    let rows: Value = serde_json::from_slice(&output.stdout).unwrap();
    let foo = json!({
        "gateway": "foo", "injected": true, "address": "pod-gateway-foo.gateway-system.svc.cluster.local",
        "problem": null, "advice": [],
    });
    assert_eq!(rows[0], foo);
    assert_eq!((&rows[1]["injected"], &rows[1]["address"]), (&json!(false), &Value::Null));
    assert!(rows[1]["problem"].as_str().unwrap().starts_with("GatewayNotInjected: "), "{rows}");
    assert_eq!(text(&output.stderr), "error: 1 of 2 gateways can't take clients\n");
    assert_eq!((rows.as_array().unwrap().len(), output.status.code()), (2, Some(1)));
}

#[test]
fn there_are_colours_only_where_somebody_would_see_them() {
    let directory = application();
    let escapes = |arguments: &[&str], environment: &[(&str, &str)]| {
        let output = check(directory.path(), arguments, environment);
        [&output.stdout, &output.stderr].map(|bytes| bytes.iter().filter(|byte| **byte == 0x1b).count())
    };
    assert_eq!(escapes(&[], &[]), [0, 0]);
    assert_eq!(escapes(&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]), [0, 0]);
    assert_eq!(escapes(&["--output=json"], &[("CLICOLOR_FORCE", "1")])[0], 0);
    let forced = escapes(&[], &[("CLICOLOR_FORCE", "1")]);
    assert!(forced[0] >= 4 && forced[1] > 0, "{forced:?}");
}

#[tokio::test]
async fn what_happens_is_an_object_a_line_after_the_addresses() {
    let directory = application();
    let mut process = Process::start(command(directory.path()).args(["--output", "json"]));
    let lines = BufReader::new(process.0.stdout.take().unwrap()).lines();
    let mut lines = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let addresses = lines.next().unwrap();
    assert!(addresses["kubernetes"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{addresses}");
    assert!(addresses["provisioner"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{addresses}");
    let accepted = Reply::from(addresses["broker"].as_str().unwrap(), pending("1", "foo")).await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED);
    // Steps of an event and changes of a Pod are in order each, but not among each other.
    let mut said: Vec<Value> = Vec::new();
    let kinds = ["received", "podCreated", "podReleased", "delivered", "reply"];
    while !kinds.iter().all(|kind| said.iter().any(|line| line["kind"] == *kind)) {
        said.push(lines.next().unwrap());
    }
    let of = |kind: &str| said.iter().find(|line| line["kind"] == kind).unwrap();
    assert_eq!(of("received")["event"]["data"], json!({"gateway_name": "foo"}));
    assert_eq!(of("reply")["type"], "io.podgateway.client.scheduling.done");
    assert_eq!(of("podCreated")["pod"]["metadata"]["namespace"], "default");
    assert_eq!(of("podReleased")["pod"]["spec"].get("schedulingGates"), None);
    assert!(said.iter().all(|line| line["at"].is_string()));
    assert_eq!(process.interrupt().0, Some(0));
}

#[test]
fn a_cluster_that_is_silent_is_waited_for_and_then_given_up() {
    let directory = application();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let kubeconfig = kubeconfig(directory.path(), &url);
    let mut command = command(directory.path());
    command.arg("--kubeconfig").arg(kubeconfig).args(["--variable", "kube_api_timeout=1s"]);
    let (code, said, errors) = Process::start(&mut command).end();
    let error = format!("error: no answer from {url} within 2 s: it is silent; is this machine in its network?");
    let lines: Vec<_> = errors.lines().filter(|line| !line.starts_with("compiling")).collect();
    assert_eq!((lines.len(), said.as_str(), code), (3, "", Some(1)), "{lines:?}");
    assert_eq!((lines[0], lines[2]), (format!("waiting for {url} …").as_str(), error.as_str()), "{lines:?}");
    assert!(lines[1].starts_with(&format!("waiting for {url}: ")), "{lines:?}");
}

#[test]
fn a_cluster_that_is_not_trusted_is_no_reason_to_wait() {
    let directory = application();
    let untrusted = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", untrusted.local_addr().unwrap());
    // Whoever answers has a certificate that nobody vouches for.
    let answering = std::thread::spawn(move || answer_tls(untrusted));
    let kubeconfig = kubeconfig(directory.path(), &url);
    let (code, _, errors) = Process::start(command(directory.path()).arg("--kubeconfig").arg(kubeconfig)).end();
    assert_eq!(code, Some(1));
    assert!(errors.contains(&format!("error: no answer from {url}: there is no TLS with it")), "{errors}");
    answering.join().unwrap();
}

/// Answers one connection with a certificate of its own making, as far as the other side lets it.
fn answer_tls(listener: TcpListener) {
    let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
    let mut connection = rustls::ServerConnection::new(config.into()).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    _ = connection.complete_io(&mut stream);
}

// The command waits for the peer, and the test for the command.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_comes_up_late_is_enough() {
    let peer = Peer::start(vec![fault("GET", || Answer::Close), json_step("GET", 403, |_| json!({}))]).await;
    let directory = application();
    let kubeconfig = kubeconfig(directory.path(), &peer.url());
    let mut process = Process::start(command(directory.path()).arg("--kubeconfig").arg(kubeconfig));
    let mut head = String::new();
    let mut stdout = BufReader::new(process.0.stdout.take().unwrap());
    while !head.contains("Ctrl-C stops it.") {
        assert_ne!(stdout.read_line(&mut head).unwrap(), 0, "{head}");
    }
    assert!(head.contains(&peer.url()), "{head}");
    assert!(peer.finish().iter().all(|call| call.path == "/version" && !call.headers.contains_key("authorization")));
    assert_eq!(process.interrupt().0, Some(0));
}

#[test]
fn what_is_waited_for_can_be_interrupted() {
    let directory = application();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let kubeconfig = kubeconfig(directory.path(), &format!("http://{}", silent.local_addr().unwrap()));
    let mut process = Process::start(command(directory.path()).arg("--kubeconfig").arg(kubeconfig));
    let mut line = String::new();
    let mut stderr = BufReader::new(process.0.stderr.take().unwrap());
    while !line.starts_with("waiting for") {
        line.clear();
        assert_ne!(stderr.read_line(&mut line).unwrap(), 0);
    }
    process.0.stderr = Some(stderr.into_inner());
    assert_eq!(process.interrupt(), (Some(1), "error: stopped before it was done\n".to_owned()));
}
