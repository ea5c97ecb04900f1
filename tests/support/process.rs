//! Processes that end when they should, and in any case when the tests do.
//!
//! A process is ended by its id when its [`Process`] is dropped, so also by a panic. Should the tests themselves be
//! killed, Linux ends it: it asks for that at its start. The thread that starts it has to live as long as it does
//! (Linux counts the parent's thread, not the parent), so one thread starts them all and then waits for more.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

type Order = (Command, Sender<io::Result<Child>>);

/// A running process, whose output goes to a file.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program` and writes what it says to `log`, behind what is there already.
    ///
    /// # Panics
    /// When it can't be started.
    pub fn start(program: &Path, arguments: &[String], log: PathBuf) -> Self {
        let mut command = Command::new(program);
        let file = File::options().create(true).append(true).open(&log).expect("a log can be written");
        command.args(arguments).stdin(Stdio::null()).stderr(file.try_clone().expect("a file has a second handle"));
        command.stdout(file);
        let child = spawn(command).unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()));
        Self { child, log }
    }

    /// Ends it where it stands, as a crash would.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        _ = self.child.kill();
        _ = self.child.wait();
    }

    /// Everything that it said.
    pub fn output(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(command: Command) -> io::Result<Child> {
    static KEEPER: OnceLock<Sender<Order>> = OnceLock::new();
    let keeper = KEEPER.get_or_init(|| {
        let (orders, received) = channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in received {
                // Whoever ordered it waits for it.
                _ = answer.send(end_with_the_tests(&mut command).spawn());
            }
        });
        orders
    });
    let (answer, child) = channel();
    keeper.send((command, answer)).expect("the keeper never ends");
    child.recv().expect("the keeper answers every order")
}

#[cfg(target_os = "linux")]
fn end_with_the_tests(command: &mut Command) -> &mut Command {
    use std::os::unix::process::CommandExt;
    let ask = || match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    };
    // SAFETY: between fork and exec, `ask` makes one system call; it allocates nothing and takes no lock.
    unsafe { command.pre_exec(ask) }
}

#[cfg(not(target_os = "linux"))]
fn end_with_the_tests(command: &mut Command) -> &mut Command {
    command
}
