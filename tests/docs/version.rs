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

#[test]
fn every_file_that_names_a_version_names_this_one() {
    for (before, file) in PLACES {
        assert!(document(file).contains(&format!("{before}{VERSION}")), "{file} has no {before}{VERSION}");
    }
    for file in files() {
        let text = std::fs::read_to_string(repository().join(&file)).unwrap_or_default();
        let versions = text.split(IMAGE).skip(1).filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        let other = versions.filter(|rest| !rest.starts_with(VERSION)).map(|rest| rest.lines().next()).next();
        assert_eq!(other, None, "{file}");
    }
}

#[test]
fn changelog_has_the_notes_of_this_version() {
    let heading = format!("\n## {VERSION} - ");
    assert!(document("CHANGELOG.md").contains(&heading), "CHANGELOG.md has no heading{heading}with its date");
}
