//! What a manifest may hold, and what is said of the rest.

use super::*;

const MINIMAL: &str = r#"
spin_manifest_version = 2
[application]
name = "app"
[[trigger.http]]
route = "/..."
component = "one"
[component.one]
source = "one.wasm"
"#;

fn load(text: &str, mounts: &Mounts) -> Result<Manifest, String> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("data")).unwrap();
    std::fs::write(dir.path().join("one.wasm"), "").unwrap();
    std::os::unix::fs::symlink("/", dir.path().join("out")).unwrap();
    let path = dir.path().join("spin.toml");
    std::fs::write(&path, text).unwrap();
    Manifest::load(&path, mounts).map_err(|error| format!("{error:#}"))
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    let message = load(text, &Mounts::new()).expect_err("should be refused");
    assert!(message.contains(expected), "{message:?} lacks {expected:?}");
    assert!(!message.contains('\n'), "{message:?} is more than one line");
}

fn with(extra: &str) -> String {
    format!("{MINIMAL}{extra}\n")
}

#[test]
fn a_manifest_with_everything_supported_loads() {
    let text = r#"
spin_manifest_version = 2
[application]
name = "app"
version = "0.1.0"
description = "d"
authors = ["a"]
targets = ["spinkube:0.4"]
[variables]
url = { default = "http://x" }
token = { required = true, secret = true, description = "d" }
[[trigger.http]]
route = "/..."
component = "one"
[component.one]
source = "one.wasm"
description = "d"
files = [{ source = "data", destination = "/data" }]
allowed_outbound_hosts = ["{{ url }}"]
variables = { url = "{{ url }}/" }
environment = { A = "b" }
[component.one.build]
command = ["true"]
workdir = "."
watch = ["src"]
"#;
    let manifest = load(text, &Mounts::new()).unwrap();
    assert_eq!(manifest.component.id, "one");
    assert_eq!(manifest.component.files[0].destination, "/data");
    assert_eq!(manifest.component.environment["A"], "b");
    assert!(manifest.variables["token"].required);
}

#[test]
fn what_is_not_supported_is_named() {
    refused(&with("key_value_stores = [\"default\"]"), "spin.toml:10: key_value_stores: unknown field");
    refused(&with("exclude_files = []"), "`exclude_files`");
    refused(&with("[[trigger.redis]]\nchannel = \"c\""), "unknown field `redis`");
    refused(&with("files = [\"*.txt\"]"), "spin.toml:10: files: invalid type: string \"*.txt\"");
    refused(&with("[component.two]\nsource = \"two.wasm\""), "component.two: this host takes the one");
    refused(&MINIMAL.replace("\"/...\"", "\"/a\""), "trigger.http.route");
    refused(&MINIMAL.replace("\"/...\"", "{ private = true }"), "route: invalid type: map");
    refused(&MINIMAL.replace("= \"one\"", "= { source = \"one.wasm\" }"), "component: invalid type: map");
    refused(&MINIMAL.replace("version = 2", "version = 1"), "version 2 only");
    refused(&MINIMAL.replace("\"one.wasm\"", "{ url = \"https://x\", digest = \"sha256:0\" }"), "source: invalid");
    refused(&with("[[trigger.http]]\nroute = \"/...\"\ncomponent = \"one\""), "exactly one");
    refused(&MINIMAL.replace("component = \"one\"", "component = \"other\""), "no [component.other]");
    refused(&MINIMAL.replace("source =", "description ="), "component.one.source: name its");
}

#[test]
fn a_variable_is_lower_snake_and_has_a_string_default_or_is_required() {
    for (line, expected) in [
        ("a = {}", "either `required = true` or a `default`"),
        ("a = { required = true, default = \"\" }", "either"),
        ("a = { default = 3 }", "a: invalid type: integer `3`, expected a string"),
        ("A = { default = \"\" }", "\"A\" is no name"),
        ("a__b = { default = \"\" }", "is no name"),
        ("a_1 = { default = \"\" }", "is no name"),
        ("a-b = { default = \"\" }", "is no name"),
        ("a = { default = \"\", extra = 1 }", "unknown field `extra`"),
    ] {
        refused(&with(&format!("[variables]\n{line}")), expected);
    }
    assert!(load(&with("[variables]\na_b2 = { default = \"\" }"), &Mounts::new()).is_ok());
}

#[test]
fn a_mounted_directory_is_relative_there_and_inside() {
    for (source, expected) in [
        ("/tmp", "must be relative"),
        ("..", "inside the application's directory"),
        ("gone", "gone is no directory"),
        ("one.wasm", "is no directory"),
        ("out", "inside the application's directory"),
    ] {
        refused(&with(&format!("files = [{{ source = \"{source}\", destination = \"/d\" }}]")), expected);
    }
    refused(&with("files = [{ source = \"data\", destination = \"d\" }]"), "must be absolute");
}

#[test]
fn another_directory_can_be_mounted_over_a_source() {
    let text = with("files = [{ source = \"gone\", destination = \"/d\" }]");
    let over = tempfile::tempdir().unwrap();
    let mounts = Mounts::from([("/d".to_owned(), over.path().to_owned())]);
    let manifest = load(&text, &mounts).unwrap();
    assert_eq!(manifest.component.files[0].source, over.path());

    let elsewhere = Mounts::from([("/e".to_owned(), over.path().to_owned())]);
    let with_source = with("files = [{ source = \"data\", destination = \"/d\" }]");
    assert!(load(&with_source, &elsewhere).unwrap_err().contains("\"/e\""));
}
