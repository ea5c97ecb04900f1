//! The check of commits beside the Makefile.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tests::provisioner::repository;

/// What `.ci/commits` says of a commit with this message that changes `file`.
fn check_of_commits(repository: &Path, file: &str, message: &str) -> Output {
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"];
        let ran = Command::new("git").args(identity).args(arguments).current_dir(repository).output().unwrap();
        assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
    };
    if !repository.join(".git").exists() {
        git(&["init", "--quiet"]);
        git(&["commit", "--quiet", "--allow-empty", "--message", "Begin"]);
        git(&["tag", "base"]);
    }
    git(&["reset", "--quiet", "--hard", "base"]);
    fs::create_dir_all(repository.join(file).parent().unwrap()).unwrap();
    fs::write(repository.join(file), message).unwrap();
    git(&["add", file]);
    git(&["commit", "--quiet", "--message", message]);
    let script = self::repository().join(".ci/commits");
    Command::new(script).current_dir(repository).env("CI_BASE", "base").output().unwrap()
}

#[test]
fn a_commit_has_a_short_subject_and_a_body_where_the_component_changes() {
    let directory = tempfile::tempdir().unwrap();
    let (longest, too_long) = ("ä".repeat(72), "a".repeat(73));
    for (file, message, is_good) in [
        ("README.md", "Say it", true),
        ("README.md", longest.as_str(), true),
        ("README.md", too_long.as_str(), false),
        ("host/src/a.rs", "Say it", true),
        ("src/a/tests.rs", "Say it", true),
        ("src/a/tests/b.rs", "Say it", true),
        ("src/a.rs", "Say it", false),
        ("src/a.rs", "Say it\n\nSigned-off-by: a <a@example.com>", false),
        ("src/a.rs", "Say it\n\nNobody did.", true),
    ] {
        let checked = check_of_commits(directory.path(), file, message);
        let said = String::from_utf8_lossy(&checked.stderr);
        assert_eq!(checked.status.success(), is_good, "{file}, {message:?}: {said}");
        assert_eq!(checked.stdout, b"commits checked: 1\n");
    }
}
