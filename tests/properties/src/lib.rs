//! What holds for every input: test vectors, the invariants of answers, and the fuzz targets.
//!
//! - [`vectors`] reads `tests/vectors/`, requests and names with what any implementation has to make of them;
//! - [`targets`] are functions over arbitrary bytes that panic where a promise is broken. A test replays their corpus,
//!   `tests/fuzz/corpus/`, and `make fuzz` hands them to libFuzzer;
//! - [`answers`] says what every answer of the component looks like, whatever was asked and whatever the API said;
//! - [`wire`] reads what is written as a consumer does, and holds it against the CloudEvents SDK.
//!
//! The property tests themselves are in `tests/`. What they are about comes from `provisioner::testing`.

use std::path::PathBuf;

pub mod answers;
pub mod targets;
pub mod vectors;
pub mod wire;

/// The root of the repository.
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}
