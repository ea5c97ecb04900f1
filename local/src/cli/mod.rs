//! The command line: flags in, a provisioner with its surroundings out, and what happens to them as lines to read.

mod args;
mod check;
mod client;
mod console;
mod kubeconfig;
mod output;
mod progress;
mod run;
pub mod sources;
pub mod triggers;
mod webhooks;

pub use args::Args;
pub use output::print_error;
pub use run::run;
