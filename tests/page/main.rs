//! The page of the command in a real browser: Debian's Chromium, driven by its own driver.
//!
//! `make e2e` runs this. Each test has a command and a window of its own. Where there is no Chromium it says so and
//! is no success in CI. The command line is `cargo test`'s: a filter, `--list`.

mod browser;
mod looks;

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::Path;
use std::process::{Command, ExitCode};

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use libtest_mimic::{Arguments, Trial};
use tests::command::Running;

use browser::Page;

const DRIVER: &str = "/usr/bin/chromedriver";
const NOT_RUN: &str = "NOT RUN: the tests of the page: they need Chromium and its driver (Debian: apt-get install chromium \
                       chromium-driver)";

type Run = for<'a> fn(&'a mut Page) -> LocalBoxFuture<'a, ()>;

/// A test, which is named after its function.
type Test = (&'static str, Run);

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(2));
    let runtime = tokio::runtime::Runtime::new().expect("this machine has threads");
    let driver = Path::new(DRIVER).exists().then(|| {
        let mut driver = Running::spawn(Command::new(DRIVER).arg("--port=0"));
        let [said, _] = driver.until(|said, _| said.contains("successfully on port "));
        let port = said.split("successfully on port ").nth(1).and_then(|rest| rest.split('.').next());
        (format!("http://127.0.0.1:{}", port.expect("it says so")), driver)
    });
    let trial = |(name, test): Test| {
        let (url, runtime) = (driver.as_ref().map(|(url, _)| url.clone()), runtime.handle().clone());
        let run = move || {
            runtime.block_on(run(&url.expect("the test is ignored without one"), test));
            Ok(())
        };
        Trial::test(name.replace('_', " "), run).with_ignored_flag(driver.is_none())
    };
    let trials = looks::tests().into_iter().map(trial).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if driver.is_none() {
        println!("{NOT_RUN}");
        // Whoever merges by what CI says must not take this for a success.
        return ExitCode::from(u8::from(std::env::var_os("CI").is_some()));
    }
    conclusion.exit_code()
}

/// Runs a test in a browser that is closed whatever becomes of it.
async fn run(driver: &str, test: Run) {
    let mut page = Page::open(driver).await;
    let outcome = AssertUnwindSafe(test(&mut page)).catch_unwind().await;
    page.close().await;
    outcome.unwrap_or_else(|panic| resume_unwind(panic));
}
