//! A process of this program in a role. It ends when this is dropped.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child as Process, ChildStdin, ChildStdout, Command};

use crate::roles::Role;
use crate::setup::PATIENCE;

/// The process.
pub struct Child {
    process: Process,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    log: PathBuf,
    /// What it said when it was ready.
    pub ready: Value,
    /// When it was started.
    pub begin: Instant,
}

impl Child {
    /// Starts it and waits until it is ready. What it writes to stderr is appended to `log`.
    ///
    /// # Panics
    /// When it ends before that; its last words are in the message.
    pub async fn start(role: &Role, log: &Path) -> Self {
        let file = std::fs::File::options().create(true).append(true).open(log).expect("a log can be written");
        let begin = Instant::now();
        let mut process = Command::new(std::env::current_exe().expect("this program has a file"))
            .arg("role")
            .arg(serde_json::to_string(role).expect("a role is JSON"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .expect("this program can be started");
        let orders = process.stdin.take().expect("its input is piped");
        let answers = BufReader::new(process.stdout.take().expect("its output is piped")).lines();
        let mut child = Self { process, orders, answers, log: log.to_owned(), ready: Value::Null, begin };
        child.ready = child.answer().await;
        child
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        self.ready["url"].as_str().expect("it says where it is")
    }

    /// Tells it something, and gives what it says to that.
    pub async fn ask(&mut self, order: &str) -> Value {
        self.orders.write_all(format!("{order}\n").as_bytes()).await.expect("it runs");
        self.answer().await
    }

    async fn answer(&mut self) -> Value {
        let line = tokio::time::timeout(PATIENCE, self.answers.next_line()).await.expect("it answers in time");
        let Some(line) = line.expect("it says text") else { panic!("it ended early: {}", self.last_words()) };
        serde_json::from_str(&line).expect("it says JSON")
    }

    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().rev().take(8).collect::<Vec<_>>().join(" < ")
    }

    /// How many TCP connections to this port it has open.
    pub fn connections(&self, port: u16) -> usize {
        connections(self.process.id().expect("it runs"), port)
    }

    /// Its resident memory, in MB: now, and the most there ever was.
    pub fn memory(&self) -> (f64, f64) {
        let id = self.process.id().expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name));
            let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
            number.unwrap_or_default() / 1e3
        };
        (field("VmRSS:"), field("VmHWM:"))
    }

    /// The processor time that it has had so far.
    pub fn processor_time(&self) -> Duration {
        let id = self.process.id().expect("it runs");
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let ticks = |n: usize| after_name.split_whitespace().nth(n).and_then(|text| text.parse::<u64>().ok());
        // utime and stime, in hundredths of a second.
        Duration::from_millis((ticks(11).unwrap_or_default() + ticks(12).unwrap_or_default()) * 10)
    }
}

/// How many TCP connections to this port of the loopback interface a process has open.
pub fn connections(process: u32, port: u16) -> usize {
    let sockets = std::fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    let sockets: HashSet<_> =
        sockets.filter_map(|file| std::fs::read_link(file.path()).ok()?.to_str().map(str::to_owned)).collect();
    let table = std::fs::read_to_string(format!("/proc/{process}/net/tcp")).unwrap_or_default();
    let is_ours = |line: &&str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        // The peer's address, the state (01 is established) and the inode of the socket.
        matches!(fields[..], [_, _, peer, "01", _, _, _, _, _, inode, ..]
            if peer.ends_with(&format!(":{port:04X}")) && sockets.contains(&format!("socket:[{inode}]")))
    };
    table.lines().filter(is_ours).count()
}
