//! The types of a Pod's fields, as far as a mistake in a PodTemplate can miss them.
//!
//! In: a Pod as JSON. Out: 400 where a field has another type. Fields that are not in the table may hold anything: what
//! they mean is nobody's business here.

use super::status::Status;
use serde_json::Value;

/// The fields of a type. `*` is every member of a list or of a map, and `|` stands between two names.
#[rustfmt::skip]
const TYPES: [(&str, &[&str]); 5] = [
    ("object", &[
        "metadata", "metadata.labels|annotations", "spec", "spec.securityContext|nodeSelector",
        "spec.containers|initContainers|volumes|schedulingGates|tolerations.*",
        "spec.containers|initContainers.*.securityContext|resources",
        "spec.containers|initContainers.*.env|volumeMounts|ports.*",
    ]),
    ("array", &[
        "metadata.finalizers", "spec.containers|initContainers|volumes|schedulingGates|tolerations",
        "spec.containers|initContainers.*.command|args|env|volumeMounts|ports",
    ]),
    ("string", &[
        "metadata.name|generateName|namespace|uid|resourceVersion", "metadata.labels|annotations|finalizers.*",
        "spec.nodeName|restartPolicy|dnsPolicy|serviceAccountName", "spec.volumes|schedulingGates.*.name",
        "spec.containers|initContainers.*.name|image", "spec.containers|initContainers.*.command|args.*",
        "spec.containers|initContainers.*.env|volumeMounts.*.name|value|mountPath",
    ]),
    ("bool", &["spec.hostNetwork|hostPID|hostIPC|shareProcessNamespace|automountServiceAccountToken"]),
    ("number", &["spec.activeDeadlineSeconds|terminationGracePeriodSeconds"]),
];

/// Refuses a Pod in which a field has another type than it should.
pub fn check(pod: &Value) -> Result<(), Status> {
    let fields = TYPES.iter().flat_map(|(expected, fields)| fields.iter().map(move |field| (*expected, *field)));
    for (expected, field) in fields {
        let found = at(pod, field).into_iter().map(type_of).find(|found| ![expected, "null"].contains(found));
        if let Some(found) = found {
            return Err(Status::bad_request(format!(
                "Pod in version \"v1\" cannot be handled as a Pod: json: cannot unmarshal {found} into {field}, which is \
                 of type {expected}"
            )));
        }
    }
    Ok(())
}

fn at<'a>(value: &'a Value, path: &str) -> Vec<&'a Value> {
    path.split('.').fold(vec![value], |found, step| found.into_iter().flat_map(|value| members(value, step)).collect())
}

fn members<'a>(value: &'a Value, step: &str) -> Vec<&'a Value> {
    match (value, step) {
        (Value::Object(map), "*") => map.values().collect(),
        (Value::Array(list), "*") => list.iter().collect(),
        (Value::Object(map), names) => names.split('|').filter_map(|name| map.get(name)).collect(),
        _ => Vec::new(),
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn value_of_another_type_is_a_bad_request_at_any_depth() {
        let pod = json!({
            "metadata": {"name": "x", "labels": {"setGateway": "foo"}},
            "spec": {"containers": [{"name": "client", "command": ["true"], "env": [{"name": "a", "value": null}]}]},
        });
        assert_eq!(check(&pod), Ok(()));
        for pointer in
            ["/metadata", "/metadata/labels/setGateway", "/spec/containers/0", "/spec/containers/0/command/0"]
        {
            let mut pod = pod.clone();
            *pod.pointer_mut(pointer).unwrap() = json!([1]);
            let status = check(&pod).unwrap_err();
            assert_eq!((status.code.as_u16(), status.reason), (400, "BadRequest"), "{pointer}");
            assert!(status.message.contains("cannot unmarshal array"), "{status}");
        }
    }
}
