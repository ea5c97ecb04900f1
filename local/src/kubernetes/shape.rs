//! The fields of a Pod that its rules are about, with their types.
//!
//! In: a Pod as JSON. Out: those fields, or 400 where one has another type.
//! A field with an underscore is there for its type alone.

use super::status::Status;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

type List<T> = Option<Vec<T>>;
type StringMap = Option<BTreeMap<String, String>>;

/// The fields of a Pod that the rules are about, with their types.
#[derive(Debug, Deserialize)]
pub struct Shape {
    #[serde(default)]
    pub metadata: Metadata,
    #[serde(default)]
    pub spec: Spec,
}

/// `metadata`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    pub name: Option<String>,
    #[serde(rename = "generateName")]
    _generate_name: Option<String>,
    #[serde(rename = "namespace")]
    _namespace: Option<String>,
    pub labels: StringMap,
    pub annotations: StringMap,
    #[serde(rename = "finalizers")]
    _finalizers: List<String>,
}

/// `spec`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    pub containers: List<Container>,
    pub init_containers: List<Container>,
    pub scheduling_gates: List<Named>,
    pub volumes: List<Named>,
    pub node_name: Option<String>,
    pub restart_policy: Option<String>,
    pub dns_policy: Option<String>,
    #[serde(rename = "hostNetwork")]
    _host_network: Option<bool>,
    #[serde(rename = "automountServiceAccountToken")]
    _automount: Option<bool>,
}

/// A container, of either list.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    pub name: Option<String>,
    pub image: Option<String>,
    #[serde(rename = "command")]
    _command: List<String>,
    #[serde(rename = "args")]
    _args: List<String>,
    pub env: List<Named>,
    pub volume_mounts: List<Named>,
}

/// Anything in a list that goes by its name.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Named {
    pub name: Option<String>,
    #[serde(rename = "value")]
    _value: Option<String>,
}

/// Reads a Pod's fields by their types; a wrong type is a 400.
pub fn decode(pod: &Value) -> Result<Shape, Status> {
    let shape = match list_for_object(pod) {
        Some(field) => Err(format!("{field} is a list, not an object")),
        None => Shape::deserialize(pod).map_err(|error| error.to_string()),
    };
    shape.map_err(|error| {
        let message = format!("Pod in version \"v1\" cannot be handled as a Pod: {error}");
        Status::bad_request(message)
    })
}

/// A list where an object belongs, which serde would take for a struct.
fn list_for_object(pod: &Value) -> Option<&'static str> {
    let spec = &pod["spec"];
    let lists = ["containers", "initContainers"].map(|list| spec[list].as_array());
    let mut containers = lists.into_iter().flatten().flatten();
    match () {
        () if pod["metadata"].is_array() => Some("metadata"),
        () if spec.is_array() => Some("spec"),
        () if containers.any(Value::is_array) => Some("a container"),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod() -> Value {
        json!({
            "metadata": {"name": "x", "labels": {"setGateway": "foo"}},
            "spec": {"containers": [{"name": "client", "image": "alpine/curl"}]}
        })
    }

    #[test]
    fn value_of_the_wrong_type_is_a_bad_request() {
        let mut pod = pod();
        pod["metadata"]["labels"]["setGateway"] = json!(true);
        let status = decode(&pod).unwrap_err();
        assert_eq!((status.code, status.reason), (400, "BadRequest"));
        assert!(status.message.contains("cannot be handled as a Pod"));
    }

    #[test]
    fn list_in_the_place_of_an_object_is_a_bad_request() {
        for pointer in ["/metadata", "/spec", "/spec/containers/0"] {
            let mut pod = pod();
            *pod.pointer_mut(pointer).unwrap() = json!(["x", "i"]);
            assert_eq!(decode(&pod).unwrap_err().code, 400, "{pointer}");
        }
    }
}
