//! The command: runs the provisioner on this machine.

use std::process::ExitCode;

use clap::Parser;
use local::cli::{Args, print_error, run};

/// Exit code 2 is for a command line that can't be understood, 1 for what goes wrong after that.
fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(&format_args!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
