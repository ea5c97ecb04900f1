//! The container image, and what must not get into it.

use std::fs;
use std::process::Command;

use tests::provisioner::repository;

#[test]
fn an_image_is_built_of_the_application_and_an_empty_directory_alone() {
    let said = fs::read_to_string(repository().join(".dockerignore")).unwrap();
    let lines = said.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    // An allow list that says more would hand a build what is in the checkout, a token say.
    let allowed = "* !spin.toml !target/wasm32-wasip2/release/provisioner.wasm !serviceaccount serviceaccount/*";
    assert!(lines.eq(allowed.split(' ')), "{said}");
}

#[test]
fn nothing_is_published_while_there_may_be_a_token() {
    let checkout = tempfile::tempdir().unwrap();
    fs::copy(repository().join("Makefile"), checkout.path().join("Makefile")).unwrap();
    fs::create_dir(checkout.path().join("serviceaccount")).unwrap();
    fs::write(checkout.path().join("serviceaccount/..data"), "x").unwrap();
    for target in ["image", "push/artifact"] {
        let mut make = Command::new("make");
        let ran = make.current_dir(&checkout).arg(target).env_remove("MAKEFLAGS").output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(!ran.status.success() && said.contains("remove first:\nserviceaccount/..data"), "{target}: {said}");
    }
}
