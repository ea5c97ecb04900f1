//! The fuzz targets for libFuzzer: the environment variable `FUZZ_TARGET` says which. `make fuzz` runs them all.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
mod target {
    use std::sync::LazyLock;

    use properties::targets::{ALL, Target};

    static TARGET: LazyLock<Target> = LazyLock::new(|| {
        let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names the target");
        ALL.into_iter().find(|target| target.0 == name).expect("FUZZ_TARGET is one of the targets")
    });

    libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET.1(data));
}

/// Without instrumentation there is no engine: the names of the targets are all there is to have.
#[cfg(not(fuzzing))]
fn main() {
    properties::targets::ALL.iter().for_each(|(name, _)| println!("{name}"));
}
