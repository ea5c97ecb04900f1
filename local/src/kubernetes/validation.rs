//! The rules that a Pod must keep.
//!
//! In: a Pod's fields, with their defaults. Out: the causes for a 422. It is
//! the part of the API server's validation that a client Pod, or a mistake in
//! one, can meet; rules for fields that nobody here sets (ports, probes,
//! affinity) are left out.

use super::cause::Cause;
use super::names;
use super::shape::{Container, Metadata, Named, Shape, Spec};
use std::collections::BTreeSet;

fn text(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or_default()
}

/// Every rule that the Pod breaks.
pub fn validate(pod: &Shape) -> Vec<Cause> {
    let mut causes = metadata(&pod.metadata);
    causes.extend(spec(&pod.spec));
    causes
}

fn metadata(metadata: &Metadata) -> Vec<Cause> {
    let mut causes = name(text(&metadata.name));
    for (key, value) in metadata.labels.iter().flatten() {
        causes.extend(broken("metadata.labels", key, names::qualified_name));
        causes.extend(broken("metadata.labels", value, names::label_value));
    }
    for key in metadata.annotations.iter().flatten().map(|(key, _)| key) {
        let rule = names::qualified_name(&key.to_lowercase());
        causes.extend(rule.map(|rule| Cause::invalid("metadata.annotations", key, &rule)));
    }
    causes
}

fn name(name: &str) -> Vec<Cause> {
    let field = "metadata.name";
    match name {
        "" => vec![Cause::required(field, "name or generateName is required")],
        name => broken(field, name, names::subdomain).into_iter().collect(),
    }
}

fn broken(field: &str, value: &str, rule: fn(&str) -> names::Broken) -> Option<Cause> {
    rule(value).map(|rule| Cause::invalid(field, value, &rule))
}

fn spec(spec: &Spec) -> Vec<Cause> {
    let volumes = spec.volumes.as_deref().unwrap_or_default();
    let mut causes = named("spec.volumes", volumes);
    let volumes: BTreeSet<&str> = volumes.iter().map(|volume| text(&volume.name)).collect();
    let mut taken = BTreeSet::new();
    if spec.containers.as_ref().is_none_or(Vec::is_empty) {
        causes.push(Cause::required("spec.containers", ""));
    }
    let lists = [("spec.containers", &spec.containers), ("spec.initContainers", &spec.init_containers)];
    for (field, list) in lists {
        for (index, one) in list.iter().flatten().enumerate() {
            let field = format!("{field}[{index}]");
            causes.extend(container(&field, one, &volumes, &mut taken));
        }
    }
    causes.extend(policies(spec));
    causes.extend(scheduling_gates(spec));
    causes
}

fn container<'a>(
    field: &str,
    container: &'a Container,
    volumes: &BTreeSet<&str>,
    taken: &mut BTreeSet<&'a str>,
) -> Vec<Cause> {
    let mut causes = unique_name(&format!("{field}.name"), text(&container.name), taken);
    causes.extend(image(&format!("{field}.image"), text(&container.image)));
    for (index, env) in container.env.iter().flatten().enumerate() {
        if text(&env.name).is_empty() {
            causes.push(Cause::required(format!("{field}.env[{index}].name"), ""));
        }
    }
    for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
        let (field, name) = (format!("{field}.volumeMounts[{index}].name"), text(&mount.name));
        if !volumes.contains(name) {
            causes.push(Cause::not_found(field, name));
        }
    }
    causes
}

fn unique_name<'a>(field: &str, name: &'a str, taken: &mut BTreeSet<&'a str>) -> Vec<Cause> {
    if name.is_empty() {
        return vec![Cause::required(field, "")];
    }
    if !taken.insert(name) {
        return vec![Cause::duplicate(field, name)];
    }
    broken(field, name, names::label).into_iter().collect()
}

fn image(field: &str, image: &str) -> Option<Cause> {
    let rule = "must not have leading or trailing whitespace";
    match image {
        "" => Some(Cause::required(field, "")),
        image if image.trim() != image => Some(Cause::invalid(field, image, rule)),
        _ => None,
    }
}

fn named(field: &str, list: &[Named]) -> Vec<Cause> {
    let mut taken = BTreeSet::new();
    let items = list.iter().enumerate();
    items
        .flat_map(|(index, item)| unique_name(&format!("{field}[{index}].name"), text(&item.name), &mut taken))
        .collect()
}

