//! The component's source is laid out as `src/lib.rs` says: data goes one way, and the core does no input and no output.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use tests::provisioner::repository;

/// What reads or writes, or tells the time, wherever it stands in a line of code.
const IMPURE: [&str; 9] =
    ["std::fs", "std::net", "std::env", "std::process", "Instant", "SystemTime", "Utc::now", "spin_sdk", "wasi::"];

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

/// The code of a file, without its comments and without the unit tests at its end.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = text.lines().map(|line| if line.trim_start().starts_with("//") { "" } else { line });
    lines.collect::<Vec<_>>().join("\n")
}

fn comments(text: &str) -> String {
    let lines = text.lines().map(str::trim_start).filter(|line| line.starts_with("//"));
    lines.map(|line| line.trim_start_matches(['/', '!']).trim()).collect::<Vec<_>>().join(" ")
}

/// The paths that a `use` tree stands for: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn expand(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((prefix, rest)) = tree.split_once('{') else { return vec![tree.to_owned()] };
    let inner = rest.strip_suffix('}').unwrap_or(rest);
    let (mut depth, mut start, mut branches) = (0, 0, Vec::new());
    for (at, character) in inner.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                branches.push(&inner[start..at]);
                start = at + 1;
            }
            _ => (),
        }
    }
    branches.push(&inner[start..]);
    let branches = branches.into_iter().filter(|branch| !branch.trim().is_empty()).flat_map(expand);
    branches.map(|branch| format!("{}{branch}", prefix.trim())).collect()
}

/// Every path that code imports, and every path from the crate's root within it.
fn paths(code: &str) -> Vec<String> {
    let starts = |text: &str| text.starts_with("use ") || text.starts_with("pub use ");
    let statements = code.split(';').map(|statement| statement.trim().lines().skip_while(|line| !starts(line)));
    let uses = statements.map(|lines| lines.collect::<Vec<_>>().join(" ")).filter(|statement| starts(statement));
    let mut paths: Vec<String> = uses.flat_map(|tree| expand(tree.split_once("use ").unwrap().1)).collect();
    let inline = code.split("crate::").skip(1).filter(|rest| !rest.starts_with('{'));
    paths
        .extend(inline.map(|rest| {
            format!("crate::{}", rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap())
        }));
    paths
}

/// The top-level modules that code of `module` uses, its own apart.
fn used(code: &str, module: &str) -> Vec<String> {
    let of_crate = paths(code).into_iter().filter_map(|path| Some(path.strip_prefix("crate::")?.to_owned()));
    let mut used: Vec<String> = of_crate.map(|path| path.split("::").next().unwrap().trim().to_owned()).collect();
    used.retain(|name| name != module);
    used.sort();
    used.dedup();
    used
}

#[test]
fn a_module_uses_only_those_above_it_in_the_list() {
    let modules = modules();
    let place = |name: &str| modules.iter().position(|module| module == name);
    for Source { module, path, text } in sources() {
        let code = code(&text);
        let own = place(&module).unwrap_or_else(|| panic!("{path} belongs to no module of src/lib.rs"));
        for name in used(&code, &module) {
            let other = place(&name).unwrap_or_else(|| panic!("{path} uses crate::{name}, which is no module"));
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
    let all = [paths(code).join("\n"), code.to_owned()].concat();
    IMPURE.into_iter().filter(|word| all.contains(word)).collect()
}

/// The tests above see what they are to see.
#[test]
fn an_import_is_seen_however_it_is_written() {
    let code = code(
        "//! use crate::a;\nuse crate::{b::{C, self}, d};\n// crate::e\npub use crate::f::G;\nfn x() { crate::h::y() }\n\
         #[cfg(test)]\nmod tests {\n    use crate::i;\n}\n",
    );
    assert_eq!(used(&code, "d"), ["b", "f", "h"]);
    assert_eq!(impure("use std::{fmt, fs, time::{Duration, Instant}};"), ["std::fs", "Instant"]);
    assert_eq!(impure("use std::io;\nfn now() -> u64 { chrono::Utc::now() }"), ["Utc::now"]);
    assert_eq!(impure("use std::time::Duration;"), [""; 0]);
}

/// The quoted names behind a document's: `docs/x.md`, "A" and "B".
fn sections(after: &str) -> Vec<&str> {
    let Some(rest) = after.strip_prefix("`, \"") else { return Vec::new() };
    vec![rest.split('"').next().unwrap()]
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
            let name = rest.split('`').next().unwrap();
            let document = fs::read_to_string(repository().join("docs").join(name));
            let document = document.unwrap_or_else(|error| panic!("{path} cites docs/{name}: {error}"));
            for section in sections(&rest[name.len()..]) {
                let is_there = document
                    .lines()
                    .any(|line| line.trim_start_matches('#').trim() == section && line.starts_with('#'));
                assert!(is_there, "{path} cites {section:?} of docs/{name}, which has no such section");
            }
        }
    }
}
