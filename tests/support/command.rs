//! The command as a user runs it, on free ports, until it is dropped.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};

use crate::provisioner::repository;

/// Every address of the command on a port that is free.
#[rustfmt::skip]
pub const FREE_PORTS: [&str; 8] = [
    "--listen", "127.0.0.1:0",
    "--broker-listen", "127.0.0.1:0",
    "--kubernetes-listen", "127.0.0.1:0",
    "--page-listen", "127.0.0.1:0",
];

/// Where cargo builds: this test lies in `deps` below it.
fn built() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a file");
    test.ancestors().nth(2).expect("it lies in target/debug/deps").to_owned()
}

/// The program that `make build` builds.
///
/// # Panics
/// When the test doesn't know where it is itself.
pub fn program() -> PathBuf {
    built().join("cloudevents-podgateway-client-provisioner")
}

/// The command that `make build` builds, to be run in `directory`.
///
/// # Panics
/// When the test doesn't know where it is itself.
pub fn command(directory: &Path) -> Command {
    let mut command = Command::new(program());
    command.current_dir(directory).env_remove("RUST_BACKTRACE").stdin(Stdio::null());
    // What it compiles is kept with what cargo does, not where the user's is.
    command.env("XDG_CACHE_HOME", built().join("cache"));
    command
}

/// A directory with the application in it, to be broken by a test.
///
/// # Panics
/// When the component isn't built.
pub fn application() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("there is room for an application");
    let copy = |name: &str| {
        let to = directory.path().join(name);
        std::fs::create_dir_all(to.parent().expect("it lies in the directory")).expect("a directory can be made");
        std::fs::copy(repository().join(name), to)
            .unwrap_or_else(|error| panic!("{name}: {error} (make test builds the component first)"));
    };
    copy("spin.toml");
    copy("serviceaccount/README.md");
    copy("oidc/README.md");
    copy("target/wasm32-wasip2/release/provisioner.wasm");
    directory
}

/// The command, running; it is stopped when it is dropped.
pub struct Running {
    child: Child,
    head: String,
    /// What else it prints on stdout, and what on stderr: read all the time, for a pipe that is full would stop it.
    rest: Vec<JoinHandle<String>>,
}

fn read_to_end(mut output: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut text = String::new();
        output.read_to_string(&mut text).expect("it prints text");
        text
    })
}

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

impl Running {
    /// Starts it in `directory` on free ports, and waits until it says that it runs.
    ///
    /// # Panics
    /// When it ends before that.
    pub fn start(directory: &Path, arguments: &[&str]) -> Self {
        Self::of(command(directory), arguments)
    }

    /// The same for a [`command`] to which something was done.
    ///
    /// # Panics
    /// When it ends before it runs.
    pub fn of(mut command: Command, arguments: &[&str]) -> Self {
        command.args(FREE_PORTS).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the command is built (make test builds it first)");
        let mut stdout = BufReader::new(child.stdout.take().expect("its output is piped"));
        let stderr = read_to_end(child.stderr.take().expect("its errors are piped"));
        let mut head = String::new();
        while !head.contains("Ctrl-C stops it.") {
            let read = stdout.read_line(&mut head).expect("it prints text");
            assert_ne!(read, 0, "{head}");
        }
        Self { child, head, rest: vec![stderr, read_to_end(stdout)] }
    }

    /// The address on the line that begins with `what`.
    ///
    /// # Panics
    /// When there is no such line.
    pub fn address(&self, what: &str) -> String {
        let line = self.head.lines().find(|line| line.starts_with(what));
        let address = line.and_then(|line| line.split_whitespace().nth(1));
        address.unwrap_or_else(|| panic!("no {what} in {}", self.head)).to_owned()
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Interrupts it, as Ctrl-C does, and gives its exit code and all that it printed.
    ///
    /// # Panics
    /// When it prints what is no text.
    pub fn interrupt(mut self) -> (Option<i32>, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().is_ok_and(|status| status.success()));
        let code = self.child.wait().expect("it has ended").code();
        let mut output = std::mem::take(&mut self.head);
        while let Some(rest) = self.rest.pop() {
            output += &rest.join().expect("it prints text");
        }
        (code, output)
    }
}