fn policies(spec: &Spec) -> Vec<Cause> {
    let restart = ["Always", "OnFailure", "Never"];
    let dns = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    let one = supported("spec.restartPolicy", &spec.restart_policy, &restart);
    let other = supported("spec.dnsPolicy", &spec.dns_policy, &dns);
    one.into_iter().chain(other).collect()
}

fn supported(field: &str, value: &Option<String>, words: &[&str]) -> Option<Cause> {
    let value = value.as_deref()?;
    (!words.contains(&value)).then(|| Cause::not_supported(field, value, words))
}

fn scheduling_gates(spec: &Spec) -> Vec<Cause> {
    let gates = spec.scheduling_gates.as_deref().unwrap_or_default();
    let mut causes = Vec::new();
    let mut taken = BTreeSet::new();
    for (index, gate) in gates.iter().enumerate() {
        let (field, name) = (format!("spec.schedulingGates[{index}]"), text(&gate.name));
        causes.extend(broken(&field, name, names::qualified_name));
        if !taken.insert(name) {
            causes.push(Cause::duplicate(field, name));
        }
    }
    if !gates.is_empty() && !text(&spec.node_name).is_empty() {
        let detail = "cannot be set until all schedulingGates have been cleared";
        causes.push(Cause::forbidden("spec.nodeName", detail));
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::super::shape::decode;
    use super::*;
    use serde_json::{Value, json};

    fn pod() -> Value {
        json!({
            "metadata": {"name": "x", "labels": {"setGateway": "foo"}},
            "spec": {"containers": [{"name": "client", "image": "alpine/curl"}]}
        })
    }

    #[track_caller]
    fn check(pointer: &str, value: Value, expect: &str) {
        let mut pod = pod();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        pod.pointer_mut(parent).unwrap()[key] = value;
        let causes = validate(&decode(&pod).unwrap());
        let causes: Vec<_> = causes.iter().map(|it| format!("{}: {}", it.field, it.message)).collect();
        assert_eq!(causes.len(), 1, "{causes:?}");
        assert!(causes[0].starts_with(expect), "{causes:?}");
    }

    #[test]
    fn ordinary_pod_is_valid() {
        assert_eq!(validate(&decode(&pod()).unwrap()), []);
    }

    #[test]
    fn metadata_is_checked_by_the_rules_of_names() {
        check("/metadata/name", json!(null), "metadata.name: Required value: name or");
        check("/metadata/name", json!("A"), "metadata.name: Invalid value: \"A\": a lowercase RFC 1123");
        let expect = "metadata.labels: Invalid value: \"a/b\": a valid label must be";
        check("/metadata/labels", json!({"setGateway": "a/b"}), expect);
        check("/metadata/annotations", json!({"/": "x"}), "metadata.annotations: Invalid value: \"/\"");
    }

    #[test]
    fn annotation_values_are_any_text() {
        let mut pod = pod();
        pod["metadata"]["annotations"] = json!({"setGateway": "a/b and more"});
        assert_eq!(validate(&decode(&pod).unwrap()), []);
    }

    #[test]
    fn containers_need_names_and_images_and_share_one_set_of_names() {
        let client = json!({"name": "client", "image": "i"});
        check("/spec/containers", json!([]), "spec.containers: Required value");
        check("/spec/containers/0/image", json!(""), "spec.containers[0].image: Required value");
        check("/spec/containers/0/name", json!("A"), "spec.containers[0].name: Invalid value");
        let expect = "spec.initContainers[0].name: Duplicate value: \"client\"";
        check("/spec/initContainers", json!([client]), expect);
        let expect = "spec.containers[0].volumeMounts[0].name: Not found: \"v\"";
        check("/spec/containers/0/volumeMounts", json!([{"name": "v", "mountPath": "/"}]), expect);
    }

    #[test]
    fn scheduling_gates_are_unique_qualified_names_and_exclude_a_node() {
        let twice = json!([{"name": "a/b"}, {"name": "a/b"}]);
        check("/spec/schedulingGates", twice, "spec.schedulingGates[1]: Duplicate value: \"a/b\"");
        check("/spec/schedulingGates", json!([{"name": "/"}]), "spec.schedulingGates[0]: Invalid");
        let mut pod = pod();
        pod["spec"]["schedulingGates"] = json!([{"name": "a/b"}]);
        pod["spec"]["nodeName"] = json!("n");
        assert_eq!(validate(&decode(&pod).unwrap())[0].field, "spec.nodeName");
    }
}
