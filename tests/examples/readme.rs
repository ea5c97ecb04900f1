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

/// A command line at the root of the repository, with these variables in its environment and no `K_SINK` of its own.
pub fn shell(line: &str, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec {line}")]).current_dir(repository()).stdin(Stdio::null());
    // A broker on this machine is reached without one.
    for proxy in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        if line.contains("http://127.0.0.1") || !environment.is_empty() {
            command.env_remove(proxy);
        }
    }
    command.env_remove("K_SINK").envs(environment.iter().copied());
    command
}

/// Runs a command line to its end.
pub fn end(line: &str, environment: &[(&str, &str)]) -> Ended {
    let output = shell(line, environment).output().expect("there is a shell");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// What a command line prints.
///
/// # Errors
/// What it says when it fails.
pub fn run(line: &str, environment: &[(&str, &str)]) -> Result<String, String> {
    match end(line, environment) {
        Ended { code: Some(0), stdout, .. } => Ok(stdout),
        Ended { stdout, stderr, .. } => Err(format!("{stdout}{stderr}").trim().to_owned()),
    }
}
