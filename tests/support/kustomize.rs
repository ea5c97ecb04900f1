//! What `kubectl apply -k` makes of `deploy/` and its components, as far as these use kustomize: lists of resources, and
//! patches of the object that a target names, or that they name themselves: JSON patches, merges and deletions.

use provisioner::testing::merged;
use serde_json::{Value, json};

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

fn apply(directory: &str, patch: &Value, objects: &mut Vec<Value>) {
    let change: Value = match (patch["patch"].as_str(), patch["path"].as_str()) {
        (Some(text), _) => serde_saphyr::from_str(text).unwrap_or_else(|e| panic!("{directory}: {e}")),
        (_, Some(file)) => documents(&format!("{directory}/{file}")).remove(0),
        _ => panic!("{directory}: {patch} is neither here nor in a file"),
    };
    let itself = json!({"kind": change["kind"], "name": change["metadata"]["name"]});
    let target = if patch["target"].is_null() { &itself } else { &patch["target"] };
    let meant: Vec<usize> = (0..objects.len()).filter(|at| is_meant(target, &objects[*at])).collect();
    let [at] = meant[..] else { panic!("{directory}: {} objects are {target}", meant.len()) };
    match serde_json::from_value::<json_patch::Patch>(change.clone()) {
        Ok(operations) => json_patch::patch(&mut objects[at], &operations).unwrap_or_else(|e| panic!("{target}: {e}")),
        Err(_) if change["$patch"] == "delete" => drop(objects.remove(at)),
        Err(_) => objects[at] = merged(objects[at].take(), &change),
    }
}

fn is_meant(target: &Value, object: &Value) -> bool {
    let group = object["apiVersion"].as_str().and_then(|version| Some(version.split_once('/')?.0));
    let is_same = |named: &Value, found: Option<&str>| named.is_null() || named.as_str() == found;
    is_same(&target["group"], group)
        && is_same(&target["kind"], object["kind"].as_str())
        && is_same(&target["name"], object["metadata"]["name"].as_str())
}
