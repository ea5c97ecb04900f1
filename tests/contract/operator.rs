//! Every SpinApp passes what spin-operator's own webhook makes of it.

use serde_json::Value;
use tests::manifests::spin_apps;

/// What spin-operator's mutating webhook writes as `null` where a SpinApp says nothing: it reads a SpinApp into its Go
/// types and writes it back whole, and these fields are slices and pointers whose JSON tag has no `omitempty`. Of
/// version 0.6.1, by reflection over its types.
const WRITTEN_AS_NULL: [&str; 8] = [
    "spec.checks.readiness.httpGet.httpHeaders",
    "spec.checks.liveness.httpGet.httpHeaders",
    "spec.volumes.projected.sources",
    "spec.volumes.rbd.monitors",
    "spec.volumes.cephfs.monitors",
    "spec.volumes.scaleIO.secretRef",
    "spec.volumes.ephemeral.volumeClaimTemplate.spec.dataSource.apiGroup",
    "spec.volumes.ephemeral.volumeClaimTemplate.spec.dataSourceRef.apiGroup",
];

/// Whether something that `path` leads to, through each item of a list, lacks the last field of it.
fn lacks(object: &Value, path: &[&str]) -> bool {
    match (object, path) {
        (Value::Array(items), _) => items.iter().any(|item| lacks(item, path)),
        (Value::Object(members), [field]) => !members.contains_key(*field),
        (Value::Object(members), [field, rest @ ..]) => members.get(*field).is_some_and(|member| lacks(member, rest)),
        _ => false,
    }
}

#[test]
fn every_spin_app_passes_what_spin_operators_webhook_makes_of_it() {
    let apps = spin_apps();
    assert!(apps.iter().any(|(file, _)| file == "deploy/provisioner.yaml"));
    for (file, app) in apps {
        for path in WRITTEN_AS_NULL {
            let is_refused = lacks(&app, &path.split('.').collect::<Vec<_>>());
            assert!(!is_refused, "{file}: set {path}, as an empty list if need be: the CRD takes no null there");
        }
    }
}
