//! Strategic merge patch and JSON merge patch, for Pods.
//!
//! In: an object and a patch, both JSON. Out: the patched object. Lists of
//! maps are merged by the key that core/v1 gives each of them; `$patch`
//! directives `delete`, `replace` and `merge` and `$deleteFromPrimitiveList`
//! are known. What a patch may change is `update`'s part.

use serde_json::{Map, Value};

/// A media type of patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchType {
    /// `application/merge-patch+json`, RFC 7396.
    Merge,
    /// `application/strategic-merge-patch+json`.
    StrategicMerge,
}

impl PatchType {
    /// The media types that are accepted.
    pub const ACCEPTED: [&str; 2] = ["application/merge-patch+json", "application/strategic-merge-patch+json"];

    /// The patch type of a media type.
    pub fn of(media_type: &str) -> Option<Self> {
        let [merge, strategic] = Self::ACCEPTED;
        match media_type {
            it if it == merge => Some(Self::Merge),
            it if it == strategic => Some(Self::StrategicMerge),
            _ => None,
        }
    }

    /// Applies a patch to an object.
    pub fn apply(self, object: &mut Value, patch: &Value) {
        match self {
            Self::Merge => merge(object, patch),
            Self::StrategicMerge => strategic("", object, patch),
        }
    }
}

fn merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    for (key, value) in patch {
        merge_member(as_map(target), key, value, merge);
    }
}

fn merge_member(target: &mut Map<String, Value>, key: &str, value: &Value, mut apply: impl FnMut(&mut Value, &Value)) {
    if value.is_null() {
        target.remove(key);
    } else {
        apply(target.entry(key).or_insert(Value::Null), value);
    }
}

fn as_map(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().expect("was just made a map")
}

fn strategic(field: &str, target: &mut Value, patch: &Value) {
    match patch {
        Value::Object(patch) => strategic_map(target, patch),
        Value::Array(items) => strategic_list(field, target, items),
        scalar => *target = scalar.clone(),
    }
}

fn strategic_map(target: &mut Value, patch: &Map<String, Value>) {
    let target = as_map(target);
    match directive(patch) {
        Some("delete") => return target.clear(),
        Some("replace") => target.clear(),
        _ => {}
    }
    for (key, value) in patch {
        if let Some(list) = key.strip_prefix("$deleteFromPrimitiveList/") {
            delete_from_primitives(target, list, value);
        } else if !key.starts_with('$') {
            merge_member(target, key, value, |target, value| {
                strategic(key, target, value);
            });
        }
    }
}

fn directive(patch: &Map<String, Value>) -> Option<&str> {
    patch.get("$patch")?.as_str()
}

fn delete_from_primitives(target: &mut Map<String, Value>, list: &str, deleted: &Value) {
    let deleted = deleted.as_array().map(Vec::as_slice).unwrap_or_default();
    if let Some(items) = target.get_mut(list).and_then(Value::as_array_mut) {
        items.retain(|item| !deleted.contains(item));
    }
    if target.get(list).is_some_and(|list| list == &Value::Array(vec![])) {
        target.remove(list);
    }
}

