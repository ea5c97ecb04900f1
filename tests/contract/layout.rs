//! The component's source is laid out as `src/lib.rs` says: data goes one way, and the core does no input and no output.

use std::fs;
use std::path::{Path, PathBuf};

use tests::provisioner::repository;

/// What reads or writes, or tells the time, wherever it stands in code.
const IMPURE: [&str; 9] =
    ["fs::", "net::", "env::", "process::", "Instant", "SystemTime", "Utc::now", "spin_sdk", "wasi::"];
/// What would hide the names that are imported.
const HIDDEN: [&str; 2] = ["crate::{", "crate::*"];

/// The files of a module, but for its unit tests.
fn sources(path: &Path) -> Vec<PathBuf> {
    if path.ends_with("tests.rs") || path.ends_with("tests") || !path.exists() {
        return Vec::new();
    }
    let Ok(entries) = fs::read_dir(path) else { return vec![path.to_owned()] };
    entries.flat_map(|entry| sources(&entry.unwrap().path())).collect()
}

#[test]
fn a_module_uses_only_those_above_it_and_the_adapter_alone_reads_writes_or_tells_the_time() {
    let list = fs::read_to_string(repository().join("src/lib.rs")).unwrap();
    let declared = list.lines().filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod "));
    let modules: Vec<_> = declared.map(|name| name.trim_end_matches(';')).collect();
    for (place, module) in modules.iter().enumerate() {
        let below = modules[place + 1..].iter().flat_map(|name| ["::", ";"].map(|end| format!("crate::{name}{end}")));
        let impure = if *module == "component" { &[][..] } else { &IMPURE };
        let banned: Vec<_> = below.chain(impure.iter().chain(&HIDDEN).map(|word| word.to_string())).collect();
        let root = repository().join("src").join(module);
        for path in [root.with_extension("rs"), root].iter().flat_map(|path| sources(path)) {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.lines().map(str::trim_start).filter(|line| !line.starts_with("//")).collect::<String>();
            let found: Vec<_> = banned.iter().filter(|word| code.contains(*word)).collect();
            assert!(found.is_empty(), "{} uses {found:?}", path.display());
        }
    }
}
