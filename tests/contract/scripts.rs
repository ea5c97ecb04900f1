//! The check of commits beside the Makefile.

use std::fs;
use std::process::Command;

use tests::provisioner::repository;

#[test]
fn a_commit_has_a_short_subject_and_a_body_where_the_component_changes() {
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
        let directory = tempfile::tempdir().unwrap();
        let git = |arguments: &[&str]| {
            let identity = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"];
            let ran = Command::new("git").args(identity).args(arguments).current_dir(&directory).output().unwrap();
            assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
        };
        git(&["init", "--quiet"]);
        git(&["commit", "--quiet", "--allow-empty", "--message", "Begin"]);
        let path = directory.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
        git(&["add", file]);
        git(&["commit", "--quiet", "--message", message]);
        let mut script = Command::new(repository().join(".ci/commits"));
        let checked = script.current_dir(&directory).env("CI_BASE", "HEAD~1").output().unwrap();
        let said = String::from_utf8_lossy(&checked.stderr);
        assert_eq!(checked.status.success(), is_good, "{file}, {message:?}: {said}");
        assert_eq!(checked.stdout, b"commits checked: 1\n");
    }
}
