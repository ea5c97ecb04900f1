//! The documents say what is: every link leads somewhere, every example and table holds, and what can be generated is.
//!
//! `make docs` writes the generated parts anew.

mod asyncapi;
mod configuration;
mod contract;
mod files;
mod log;
mod schemas;

use tests::provisioner::repository;

/// A document of the repository.
fn document(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
