//! What an event costs: the built component in its host, the same core without WebAssembly, and the bare calls, side by
//! side against the same API.
//!
//! `bench run full|short [--apiserver] [--target URL] [--only PART] [--at N] [--rounds N]` measures, prints a table and writes
//! JSON to `target/bench/`. With `--at` it looks at one row of the comparison, as closely as `--rounds` says.
//! `bench run gateways` measures what the gateways' webhooks cost a real API server, and nothing else.
//! `bench docs` writes the numbers of the last run into `docs/performance.md`. Every target is a process of its own:
//! this program starts itself in a role. Load goes to the loopback interface and nowhere else, and ends.

mod broker;
mod child;
mod client;
mod floor;
mod gateways;
mod load;
mod measure;
mod native;
mod peer;
mod plan;
mod report;
mod review;
mod roles;
mod rounds;
mod setup;
mod spread;
mod tls;

use std::process::ExitCode;

use plan::Plan;

const USAGE: &str = "usage: bench run full|short|gateways [--apiserver] [--target http://127.0.0.1:PORT] \
                     [--only compare|review|start|memory|burst|growth] [--at AT_ONCE] [--rounds ROUNDS]\n       bench docs";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Runtime::new().expect("this machine has threads");
    let outcome = match words.as_slice() {
        ["role", role] => {
            runtime.block_on(roles::play(serde_json::from_str(role).expect("it starts itself")));
            Ok(())
        }
        ["run", rest @ ..] => Plan::parse(rest).map(|plan| runtime.block_on(measure::run(&plan))),
        ["docs"] => report::write_document(),
        _ => Err(USAGE.to_owned()),
    };
    // A read of the input that never ends must not hold a role up.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}
