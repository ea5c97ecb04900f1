//! docs/configuration.md: the variables of spin.toml, what bad values say, and the command's own help.

use std::collections::BTreeSet;

use clap::CommandFactory;
use provisioner::testing::try_config;
use tests::markdown::rows;
use tests::provisioner::repository;

use crate::document;

const PATH: &str = "docs/configuration.md";
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

#[test]
fn the_variables_and_their_defaults_are_those_of_the_manifest() {
    let mut documented: Vec<(String, String)> =
        rows(PATH, "Variables").iter().map(|row| (plain(&row[0]), plain(&row[1]))).collect();
    documented.sort();
    assert_eq!(documented, declared());
}

/// Tries the settings in the first column of a table, `NAME=VALUE` or several of it, each in code marks. Every variable
/// has to be among them. Of those that can't be used the second column has the error.
#[test]
fn every_example_can_be_used_and_bad_values_say_what_is_documented() {
    for (heading, is_bad) in [("Examples", false), ("What a bad value says", true)] {
        let mut unnamed: BTreeSet<_> = declared().into_iter().map(|(name, _)| name).collect();
        for row in rows(PATH, heading) {
            let settings = row[0].split('`').skip(1).step_by(2).map(|part| part.split_once('=').unwrap());
            let settings: Vec<_> = settings.collect();
            unnamed.retain(|name| settings.iter().all(|(set, _)| set != name));
            let said = try_config(&settings).err().map(|error| error.to_string());
            assert_eq!(said, is_bad.then(|| plain(&row[1])), "{row:?}");
        }
        assert!(unnamed.is_empty(), "{heading} says nothing of {unnamed:?}");
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
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(repository().join(PATH), &expected).unwrap();
    }
    assert!(document(PATH) == expected, "{PATH} differs from the command's --help: `make docs` writes it anew");
}
