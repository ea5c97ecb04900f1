//! Every file that names the project's version names the one in `Cargo.toml`, and the changelog has its notes.

use tests::provisioner::repository;

use crate::document;
use crate::links::files;

const VERSION: &str = env!("CARGO_PKG_VERSION");
const IMAGE: &str = "cloudevents-podgateway-client-provisioner:";

/// What stands before the version, and a file in which it stands.
const PLACES: [(&str, &str); 7] = [
    (IMAGE, "deploy/provisioner.yaml"),
    (IMAGE, "deploy/knative-service/service.yaml"),
    (IMAGE, "docs/quickstart.md"),
    (IMAGE, "runtime-class/README.md"),
    ("ARG VERSION=", "Dockerfile"),
    ("name = \"podgateway-client-provisioner\"\nversion = \"", "spin.toml"),
    ("title: CloudEvents pod-gateway client provisioner\n  version: ", "docs/asyncapi.yaml"),
];

/// The versions that stand behind `before`.
fn versions<'a>(text: &'a str, before: &'a str) -> impl Iterator<Item = &'a str> {
    let versions =
        text.split(before).skip(1).filter_map(|rest| rest.split(|c: char| !"0123456789.".contains(c)).next());
    versions.map(|version| version.trim_end_matches('.')).filter(|version| !version.is_empty())
}

#[test]
fn every_file_that_names_a_version_names_this_one() {
    for (before, file) in PLACES {
        assert_eq!(versions(&document(file), before).next(), Some(VERSION), "{file}");
    }
    for file in files() {
        let text = std::fs::read_to_string(repository().join(&file)).unwrap_or_default();
        let other = versions(&text, IMAGE).find(|version| *version != VERSION);
        assert_eq!(other, None, "{}", file.display());
    }
}

#[test]
fn changelog_has_the_notes_of_this_version() {
    let heading = format!("\n## {VERSION} - ");
    assert!(document("CHANGELOG.md").contains(&heading), "CHANGELOG.md has no heading{heading}with its date");
}
