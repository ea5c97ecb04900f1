//! The scripts beside the Makefile, each function as the script has it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

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
