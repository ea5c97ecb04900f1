//! `spin.toml` obeys the rules of Spin that are easy to break and hard to see.

use std::collections::BTreeSet;

use tests::provisioner::repository;

fn manifest() -> toml::Table {
    std::fs::read_to_string(repository().join("spin.toml")).unwrap().parse().unwrap()
}

#[test]
fn every_variable_of_the_application_reaches_the_component_unchanged() {
    let manifest = manifest();
    let declared: BTreeSet<_> = manifest["variables"].as_table().unwrap().keys().cloned().collect();
    let passed = manifest["component"]["provisioner"]["variables"].as_table().unwrap();
    assert_eq!(passed.keys().cloned().collect::<BTreeSet<_>>(), declared);
    for (name, template) in passed {
        assert_eq!(template.as_str().unwrap(), format!("{{{{ {name} }}}}"));
    }
}

#[test]
fn the_allowed_hosts_are_origins_that_are_never_empty() {
    let manifest = manifest();
    let hosts = manifest["component"]["provisioner"]["allowed_outbound_hosts"].as_array().unwrap().clone();
    assert_eq!(hosts, ["{{ kube_api_url }}".into(), "{{ sink_origin }}".into()]);
    for name in ["kube_api_url", "sink_origin"] {
        let default = manifest["variables"][name]["default"].as_str().unwrap();
        let (scheme, host) = default.split_once("://").unwrap();
        assert!(matches!(scheme, "http" | "https") && !host.is_empty() && !host.contains('/'), "{default}");
    }
}

#[test]
fn nothing_but_the_readme_lies_in_the_mount_point_of_a_checkout() {
    let tracked =
        std::process::Command::new("git").args(["ls-files", "serviceaccount"]).current_dir(repository()).output();
    assert_eq!(String::from_utf8(tracked.unwrap().stdout).unwrap(), "serviceaccount/README.md\n");
}
