//! The rules that a Pod must keep.
//!
//! In: a Pod with its defaults, its fields of the right types. Out: the causes for a 422. It is the part of the API
//! server's validation that a client Pod, or a mistake in one, can meet; rules for fields that nobody here sets (ports,
//! probes, affinity) are left out.

use super::names;
use super::status::Cause;
use provisioner::pod::{each, is_set, text};
use serde_json::Value;
use std::collections::BTreeSet;

/// How many bytes all annotations may have together.
const ANNOTATIONS_LIMIT: usize = 256 * 1024;

/// Every rule that the Pod breaks.
pub fn validate(pod: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    metadata(&pod["metadata"], &mut causes);
    spec(&pod["spec"], &mut causes);
    causes
}

fn metadata(metadata: &Value, causes: &mut Vec<Cause>) {
    match text(&metadata["name"]) {
        "" => causes.push(Cause::required("metadata.name", ": name or generateName is required")),
        name => causes.extend(broken("metadata.name", name, names::subdomain(name))),
    }
    for (key, value) in members(&metadata["labels"]) {
        causes.extend(broken("metadata.labels", key, names::qualified_name(key)));
        causes.extend(broken("metadata.labels", value, names::label_value(value)));
    }
    for (key, _) in members(&metadata["annotations"]) {
        causes.extend(broken("metadata.annotations", key, names::qualified_name(&key.to_lowercase())));
    }
    let annotations = members(&metadata["annotations"]).map(|(key, value)| key.len() + value.len());
    if annotations.sum::<usize>() > ANNOTATIONS_LIMIT {
        causes.push(Cause::too_long("metadata.annotations", ANNOTATIONS_LIMIT));
    }
    for (index, finalizer) in each(&metadata["finalizers"]).map(text).enumerate() {
        let field = format!("metadata.finalizers[{index}]");
        let rule = "name is neither a standard finalizer name nor is it fully qualified".to_owned();
        let unqualified = (!finalizer.contains('/')).then_some(rule);
        causes.extend(broken(&field, finalizer, names::qualified_name(finalizer).into_iter().chain(unqualified)));
    }
}

fn members(map: &Value) -> impl Iterator<Item = (&str, &str)> {
    map.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), text(value)))
}

fn broken(field: &str, value: &str, rules: impl IntoIterator<Item = String>) -> impl Iterator<Item = Cause> {
    rules.into_iter().map(move |rule| Cause::invalid(field, format!("{value:?}"), &rule))
}

fn required(field: String, value: &Value) -> Option<Cause> {
    (!is_set(value)).then(|| Cause::required(field, ""))
}

fn spec(spec: &Value, causes: &mut Vec<Cause>) {
    let (mut volumes, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for (index, volume) in each(&spec["volumes"]).enumerate() {
        unique_name(&format!("spec.volumes[{index}].name"), text(&volume["name"]), &mut volumes, causes);
    }
    causes.extend(required("spec.containers".to_owned(), &spec["containers"]));
    for list in ["containers", "initContainers"] {
        for (index, one) in each(&spec[list]).enumerate() {
            let field = format!("spec.{list}[{index}]");
            unique_name(&format!("{field}.name"), text(&one["name"]), &mut taken, causes);
            container(&field, one, &volumes, causes);
        }
    }
    policies(spec, causes);
    scheduling_gates(spec, causes);
}

fn container(field: &str, container: &Value, volumes: &BTreeSet<&str>, causes: &mut Vec<Cause>) {
    let image = text(&container["image"]);
    causes.extend(required(format!("{field}.image"), &container["image"]));
    if image.trim() != image {
        let rule = "must not have leading or trailing whitespace";
        causes.push(Cause::invalid(format!("{field}.image"), format!("{image:?}"), rule));
    }
    for (index, env) in each(&container["env"]).enumerate() {
        causes.extend(required(format!("{field}.env[{index}].name"), &env["name"]));
    }
    for (index, mount) in each(&container["volumeMounts"]).enumerate() {
        let (field, name) = (format!("{field}.volumeMounts[{index}]"), text(&mount["name"]));
        if !volumes.contains(name) {
            causes.push(Cause::not_found(format!("{field}.name"), name));
        }
        causes.extend(required(format!("{field}.mountPath"), &mount["mountPath"]));
    }
}

fn unique_name<'a>(field: &str, name: &'a str, taken: &mut BTreeSet<&'a str>, causes: &mut Vec<Cause>) {
    match name {
        "" => causes.push(Cause::required(field, "")),
        name if !taken.insert(name) => causes.push(Cause::duplicate(field, name)),
        name => causes.extend(broken(field, name, names::label(name))),
    }
}

