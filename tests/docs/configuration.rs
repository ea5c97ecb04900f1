//! docs/configuration.md: the variables of spin.toml, what bad values say, and the command's own help.

use clap::CommandFactory;
use provisioner::config::Config;
use tests::markdown::rows;
use tests::provisioner::repository;

use crate::document;

const PATH: &str = "docs/configuration.md";
const WRITE: &str = "UPDATE_DOCS";
const BEGIN: &str = "<!-- generated from the command's --help: `make docs` writes it anew -->\n";
const END: &str = "<!-- end of what is generated -->\n";

/// The variables of spin.toml with their defaults, sorted by name.
fn declared() -> Vec<(String, String)> {
    let manifest: toml::Table = document("spin.toml").parse().unwrap();
    let variables = manifest["variables"].as_table().unwrap().iter();
    variables.map(|(name, variable)| (name.clone(), variable["default"].as_str().unwrap().to_owned())).collect()
}

/// A cell without its code marks, and with `|` as it is meant.
fn plain(cell: &str) -> String {
    cell.trim_matches('`').trim().replace("\\|", "|")
}

/// Reads the configuration with `changes` laid over the defaults, as the component does.
fn read(changes: &[(String, String)]) -> Result<Config, String> {
    let declared = declared();
    let value = |name: &str| {
        let known = changes.iter().chain(&declared).find(|(known, _)| known == name);
        known.map(|(_, value)| value.clone()).ok_or_else(|| format!("{name} is not declared"))
    };
    Config::from_variables(value).map_err(|error| error.to_string())
}

/// `NAME=VALUE` or several of it, each in code marks.
fn settings(cell: &str) -> Vec<(String, String)> {
    let parts = cell.split('`').skip(1).step_by(2);
    parts.map(|part| part.split_once('=').unwrap()).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn the_variables_and_their_defaults_are_those_of_the_manifest() {
    let mut documented: Vec<(String, String)> =
        rows(PATH, "Variables").iter().map(|row| (plain(&row[0]), plain(&row[1]))).collect();
    documented.sort();
    assert_eq!(documented, declared());
}

#[test]
fn every_example_can_be_used() {
    let mut named = Vec::new();
    for row in rows(PATH, "Examples") {
        let settings = settings(&row[0]);
        read(&settings).unwrap_or_else(|error| panic!("{settings:?}: {error}"));
        named.extend(settings.into_iter().map(|(name, _)| name));
    }
    for (name, _) in declared() {
        assert!(named.contains(&name), "{name} has no example");
    }
}

#[test]
fn bad_values_say_what_is_documented() {
    let mut named = Vec::new();
    for row in rows(PATH, "What a bad value says") {
        let settings = settings(&row[0]);
        let error = read(&settings).map(|_| "it can be used");
        assert_eq!(error, Err(plain(&row[1])), "{settings:?}");
        named.extend(settings.into_iter().map(|(name, _)| name));
    }
    for (name, _) in declared() {
        assert!(named.contains(&name), "{name} has no row");
    }
}

fn with_help(text: &str) -> String {
    let (before, rest) = text.split_once(BEGIN).unwrap_or_else(|| panic!("{PATH} has no line {BEGIN:?}"));
    let (_, after) = rest.split_once(END).unwrap_or_else(|| panic!("{PATH} has no line {END:?}"));
    let help = local::cli::Args::command().term_width(100).render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    format!("{before}{BEGIN}\n```text\n{}\n```\n\n{END}{after}", help.join("\n"))
}

#[test]
fn the_document_says_what_the_help_says() {
    let text = document(PATH);
    let expected = with_help(&text);
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(repository().join(PATH), &expected).unwrap();
    }
    assert!(document(PATH) == expected, "{PATH} differs from the command's --help: `make docs` writes it anew");
}
