//! The page of the command in a real browser: Debian's Chromium, driven by its own driver.
//!
//! `make e2e` runs this. Each test has a command and a window of its own. Where there is no Chromium it says so and
//! is no success in CI. The command line is `cargo test`'s: a filter, `--list`.

mod browser;
mod looks;
mod sending;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};

use browser::{Driver, Test};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(2));
    let runtime = tokio::runtime::Runtime::new().expect("this machine has threads");
    let driver = Driver::start();
    let tests = sending::tests().into_iter().chain(looks::tests());
    let trials = tests.map(|test| trial(test, driver.clone().ok(), runtime.handle().clone())).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if let Err(why) = driver {
        println!("NOT RUN: the tests of the page: {why}");
        // Whoever merges by what CI says must not take this for a success.
        return ExitCode::from(u8::from(std::env::var_os("CI").is_some()));
    }
    conclusion.exit_code()
}

fn trial(test: Test, driver: Option<Arc<Driver>>, runtime: tokio::runtime::Handle) -> Trial {
    let is_ignored = driver.is_none();
    let run = move || {
        let driver = driver.expect("the test is ignored without one");
        runtime.block_on(driver.run(test.run));
        Ok(())
    };
    Trial::test(test.name, run).with_ignored_flag(is_ignored)
}
