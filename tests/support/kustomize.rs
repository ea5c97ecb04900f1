//! What `kubectl apply -k` makes of `deploy/` and its components, as far as these use kustomize: lists of resources, and
//! patches of the objects that a target names, each in the file itself as JSON patch or in another as a merge.

use provisioner::testing::merged;
use serde_json::Value;

use crate::manifests::{documents, resources};

/// The objects of `directory` with these components laid over them.
///
/// # Panics
/// When a patch doesn't fit what it names, or names nothing.
pub fn objects(directory: &str, components: &[&str]) -> Vec<Value> {
    let mut objects: Vec<Value> = resources(directory).iter().flat_map(|path| documents(path)).collect();
    for component in components.iter().map(|component| format!("{directory}/components/{component}")) {
        let kustomization = kustomization(&component);
        objects.extend(resources(&component).iter().flat_map(|path| documents(path)));
        for patch in kustomization["patches"].as_array().into_iter().flatten() {
            apply(&component, patch, &mut objects);
        }
    }
    objects
}

fn kustomization(directory: &str) -> Value {
    documents(&format!("{directory}/kustomization.yaml")).remove(0)
}

fn apply(directory: &str, patch: &Value, objects: &mut [Value]) {
    let target = &patch["target"];
    let mut found = 0;
    for object in objects.iter_mut().filter(|object| is_meant(target, object)) {
        found += 1;
        match (patch["patch"].as_str(), patch["path"].as_str()) {
            (Some(operations), _) => {
                let operations: json_patch::Patch =
                    serde_saphyr::from_str(operations).unwrap_or_else(|e| panic!("{directory}: {e}"));
                json_patch::patch(object, &operations).unwrap_or_else(|e| panic!("{directory}: {target}: {e}"));
            }
            (_, Some(file)) => *object = merged(object.take(), &documents(&format!("{directory}/{file}"))[0]),
            _ => panic!("{directory}: a patch of {target} is neither here nor in a file"),
        }
    }
    assert_eq!(found, 1, "{directory}: objects that are {target}");
}

fn is_meant(target: &Value, object: &Value) -> bool {
    let group = object["apiVersion"].as_str().and_then(|version| Some(version.split_once('/')?.0));
    let is_same = |named: &Value, found: Option<&str>| named.is_null() || named.as_str() == found;
    is_same(&target["group"], group)
        && is_same(&target["kind"], object["kind"].as_str())
        && is_same(&target["name"], object["metadata"]["name"].as_str())
}
