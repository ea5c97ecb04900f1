//! The command as a user runs it, with what it prints.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// Flags with which it disturbs nobody.
pub const FREE_PORTS: [&str; 6] =
    ["--listen", "127.0.0.1:0", "--broker-listen", "127.0.0.1:0", "--kubernetes-listen", "127.0.0.1:0"];

/// The built command, in a directory with the application in it.
pub fn command(directory: &Path) -> Command {
    let test = std::env::current_exe().expect("a test is a file");
    let debug = test.ancestors().nth(2).expect("a test is in target/debug/deps");
    let mut command = Command::new(debug.join("cloudevents-podgateway-client-provisioner"));
    command.current_dir(directory).env_remove("RUST_BACKTRACE").stdin(Stdio::null());
    command
}

/// The command, running; it is stopped when it is dropped.
pub struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    head: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

impl Running {
    /// Starts it on free ports, and waits until it has said where it is.
    ///
    /// # Panics
    /// When it ends before that.
    pub fn start(directory: &Path, arguments: &[&str]) -> Self {
        let mut command = command(directory);
        command.args(FREE_PORTS).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the command is built");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut running = Self { child, stdout, head: String::new() };
        while !running.head.contains("Ctrl-C stops it.") {
            let read = running.stdout.read_line(&mut running.head).expect("it prints UTF-8");
            if read == 0 {
                let errors = running.errors();
                panic!("it ended: {}{errors}", running.head);
            }
        }
        running
    }

    /// The address on the line that begins with `what`.
    pub fn address(&self, what: &str) -> String {
        let line = self.head.lines().find(|line| line.starts_with(what));
        let line = line.unwrap_or_else(|| panic!("no {what} in {}", self.head));
        line.split_whitespace().nth(1).expect("an address stands behind it").to_owned()
    }

    /// Interrupts it, as Ctrl-C does, and gives its exit code and all that it printed.
    pub fn interrupt(mut self) -> (Option<i32>, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().expect("there is a kill").success());
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("it prints UTF-8");
        let errors = self.errors();
        (self.child.wait().expect("it is a child").code(), format!("{}{rest}{errors}", self.head))
    }

    /// What it wrote to stderr, to its end.
    fn errors(&mut self) -> String {
        let mut errors = String::new();
        self.child.stderr.take().expect("it is piped").read_to_string(&mut errors).expect("it prints UTF-8");
        errors
    }
}
