//! The programs of `examples/`, by the commands of its README, against the command that `make run` runs; and sdk-go.
//!
//! They need toolchains that the rest does not. Where one is missing, or its packages can't be had, its tests are ignored,
//! and the last lines say so: `NOT RUN: …`. A program that does not build is a failure.

mod broker;
mod golang;
mod producers;
mod readme;
mod renderer;
mod waiting;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// How many tests run at once: each has a provisioner of its own, which compiles the component.
const AT_ONCE: usize = 2;

/// A test: what it is called, and what it does; it panics when it fails.
type Test = (&'static str, Box<dyn FnOnce() + Send>);

/// The tests that need the same things.
struct Part {
    name: &'static str,
    /// Shell commands that have to work here; else the part can't be run.
    needs: Vec<String>,
    /// Shell commands that build it; it is broken when they fail.
    builds: Vec<String>,
    tests: Vec<Test>,
}

/// The first of these commands that fails, and what it says.
fn failure(commands: &[String]) -> Option<String> {
    commands.iter().find_map(|command| readme::run(command, "").err().map(|why| format!("{command}: {why}")))
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(AT_ONCE));
    let (mut trials, mut not_run) = (Vec::new(), Vec::new());
    for part in producers::parts().into_iter().chain([waiting::part(), golang::part(), renderer::part()]) {
        let tests: Vec<_> =
            part.tests.into_iter().map(|(name, test)| (format!("{}: {name}", part.name), test)).collect();
        let is_wanted = |(name, _): &(String, _)| arguments.filter.as_ref().is_none_or(|filter| name.contains(filter));
        let is_run = !arguments.list && tests.iter().any(is_wanted);
        let lacks = is_run.then(|| failure(&part.needs)).flatten();
        if let Some(why) = (is_run && lacks.is_none()).then(|| failure(&part.builds)).flatten() {
            panic!("{} can't be built: {why}", part.name);
        }
        for (name, test) in tests {
            let run = move || {
                test();
                Ok(())
            };
            trials.push(Trial::test(name, run).with_ignored_flag(lacks.is_some()));
        }
        not_run.extend(lacks.map(|why| format!("NOT RUN: {}: {}", part.name, why.replace('\n', " "))));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    for line in not_run {
        println!("{line}");
    }
    conclusion.exit_code()
}