/// How core/v1 merges a Pod's lists; a list without an entry is replaced.
enum Strategy {
    ByKey(&'static str),
    Primitives,
    Replace,
}

fn strategy(field: &str) -> Strategy {
    match field {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "env"
        | "volumes"
        | "schedulingGates"
        | "imagePullSecrets" => Strategy::ByKey("name"),
        "volumeMounts" => Strategy::ByKey("mountPath"),
        "volumeDevices" => Strategy::ByKey("devicePath"),
        "ports" => Strategy::ByKey("containerPort"),
        "hostAliases" => Strategy::ByKey("ip"),
        "topologySpreadConstraints" => Strategy::ByKey("topologyKey"),
        "conditions" => Strategy::ByKey("type"),
        "ownerReferences" => Strategy::ByKey("uid"),
        "finalizers" => Strategy::Primitives,
        _ => Strategy::Replace,
    }
}

fn strategic_list(field: &str, target: &mut Value, patch: &[Value]) {
    let replaces = |item: &Value| item.as_object().and_then(directive) == Some("replace");
    let strategy = match patch.iter().any(replaces) {
        true => Strategy::Replace,
        false => strategy(field),
    };
    let mut items = match (&strategy, target.take()) {
        (Strategy::Replace, _) => Vec::new(),
        (_, Value::Array(items)) => items,
        _ => Vec::new(),
    };
    for item in patch.iter().filter(|item| !replaces(item)) {
        merge_item(&strategy, &mut items, item);
    }
    *target = Value::Array(items);
}

fn merge_item(strategy: &Strategy, items: &mut Vec<Value>, patch: &Value) {
    match strategy {
        Strategy::Primitives if items.contains(patch) => {}
        Strategy::ByKey(key) => merge_keyed(key, items, patch),
        Strategy::Primitives | Strategy::Replace => items.push(patch.clone()),
    }
}

fn merge_keyed(key: &str, items: &mut Vec<Value>, patch: &Value) {
    let found = items.iter().position(|item| item[key] == patch[key]);
    let deleted = patch.as_object().and_then(directive) == Some("delete");
    match (found, deleted) {
        (Some(index), true) => drop(items.remove(index)),
        (None, true) => {}
        (Some(index), false) => strategic("", &mut items[index], patch),
        (None, false) => {
            let mut item = Value::Null;
            strategic("", &mut item, patch);
            items.push(item);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(patch_type: PatchType, object: Value, patch: Value, expect: Value) {
        let mut once = object;
        patch_type.apply(&mut once, &patch);
        assert_eq!(once, expect);
        patch_type.apply(&mut once, &patch);
        assert_eq!(once, expect, "a second application changed it");
    }

    #[test]
    fn one_gate_is_removed_and_the_others_stay() {
        check(
            PatchType::StrategicMerge,
            json!({"spec": {"schedulingGates": [{"name": "a/b"}, {"name": "c/d"}]}}),
            json!({"spec": {"schedulingGates": [{"$patch": "delete", "name": "a/b"}]}}),
            json!({"spec": {"schedulingGates": [{"name": "c/d"}]}}),
        );
    }

    #[test]
    fn maps_merge_and_null_deletes() {
        let object = json!({"metadata": {"labels": {"a": "1", "b": "2"}}});
        let patch = json!({"metadata": {"labels": {"a": null, "c": "3"}}});
        let expect = json!({"metadata": {"labels": {"b": "2", "c": "3"}}});
        check(PatchType::StrategicMerge, object.clone(), patch.clone(), expect.clone());
        check(PatchType::Merge, object, patch, expect);
    }

    #[test]
    fn containers_merge_by_name_and_commands_are_replaced() {
        check(
            PatchType::StrategicMerge,
            json!({"containers": [{"name": "a", "image": "x", "command": ["1"]}]}),
            json!({"containers": [{"name": "b"}, {"name": "a", "command": ["2"]}]}),
            json!({"containers": [{"name": "a", "image": "x", "command": ["2"]}, {"name": "b"}]}),
        );
    }

    #[test]
    fn finalizers_are_a_set_that_can_be_taken_from() {
        let patch = json!({"finalizers": ["b"], "$setElementOrder/finalizers": ["a", "b"]});
        let object = json!({"finalizers": ["a"]});
        check(PatchType::StrategicMerge, object, patch, json!({"finalizers": ["a", "b"]}));
        let patch = json!({"$deleteFromPrimitiveList/finalizers": ["a"]});
        check(PatchType::StrategicMerge, json!({"finalizers": ["a"]}), patch, json!({}));
    }

    #[test]
    fn replace_directive_replaces() {
        check(
            PatchType::StrategicMerge,
            json!({"labels": {"a": "1"}, "env": [{"name": "x"}]}),
            json!({"labels": {"$patch": "replace", "b": "2"}, "env": [{"$patch": "replace"}, {"name": "y"}]}),
            json!({"labels": {"b": "2"}, "env": [{"name": "y"}]}),
        );
    }

    #[test]
    fn json_merge_patch_replaces_lists() {
        let patch = json!({"gates": [{"name": "b"}]});
        check(PatchType::Merge, json!({"gates": [{"name": "a"}]}), patch.clone(), patch);
    }
}
