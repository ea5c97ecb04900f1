//! What holds for every input: test vectors, the invariants of answers, and the fuzz targets.
//!
//! - [`vectors`] reads `tests/vectors/`, requests and names with what any implementation has to make of them;
//! - [`targets`] are functions over arbitrary bytes that panic where a promise is broken. A test replays their corpus,
//!   `tests/fuzz/corpus/`, and `make fuzz` hands them to libFuzzer;
//! - [`answers`] says what every answer of the component looks like, whatever was asked and whatever the API said;
//! - [`setup`] is what they share.
//!
//! The property tests themselves are in `tests/`.

pub mod answers;
pub mod setup;
pub mod targets;
pub mod vectors;
