//! The objects of `deploy/`, and what they say of the provisioner's configuration.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use provisioner::config::Config;
use provisioner::testing::merged;
use serde_json::{Value, json};
use tests::manifests::{application, documents, resources};

/// The namespace of all but the clients.
pub const SYSTEM: &str = "client-system";

/// What `deploy/` makes, and what may stand below or beside it.
pub static OBJECTS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let class = ["runtime-class.yaml", "shim.yaml"].map(|file| format!("runtime-class/{file}"));
    let example = ["job.yaml", "trigger.yaml"].map(|file| format!("examples/wait-for-answer/{file}"));
    let files = [resources("deploy"), resources("deploy/knative-service"), class.into(), example.into()].concat();
    files.iter().flat_map(|file| documents(file)).collect()
});

/// The object of this kind and name.
pub fn the<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("there is no {kind} {name}"))
}

pub fn spin_app() -> &'static Value {
    the(&OBJECTS, "SpinApp", "provisioner")
}

/// The Pod's spec of the Knative Service that can take the SpinApp's place.
pub fn knative_pod() -> &'static Value {
    &the(&OBJECTS, "Service", "provisioner")["spec"]["template"]["spec"]
}

pub fn knative_container() -> &'static Value {
    &knative_pod()["containers"][0]
}

/// The runtime config in its Secret.
pub fn runtime_config(objects: &[Value]) -> &str {
    let secret = the(objects, "Secret", "provisioner-runtime-config");
    secret["stringData"]["runtime-config.toml"].as_str().expect("the key that the shim wants")
}

/// Names and values of a SpinApp's variables or of a container's environment.
pub fn named_values(list: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{value} is no string")).to_owned();
    let list = list.as_array().unwrap();
    let values: BTreeMap<_, _> = list.iter().map(|one| (text(&one["name"]), text(&one["value"]))).collect();
    assert_eq!(values.len(), list.len(), "a name stands there twice: {list:?}");
    values
}

/// Parsed as the component parses them: the defaults of `spin.toml`, and over them the SpinApp's.
pub fn config() -> Config {
    let (defaults, set) = (application().variables, named_values(&spin_app()["spec"]["variables"]));
    let value = |name: &str| set.get(name).cloned().or_else(|| defaults[name].default.clone());
    Config::from_variables(|name| value(name).ok_or_else(|| "unset".to_owned())).unwrap()
}

/// The object has what is expected of it, and may have more.
#[track_caller]
pub fn assert_has(object: &Value, expected: &Value) {
    assert_eq!(merged(object.clone(), expected), *object, "it is to have {expected}");
}

/// The fields that hold the name of another object, and its kind.
const NAMES: [(&str, &str); 7] = [
    ("broker", "Broker"),
    ("executor", "SpinAppExecutor"),
    ("loadFromSecret", "Secret"),
    ("policyName", "ValidatingAdmissionPolicy"),
    ("runtimeClassName", "RuntimeClass"),
    ("secretName", "Secret"),
    ("serviceAccountName", "ServiceAccount"),
];

/// What an object refers to, by such a field or by a kind and a name.
pub fn references(value: &Value) -> Vec<Value> {
    let members: Vec<&Value> = match value {
        Value::Object(members) => members.values().collect(),
        Value::Array(items) => items.iter().collect(),
        _ => Vec::new(),
    };
    let itself = (value["kind"].is_string() && value["name"].is_string()).then(|| value.clone());
    let named = NAMES.iter().filter(|(field, _)| value[field].is_string());
    let named = named.map(|(field, kind)| json!({"kind": kind, "name": value[field]}));
    itself.into_iter().chain(named).chain(members.into_iter().flat_map(references)).collect()
}
