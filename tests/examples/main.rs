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

impl Part {
    fn full_name(&self, test: &str) -> String {
        format!("{}: {test}", self.name)
    }

    fn is_wanted(&self, arguments: &Arguments) -> bool {
        let matches = |filter: &String| self.tests.iter().any(|(name, _)| self.full_name(name).contains(filter));
        !arguments.list && arguments.filter.as_ref().is_none_or(matches)
    }

    fn trials(self, is_ignored: bool, broken: Option<&str>) -> Vec<Trial> {
        let trial = |(name, test): Test| {
            let (name, broken) = (format!("{}: {name}", self.name), broken.map(str::to_owned));
            let run = move || match broken {
                Some(why) => Err(why.into()),
                None => {
                    test();
                    Ok(())
                }
            };
            Trial::test(name, run).with_ignored_flag(is_ignored)
        };
        self.tests.into_iter().map(trial).collect()
    }
}

/// The first of these commands that fails, and what it says.
fn failure(commands: &[String]) -> Option<String> {
    commands.iter().find_map(|command| readme::run(command, &[]).err().map(|why| format!("{command}: {why}")))
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(AT_ONCE));
    let (mut trials, mut not_run) = (Vec::new(), Vec::new());
    for part in producers::parts().into_iter().chain([waiting::part(), golang::part(), renderer::part()]) {
        let is_wanted = part.is_wanted(&arguments);
        let lacks = is_wanted.then(|| failure(&part.needs)).flatten();
        let broken = (is_wanted && lacks.is_none()).then(|| failure(&part.builds)).flatten();
        let is_ignored = lacks.is_some();
        not_run.extend(lacks.map(|why| format!("NOT RUN: {}: {}", part.name, why.replace('\n', " "))));
        trials.extend(part.trials(is_ignored, broken.as_deref()));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    for line in not_run {
        println!("{line}");
    }
    conclusion.exit_code()
}
