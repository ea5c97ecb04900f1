//! The commands of `examples/README.md`, and how they are run.

use std::process::{Command, Stdio};

use tests::markdown::Page;
use tests::provisioner::repository;

/// The Broker of `make run`, as the README writes it.
pub const BROKER: &str = "http://127.0.0.1:8080/default/default";

/// The commands of the shell blocks under a heading, a line each.
///
/// # Panics
/// When there are none.
pub fn commands(heading: &str) -> Vec<String> {
    let blocks = Page::read("examples/README.md").blocks.into_iter();
    let blocks = blocks.filter(|(above, word, _)| above == heading && word == "sh").map(|(_, _, text)| text);
    let lines: Vec<String> = blocks.flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    assert!(!lines.is_empty(), "no command under {heading:?}");
    lines
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// A command line at the root of the repository, with this broker in `K_SINK`, or without that variable.
pub fn shell(line: &str, sink: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec {line}")]).current_dir(repository()).stdin(Stdio::null()).env_remove("K_SINK");
    if !sink.is_empty() {
        command.env("K_SINK", sink);
    }
    // A broker on this machine is reached without one.
    if line.contains("http://127.0.0.1") || !sink.is_empty() {
        ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"].iter().for_each(|proxy| _ = command.env_remove(proxy));
    }
    command
}

/// Runs a command line to its end.
pub fn end(line: &str, sink: &str) -> Ended {
    let output = shell(line, sink).output().expect("there is a shell");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// What a command line prints.
///
/// # Errors
/// What it says when it fails.
pub fn run(line: &str, sink: &str) -> Result<String, String> {
    match end(line, sink) {
        Ended { code: Some(0), stdout, .. } => Ok(stdout),
        Ended { stdout, stderr, .. } => Err(format!("{stdout}{stderr}").trim().to_owned()),
    }
}

/// Runs a command line that ends with this code, prints nothing, and says each of these texts.
#[track_caller]
pub fn fail(line: &str, sink: &str, code: i32, says: &[&str]) {
    let ended = end(line, sink);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(code), ""), "{line}: {ended:?}");
    assert!(says.iter().all(|text| ended.stderr.contains(text)), "{line}: not all of {says:?} in {ended:?}");
}
