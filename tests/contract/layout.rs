//! The component's source is laid out as `src/lib.rs` says: data goes one way, and the core does no input and no output.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use tests::provisioner::repository;

/// What reads or writes, or tells the time, wherever it stands in code.
const IMPURE: [&str; 9] =
    ["fs::", "net::", "env::", "process::", "Instant", "SystemTime", "Utc::now", "spin_sdk", "wasi::"];

/// The one module that may.
const ADAPTER: &str = "component";

/// A source file: its top-level module, its path below `src/`, and its text.
struct Source {
    module: String,
    path: String,
    text: String,
}

/// All of them but `lib.rs`, which lists the modules, and the unit tests.
fn sources() -> Vec<Source> {
    let root = repository().join("src");
    let files = files_below(&root).into_iter().map(|file| file.strip_prefix(&root).unwrap().to_owned());
    let files = files.filter(|path| !path.ends_with("lib.rs") && !path.iter().any(is_tests));
    let source = |path: PathBuf| {
        let text = fs::read_to_string(root.join(&path)).unwrap();
        let path = path.to_string_lossy().into_owned();
        Source { module: path.split('/').next().unwrap().trim_end_matches(".rs").to_owned(), path, text }
    };
    files.map(source).collect()
}

/// The unit tests of a module, in a file or in a folder.
fn is_tests(name: &OsStr) -> bool {
    name == "tests.rs" || name == "tests"
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// The modules in the order of `src/lib.rs`.
fn modules() -> Vec<String> {
    let text = fs::read_to_string(repository().join("src/lib.rs")).unwrap();
    let declared = text.lines().filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod "));
    declared.map(|name| name.trim_end_matches(';').to_owned()).collect()
}

/// The code of a file, without its comments.
fn code(text: &str) -> String {
    let lines = text.lines().map(|line| if line.trim_start().starts_with("//") { "" } else { line });
    lines.collect::<Vec<_>>().join("\n")
}

fn comments(text: &str) -> String {
    let lines = text.lines().map(str::trim_start).filter(|line| line.starts_with("//"));
    lines.map(|line| line.trim_start_matches(['/', '!']).trim()).collect::<Vec<_>>().join(" ")
}

/// The top-level modules that code names from the crate's root, alone or in a list.
fn used(code: &str) -> BTreeSet<&str> {
    let named = code.split("crate::").skip(1).flat_map(|rest| match rest.strip_prefix('{') {
        Some(list) => list.split('}').next().unwrap_or_default().split(',').collect(),
        None => vec![rest],
    });
    let names = named.filter_map(|path| path.trim().split(|c: char| !(c.is_alphanumeric() || c == '_')).next());
    names.filter(|name| !name.is_empty()).collect()
}

#[test]
fn a_module_uses_only_those_above_it_in_the_list() {
    let modules = modules();
    let place = |name: &str| modules.iter().position(|module| module == name);
    for Source { module, path, text } in sources() {
        let code = code(&text);
        let own = place(&module).unwrap_or_else(|| panic!("{path} belongs to no module of src/lib.rs"));
        for name in used(&code).into_iter().filter(|name| *name != module) {
            let other = place(name).unwrap_or_else(|| panic!("{path} uses crate::{name}, which is no module"));
            assert!(other < own, "{path} uses {name}, which is below {module} in src/lib.rs");
        }
        // From a module of the crate's root that is the root, and what is there has a name of its own.
        let is_top = !path.contains('/') || path.ends_with("/mod.rs");
        let up = if is_top { "super::" } else { "super::super::" };
        assert!(!code.contains(up), "{path} goes up by {up}");
    }
}

#[test]
fn nothing_but_the_adapter_reads_writes_or_tells_the_time() {
    for Source { module, path, text } in sources() {
        if module != ADAPTER {
            assert_eq!(impure(&code(&text)), [""; 0], "{path}");
        }
    }
}

fn impure(code: &str) -> Vec<&'static str> {
    IMPURE.into_iter().filter(|word| code.contains(word)).collect()
}

/// The tests above see what they are to see.
#[test]
fn an_import_is_seen_however_it_is_written() {
    let code = code("// crate::e\nuse crate::{b, d::C,\n};\npub use crate::f::G;\nfn x() { crate::h::y() }\n");
    assert_eq!(used(&code).into_iter().collect::<Vec<_>>(), ["b", "d", "f", "h"]);
    assert_eq!(impure("use std::{fmt, fs, time::Instant};\nfs::read()"), ["fs::", "Instant"]);
}

#[test]
fn a_comment_cites_documents_that_are_there_and_sections_that_they_have() {
    for Source { path, text, .. } in sources() {
        let comments = comments(&text);
        let lower = comments.to_lowercase();
        for cited in ["design,", "design section", "design's", "(design"] {
            assert!(!lower.contains(cited), "{path} cites {cited:?}, which is not in the repository");
        }
        for rest in comments.split("`docs/").skip(1) {
            let (name, after) = rest.split_once('`').unwrap();
            let document = fs::read_to_string(repository().join("docs").join(name));
            let document = document.unwrap_or_else(|error| panic!("{path} cites docs/{name}: {error}"));
            // As in `docs/x.md`, "A".
            let Some(section) = after.strip_prefix(", \"").and_then(|rest| rest.split('"').next()) else { continue };
            let mut headings = document.lines().filter(|line| line.starts_with('#'));
            let is_there = headings.any(|line| line.trim_start_matches('#').trim() == section);
            assert!(is_there, "{path} cites {section:?} of docs/{name}, which has no such section");
        }
    }
}
