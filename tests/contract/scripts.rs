//! The scripts beside the Makefile, each function as the script has it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use tests::provisioner::repository;

/// A function of a script, to be read by a shell.
fn function(script: &str, name: &str) -> String {
    let text = fs::read_to_string(repository().join(script)).unwrap();
    let from = text.find(&format!("{name}() {{\n")).unwrap_or_else(|| panic!("{script} has no {name}"));
    text[from..from + text[from..].find("\n}\n").unwrap() + 3].to_owned()
}

#[test]
fn a_browser_is_installed_unless_it_and_its_driver_are_there() {
    for (there, is_installed) in
        [(&["chromium", "chromedriver"][..], false), (&["chromium"], true), (&["chromedriver"], true)]
    {
        let programs = tempfile::tempdir().unwrap();
        for name in there.iter().chain(&["apt-get"]) {
            let program = programs.path().join(name);
            fs::write(&program, format!("#!/bin/sh\necho {name} \"$@\" >&2\n")).unwrap();
            fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let script = format!("{}install_chromium", function(".ci/run", "install_chromium"));
        let ran = Command::new("/bin/bash").arg("-c").arg(script).env("PATH", programs.path()).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{said}");
        assert_eq!(said.contains("apt-get install"), is_installed, "{there:?}: {said}");
    }
}

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
