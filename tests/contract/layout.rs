//! The component's source is laid out as `src/lib.rs` says: data goes one way, and the core does no input and no output.

use std::fs;
use std::path::{Path, PathBuf};

use tests::provisioner::repository;

/// What reads or writes, or tells the time, wherever it stands in code.
const IMPURE: [&str; 9] =
    ["fs::", "net::", "env::", "process::", "Instant", "SystemTime", "Utc::now", "spin_sdk", "wasi::"];

/// The modules in the order of `src/lib.rs`.
fn modules() -> Vec<String> {
    let text = fs::read_to_string(repository().join("src/lib.rs")).unwrap();
    let declared = text.lines().filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod "));
    declared.map(|name| name.trim_end_matches(';').to_owned()).collect()
}

/// The files of a module, but for its unit tests.
fn sources(path: &Path) -> Vec<PathBuf> {
    if path.ends_with("tests.rs") || path.ends_with("tests") {
        return Vec::new();
    }
    let Ok(entries) = fs::read_dir(path) else { return vec![path.to_owned()] };
    entries.flat_map(|entry| sources(&entry.unwrap().path())).collect()
}

/// Each file with its module's place in the list, its code and its comments.
fn files() -> Vec<(usize, PathBuf, String, String)> {
    let mut files = Vec::new();
    for (place, module) in modules().iter().enumerate() {
        let root = repository().join("src").join(module);
        let paths = [root.with_extension("rs"), root].into_iter().filter(|path| path.exists());
        for path in paths.flat_map(|path| sources(&path)) {
            let text = fs::read_to_string(&path).unwrap();
            let (comments, code): (Vec<_>, Vec<_>) =
                text.lines().map(str::trim_start).partition(|line| line.starts_with("//"));
            let comments = comments.iter().map(|line| line.trim_start_matches(['/', '!', ' '])).collect::<Vec<_>>();
            files.push((place, path, code.join("\n"), comments.join(" ")));
        }
    }
    files
}

#[test]
fn a_module_uses_only_those_above_it_in_the_list() {
    let modules = modules();
    for (place, path, code, _) in files() {
        // Each import by its own name, and nothing from the root, so that all of them are seen.
        let up = if path.parent().is_some_and(|folder| folder.ends_with("src")) { "super::" } else { "super::super::" };
        for hidden in ["crate::{", "crate::*", up] {
            assert!(!code.contains(hidden), "{} uses {hidden}", path.display());
        }
        for below in &modules[place + 1..] {
            let is_used = ["::", ";"].iter().any(|end| code.contains(&format!("crate::{below}{end}")));
            assert!(!is_used, "{} uses {below}, which is below it in src/lib.rs", path.display());
        }
    }
}

#[test]
fn nothing_but_the_adapter_reads_writes_or_tells_the_time() {
    for (_, path, code, _) in files().iter().filter(|(_, path, ..)| !path.ends_with("component.rs")) {
        let found: Vec<_> = IMPURE.iter().filter(|word| code.contains(*word)).collect();
        assert!(found.is_empty(), "{}: {found:?}", path.display());
    }
}

#[test]
fn a_comment_cites_documents_that_are_there_and_sections_that_they_have() {
    for (_, path, _, comments) in files() {
        for rest in comments.split("`docs/").skip(1) {
            let (name, after) = rest.split_once('`').unwrap();
            let document = fs::read_to_string(repository().join("docs").join(name));
            let document = document.unwrap_or_else(|error| panic!("{} cites docs/{name}: {error}", path.display()));
            // As in `docs/x.md`, "A".
            let section = after.strip_prefix(", \"").and_then(|rest| rest.split('"').next()).unwrap_or_default();
            let is_there = document.contains(&format!("# {section}\n")) || section.is_empty();
            assert!(is_there, "{} cites {section:?} of docs/{name}, which has no such section", path.display());
        }
    }
}
