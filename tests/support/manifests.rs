//! The manifests of `deploy/` and `runtime-class/`.

use std::collections::BTreeMap;
use std::path::Path;

use host::manifest::{Manifest, Mounts};
use provisioner::testing::merged;
use serde_json::Value;

use crate::provisioner::repository;

/// Every document of a file, by its path in the repository.
pub fn documents(path: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(repository().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    serde_saphyr::from_multiple(&text).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The one object of this kind in a file.
pub fn object(path: &str, kind: &str) -> Value {
    let mut found = documents(path).into_iter().filter(|object| object["kind"] == kind);
    let object = found.next().unwrap_or_else(|| panic!("{path} has no {kind}"));
    assert!(found.next().is_none(), "{path} has more than one {kind}");
    object
}

/// The names of the YAML files in a directory, sorted.
pub fn files(directory: &str) -> Vec<String> {
    let entries = std::fs::read_dir(repository().join(directory)).unwrap_or_else(|e| panic!("{directory}: {e}"));
    let names = entries.map(|entry| entry.expect("a directory can be read").file_name().into_string().expect("ASCII"));
    let mut names: Vec<_> = names.filter(|name| Path::new(name).extension().is_some_and(|end| end == "yaml")).collect();
    names.sort();
    names
}

/// The files that kustomize makes objects of, in the order in which it applies them.
pub fn resources(directory: &str) -> Vec<String> {
    let kustomization = documents(&format!("{directory}/kustomization.yaml")).remove(0);
    let listed = |kind: &str| kustomization.get(kind).map(strings).unwrap_or_default();
    // Components come after all resources.
    let all = listed("resources").into_iter().chain(listed("components"));
    let files = all.flat_map(|name| match name.strip_prefix("../") {
        Some(beside) => resources(beside),
        None if name.ends_with(".yaml") => vec![format!("{directory}/{name}")],
        None => resources(&format!("{directory}/{name}")),
    });
    files.collect()
}

/// Every Trigger that `deploy/` makes.
pub fn triggers() -> Vec<Value> {
    let objects = resources("deploy").into_iter().flat_map(|path| documents(&path));
    objects.filter(|object| object["kind"] == "Trigger").collect()
}

/// The object has what is expected of it, and may have more.
///
/// # Panics
/// When something of it is otherwise.
#[track_caller]
pub fn assert_has(object: &Value, expected: &Value) {
    assert_eq!(merged(object.clone(), expected), *object, "it is to have {expected}");
}

/// The strings of a list.
pub fn strings(list: &Value) -> Vec<&str> {
    let list = list.as_array().unwrap_or_else(|| panic!("{list} is no list"));
    list.iter().map(|value| value.as_str().unwrap_or_else(|| panic!("{value} is no string"))).collect()
}

/// Every SpinApp in the repository, by the file that it is in.
pub fn spin_apps() -> Vec<(String, Value)> {
    let mut apps = Vec::new();
    for directory in ["deploy", "deploy/knative-service", "examples/wait-for-answer"] {
        for file in files(directory) {
            let path = format!("{directory}/{file}");
            let found = documents(&path).into_iter().filter(|object| object["kind"] == "SpinApp");
            apps.extend(found.map(|app| (path.clone(), app)));
        }
    }
    apps
}

/// The SpinApp.
pub fn spin_app() -> Value {
    object("deploy/provisioner.yaml", "SpinApp")
}

/// The Knative Service that can take its place.
pub fn knative_service() -> Value {
    object("deploy/knative-service/service.yaml", "Service")
}

/// The container of the Knative Service.
pub fn knative_container() -> Value {
    knative_service()["spec"]["template"]["spec"]["containers"][0].clone()
}

/// Names and values of a SpinApp's variables or of a container's environment.
pub fn named_values(list: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{value} is no string")).to_owned();
    let list = list.as_array().unwrap_or_else(|| panic!("{list} is no list"));
    let values: BTreeMap<_, _> = list.iter().map(|one| (text(&one["name"]), text(&one["value"]))).collect();
    assert_eq!(values.len(), list.len(), "a name stands there twice: {list:?}");
    values
}

/// The environment of the SpinApp's container, as spin-operator makes it.
pub fn spin_app_env() -> BTreeMap<String, String> {
    let variables = named_values(&spin_app()["spec"]["variables"]);
    variables.into_iter().map(|(name, value)| (format!("SPIN_VARIABLE_{}", name.to_ascii_uppercase()), value)).collect()
}

/// The runtime config in its Secret.
pub fn runtime_config() -> String {
    let secret = object("deploy/runtime-config.yaml", "Secret");
    secret["stringData"]["runtime-config.toml"].as_str().expect("the key that the shim wants").to_owned()
}

/// The application as `spin.toml` describes it.
pub fn application() -> Manifest {
    Manifest::load(&repository().join("spin.toml"), &Mounts::new()).expect("spin.toml is valid")
}
