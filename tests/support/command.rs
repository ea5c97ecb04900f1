//! The command as a user runs it, on free ports, until it is dropped.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::cluster::client::PATIENCE;
use crate::events::{Delivery, Reply, bare};
use crate::provisioner::repository;

/// Every address of the command on a port that is free.
#[rustfmt::skip]
pub const FREE_PORTS: [&str; 8] = [
    "--listen", "127.0.0.1:0", "--broker-listen", "127.0.0.1:0",
    "--kubernetes-listen", "127.0.0.1:0", "--page-listen", "127.0.0.1:0",
];

/// The names of what a program prints.
const OUTPUTS: [&str; 2] = ["stdout", "stderr"];

/// The program that `make build` builds.
///
/// # Panics
/// When the test doesn't know where it is itself.
pub fn program() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a file");
    test.ancestors().nth(2).expect("it lies in target/debug/deps").join("cloudevents-podgateway-client-provisioner")
}

/// The command that `make build` builds, to be run in the repository.
pub fn command() -> Command {
    let mut command = Command::new(program());
    // A variable that isn't text is nobody's business.
    command.env("LATIN", OsStr::from_bytes(b"\xff"));
    command.current_dir(repository()).env_remove("RUST_BACKTRACE").stdin(Stdio::null());
    command
}

/// A program that runs, and what it says; it is stopped when it is dropped.
pub struct Running {
    child: Child,
    /// Where it prints to, and what it keeps for a while: killed, it wouldn't take that away itself.
    directory: TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

impl Running {
    /// Starts the command on free ports, and waits until it says that it runs.
    pub fn start(arguments: &[&str]) -> Self {
        let mut running = Self::spawn(command().args(FREE_PORTS).args(arguments));
        running.until(|said, _| said.contains("Ctrl-C stops it."));
        running
    }

    /// Starts any program, and follows what it says.
    ///
    /// # Panics
    /// When there is no such program.
    pub fn spawn(command: &mut Command) -> Self {
        let directory = tempfile::tempdir().expect("there is room for what it says");
        let [stdout, stderr] = OUTPUTS.map(|name| File::create(directory.path().join(name)).expect("a new file"));
        let child = command.env("TMPDIR", directory.path()).stdout(stdout).stderr(stderr).spawn();
        Self { child: child.expect("the program is there (make test builds the command first)"), directory }
    }

    /// The lines that it has printed so far on stdout, and on stderr.
    fn so_far(&self) -> [String; 2] {
        OUTPUTS.map(|name| {
            let bytes = std::fs::read(self.directory.path().join(name)).expect("the file is there");
            String::from_utf8_lossy(&bytes).split_inclusive('\n').filter(|line| line.ends_with('\n')).collect()
        })
    }

    /// Waits until what it has printed on stdout and on stderr is as it should be, and gives that.
    ///
    /// # Panics
    /// When that doesn't come, or it ends before.
    pub fn until(&mut self, is_so: impl Fn(&str, &str) -> bool) -> [String; 2] {
        let begin = Instant::now();
        loop {
            let has_ended = self.child.try_wait().expect("it can be waited for").is_some();
            let [said, errors] = self.so_far();
            if is_so(&said, &errors) {
                return [said, errors];
            }
            assert!(!has_ended && begin.elapsed() < PATIENCE, "in vain: {said}{errors}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The second word of the line that begins with `what`: an address.
    ///
    /// # Panics
    /// When there is no such line.
    pub fn address(&self, what: &str) -> String {
        let [said, _] = self.so_far();
        let address = said.lines().find(|line| line.starts_with(what)).and_then(|line| line.split_whitespace().nth(1));
        address.unwrap_or_else(|| panic!("no {what} in {said}")).to_owned()
    }

    /// Its exit code, and all lines that it printed on stdout and on stderr, once it has ended.
    ///
    /// # Panics
    /// When it can't be waited for, or left a file behind.
    pub fn end(mut self) -> (Option<i32>, [String; 2]) {
        let code = self.child.wait().expect("it has ended").code();
        assert_eq!(std::fs::read_dir(self.directory.path()).expect("it is there").count(), OUTPUTS.len());
        (code, self.so_far())
    }

    /// Sends it a signal, such as Ctrl-C's `-INT`, and gives the same.
    ///
    /// # Panics
    /// When it has ended already.
    pub fn stop(self, signal: &str) -> (Option<i32>, [String; 2]) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().is_ok_and(|status| status.success()));
        self.end()
    }

    /// The Pods in the clients' namespace of the command's own API.
    pub async fn pods(&self) -> Vec<Value> {
        let list = Reply::from(&format!("{}/api/v1/namespaces/default/pods", self.address("kubernetes")), get()).await;
        list.json()["items"].as_array().cloned().unwrap_or_default()
    }

    /// Waits for events that the command's broker takes in: those that are meant, once there are as many.
    ///
    /// # Panics
    /// When they don't come.
    pub async fn received(&self, count: usize, is_meant: impl Fn(&Value) -> bool) -> Vec<Value> {
        let url = self.address("broker").replace("/default/default", "/events");
        let begin = Instant::now();
        loop {
            let steps = Reply::from(&url, get()).await.json();
            let received = steps.as_array().into_iter().flatten().filter(|step| step["kind"] == "received");
            let meant: Vec<_> = received.map(|step| step["event"].clone()).filter(&is_meant).collect();
            if meant.len() >= count {
                return meant;
            }
            assert!(begin.elapsed() < PATIENCE, "{count} events do not come: {steps:#}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn get() -> Delivery {
    bare("GET", "/")
}
