//! The manifests of `deploy/` and `runtime-class/`.

use std::path::Path;

use host::manifest::{Manifest, Mounts};
use provisioner::pod::each;
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
    let listed = |kind: &str| each(&kustomization[kind]).filter_map(Value::as_str);
    // Components come after all resources.
    let all = listed("resources").chain(listed("components"));
    let files = all.flat_map(|name| match name.strip_prefix("../") {
        Some(beside) => resources(beside),
        None if name.ends_with(".yaml") => vec![format!("{directory}/{name}")],
        None => resources(&format!("{directory}/{name}")),
    });
    files.collect()
}

/// The application as `spin.toml` describes it.
pub fn application() -> Manifest {
    Manifest::load(&repository().join("spin.toml"), &Mounts::new()).expect("spin.toml is valid")
}