fn policies(spec: &Value, causes: &mut Vec<Cause>) {
    let restart: &[&str] = &["Always", "OnFailure", "Never"];
    let dns: &[&str] = &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    for (field, words) in [("restartPolicy", restart), ("dnsPolicy", dns)] {
        if let Some(value) = spec[field].as_str().filter(|value| !words.contains(value)) {
            causes.push(Cause::not_supported(format!("spec.{field}"), format!("{value:?}"), words));
        }
    }
    let deadline = spec["activeDeadlineSeconds"].as_i64();
    if let Some(seconds) = deadline.filter(|seconds| !(1..=i64::from(i32::MAX)).contains(seconds)) {
        let rule = "must be between 1 and 2147483647, inclusive";
        causes.push(Cause::invalid("spec.activeDeadlineSeconds", seconds, rule));
    }
}

fn scheduling_gates(spec: &Value, causes: &mut Vec<Cause>) {
    let mut taken = BTreeSet::new();
    for (index, gate) in each(&spec["schedulingGates"]).enumerate() {
        let (field, name) = (format!("spec.schedulingGates[{index}]"), text(&gate["name"]));
        causes.extend(broken(&field, name, names::qualified_name(name)));
        if !taken.insert(name) {
            causes.push(Cause::duplicate(field, name));
        }
    }
    if !taken.is_empty() && is_set(&spec["nodeName"]) {
        let detail = "cannot be set until all schedulingGates have been cleared";
        causes.push(Cause::forbidden("spec.nodeName", detail));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(pointer: &str, value: Value, expected: &str) {
        let mut pod = json!({
            "metadata": {"name": "x", "labels": {"setGateway": "foo"}, "annotations": {"setGateway": "a/b and more"}},
            "spec": {"containers": [{"name": "client", "image": "alpine/curl"}]}
        });
        assert_eq!(validate(&pod), []);
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        pod.pointer_mut(parent).unwrap()[key] = value;
        let causes: Vec<_> = validate(&pod).iter().map(ToString::to_string).collect();
        assert_eq!(causes.len(), 1, "{causes:?}");
        assert!(causes[0].starts_with(expected), "{causes:?}");
    }

    #[test]
    fn metadata_are_checked_by_the_rules_of_names() {
        check("/metadata/name", json!(null), "metadata.name: Required value: name or");
        check("/metadata/name", json!("A"), "metadata.name: Invalid value: \"A\": a lowercase RFC 1123");
        let expected = "metadata.labels: Invalid value: \"a/b\": a valid label must be";
        check("/metadata/labels", json!({"setGateway": "a/b"}), expected);
        check("/metadata/annotations", json!({"a b": "x"}), "metadata.annotations: Invalid value: \"a b\"");
        let large = json!({"a": "b".repeat(ANNOTATIONS_LIMIT)});
        check("/metadata/annotations", large, "metadata.annotations: Too long: may not be more than 262144 bytes");
        check("/metadata/finalizers", json!(["x"]), "metadata.finalizers[0]: Invalid value: \"x\": name is neither");
    }

    #[test]
    fn containers_need_names_and_images_and_share_one_set_of_names() {
        let client = json!({"name": "client", "image": "i"});
        check("/spec/containers", json!([]), "spec.containers: Required value");
        check("/spec/containers/0/image", json!(""), "spec.containers[0].image: Required value");
        check("/spec/containers/0/name", json!("A"), "spec.containers[0].name: Invalid value");
        check("/spec/initContainers", json!([client]), "spec.initContainers[0].name: Duplicate value: \"client\"");
        let expected = "spec.containers[0].volumeMounts[0].name: Not found: \"v\"";
        check("/spec/containers/0/volumeMounts", json!([{"name": "v", "mountPath": "/"}]), expected);
    }

    #[test]
    fn scheduling_gates_are_unique_qualified_names() {
        let twice = json!([{"name": "a/b"}, {"name": "a/b"}]);
        check("/spec/schedulingGates", twice, "spec.schedulingGates[1]: Duplicate value: \"a/b\"");
        check("/spec/activeDeadlineSeconds", json!(0), "spec.activeDeadlineSeconds: Invalid value: 0: must be");
    }
}
