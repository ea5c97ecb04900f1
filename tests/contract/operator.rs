//! Every SpinApp passes what spin-operator's own webhook makes of it.

use serde_json::Value;
use tests::manifests::{documents, spin_app, spin_apps};

/// What spin-operator's mutating webhook writes as `null` where a SpinApp says nothing: it reads a SpinApp into its Go
/// types and writes it back whole, and these fields are slices and pointers whose JSON tag has no `omitempty`. Of
/// version 0.6.1, by reflection over its types. `[]` stands for each item of a list.
const WRITTEN_AS_NULL: [&str; 8] = [
    "spec.checks.readiness.httpGet.httpHeaders",
    "spec.checks.liveness.httpGet.httpHeaders",
    "spec.volumes[].projected.sources",
    "spec.volumes[].rbd.monitors",
    "spec.volumes[].cephfs.monitors",
    "spec.volumes[].scaleIO.secretRef",
    "spec.volumes[].ephemeral.volumeClaimTemplate.spec.dataSource.apiGroup",
    "spec.volumes[].ephemeral.volumeClaimTemplate.spec.dataSourceRef.apiGroup",
];

/// Sets the field at `path` to `null` in each object that has its parent and not the field itself.
fn write_null(object: &mut Value, path: &str) {
    let (field, rest) = path.split_once('.').unwrap_or((path, ""));
    let (name, is_list) = field.strip_suffix("[]").map_or((field, false), |name| (name, true));
    let Some(members) = object.as_object_mut() else { return };
    match members.get_mut(name) {
        Some(Value::Array(items)) if is_list => items.iter_mut().for_each(|item| write_null(item, rest)),
        Some(child) if !rest.is_empty() => write_null(child, rest),
        None if rest.is_empty() => drop(members.insert(name.to_owned(), Value::Null)),
        _ => (),
    }
}

/// Where an object holds a `null` that its schema (OpenAPI v3, of a CRD) doesn't allow.
fn refused_nulls(object: &Value, schema: &Value, path: &str, found: &mut Vec<String>) {
    match object {
        Value::Null if schema["nullable"] != true => found.push(path.to_owned()),
        Value::Object(members) => {
            for (name, member) in members {
                refused_nulls(member, &schema["properties"][name], &format!("{path}.{name}"), found);
            }
        }
        Value::Array(items) => {
            for item in items {
                refused_nulls(item, &schema["items"], &format!("{path}[]"), found);
            }
        }
        _ => (),
    }
}

/// What the API server refuses of a SpinApp once spin-operator's webhook has written it.
fn refused(mut app: Value) -> Vec<String> {
    let crd = &documents("tests/e2e/crds/core.spinkube.dev_spinapps.yaml")[0];
    WRITTEN_AS_NULL.iter().for_each(|path| write_null(&mut app, path));
    let mut found = Vec::new();
    refused_nulls(
        &app["spec"],
        &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"],
        "spec",
        &mut found,
    );
    found
}

#[test]
fn every_spin_app_passes_what_spin_operators_webhook_makes_of_it() {
    let apps = spin_apps();
    assert!(apps.iter().any(|(file, _)| file == "deploy/provisioner.yaml"));
    for (file, app) in apps {
        assert_eq!(refused(app), [""; 0], "{file}: set these to an empty list");
    }
    // As it was once: the webhook writes the null, and the CRD refuses it.
    let mut app = spin_app();
    app["spec"]["checks"]["readiness"]["httpGet"].as_object_mut().unwrap().remove("httpHeaders");
    assert_eq!(refused(app), ["spec.checks.readiness.httpGet.httpHeaders"]);
}
