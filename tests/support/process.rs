//! Processes that end when they should, and in any case when the tests do.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A shell starts the program, and ends it by its id once the shell's own input ends: when the [`Process`] is dropped, or
/// when the tests have been killed.
const KEEPER: &str = r#""$0" "$@" </dev/null & cat; kill -9 $!; wait"#;

/// A running process, which ends when this is dropped.
pub struct Process(Child);

impl Process {
    /// Starts `program` and writes what it says to `log`, behind what is there already.
    ///
    /// # Panics
    /// When there is no such program.
    pub fn start(program: &Path, arguments: &[String], log: &Path) -> Self {
        assert!(program.exists(), "there is no {}: make e2e builds it", program.display());
        let stdout = File::options().create(true).append(true).open(log).expect("a log can be written");
        let stderr = stdout.try_clone().expect("a file has a second handle");
        let mut shell = Command::new("sh");
        shell.args(["-c", KEEPER]).arg(program).args(arguments).stdin(Stdio::piped()).stdout(stdout).stderr(stderr);
        Self(shell.spawn().expect("there is a shell"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        _ = self.0.wait();
    }
}
