//! Strategic merge patch and JSON merge patch, for Pods.
//!
//! In: an object and a patch, both JSON. Out: the patched object. A strategic patch merges the lists of maps that a Pod's
//! patch may change by the key that core/v1 gives each of them; it knows the directives `$patch` (`delete`, `replace` and
//! `merge`) and `$deleteFromPrimitiveList`. What a patch may change is `update`'s part.

use super::status::Status;
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
        let types = [Self::Merge, Self::StrategicMerge];
        Self::ACCEPTED.iter().position(|accepted| *accepted == media_type).map(|at| types[at])
    }

    /// Applies a patch to an object.
    pub fn apply(self, object: &mut Value, patch: &Value) -> Result<(), Status> {
        if self == Self::StrategicMerge
            && let Some(odd) = odd_directive(patch)
        {
            return Err(Status::unknown(format!("unknown patch type: {odd}")));
        }
        self.merge("", object, patch);
        Ok(())
    }

    fn merge(self, field: &str, target: &mut Value, patch: &Value) {
        match patch {
            Value::Object(patch) => self.merge_map(target, patch),
            Value::Array(items) if self == Self::StrategicMerge => merge_list(field, target, items),
            other => *target = other.clone(),
        }
    }

    fn merge_map(self, target: &mut Value, patch: &Map<String, Value>) {
        // A merge patch has no directives: its members are what they are.
        let is_strategic = self == Self::StrategicMerge;
        if !target.is_object() || is_strategic && directive(patch).is_some_and(|directive| directive != "merge") {
            *target = Value::Object(Map::new());
        }
        let Some(target) = target.as_object_mut() else { return };
        for (key, value) in patch {
            match key.strip_prefix("$deleteFromPrimitiveList/").filter(|_| is_strategic) {
                Some(list) => delete_from_primitives(target, list, value),
                None if is_strategic && key.starts_with('$') => {}
                None if value.is_null() => drop(target.remove(key)),
                None => self.merge(key, target.entry(key).or_insert(Value::Null), value),
            }
        }
    }
}

fn directive(patch: &Map<String, Value>) -> Option<&str> {
    patch.get("$patch")?.as_str()
}

fn odd_directive(patch: &Value) -> Option<&str> {
    match patch {
        Value::Array(items) => items.iter().find_map(odd_directive),
        Value::Object(members) => {
            let odd = directive(members).filter(|word| !["delete", "replace", "merge"].contains(word));
            odd.or_else(|| members.values().find_map(odd_directive))
        }
        _ => None,
    }
}

fn delete_from_primitives(target: &mut Map<String, Value>, list: &str, deleted: &Value) {
    let Some(items) = target.get_mut(list).and_then(Value::as_array_mut) else { return };
    items.retain(|item| !deleted.as_array().is_some_and(|deleted| deleted.contains(item)));
    if items.is_empty() {
        target.remove(list);
    }
}

/// The key by which core/v1 merges a list; the other lists of maps are replaced, or may not change at all.
fn merge_key(field: &str) -> Option<&'static str> {
    match field {
        "containers" | "initContainers" | "env" | "volumes" | "schedulingGates" | "imagePullSecrets" => Some("name"),
        "volumeMounts" => Some("mountPath"),
        "ownerReferences" => Some("uid"),
        _ => None,
    }
}

fn merge_list(field: &str, target: &mut Value, patch: &[Value]) {
    let replaces = |item: &Value| item["$patch"] == "replace";
    let old = target.as_array().cloned().unwrap_or_default();
    let new = patch.iter().filter(|item| !replaces(item));
    *target = match merge_key(field) {
        _ if patch.iter().any(replaces) => new.cloned().collect(),
        Some(key) => new.fold(old, |items, item| merge_item(key, items, item)).into(),
        // A set of texts: what is new stands in front.
        None if field == "finalizers" => new.chain(old.iter().filter(|item| !patch.contains(item))).cloned().collect(),
        None => new.cloned().collect(),
    };
}

fn merge_item(key: &str, mut items: Vec<Value>, patch: &Value) -> Vec<Value> {
    if patch["$patch"] == "delete" {
        items.retain(|item| item[key] != patch[key]);
    } else if let Some(item) = items.iter_mut().find(|item| item[key] == patch[key]) {
        PatchType::StrategicMerge.merge("", item, patch);
    } else {
        items.push(patch.clone());
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(patch_type: PatchType, object: Value, patch: Value, expected: Value) {
        let mut once = object;
        patch_type.apply(&mut once, &patch).unwrap();
        assert_eq!(once, expected);
        patch_type.apply(&mut once, &patch).unwrap();
        assert_eq!(once, expected, "a second application changed it");
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
        let expected = json!({"metadata": {"labels": {"b": "2", "c": "3"}}});
        check(PatchType::StrategicMerge, object.clone(), patch.clone(), expected.clone());
        check(PatchType::Merge, object, patch, expected);
    }

    #[test]
    fn containers_merge_by_name_and_commands_are_replaced() {
        check(
            PatchType::StrategicMerge,
            json!({"containers": [{"name": "a", "image": "x", "command": ["1"]}, {"name": "b"}]}),
            json!({"containers": [{"name": "b", "image": "y"}, {"name": "a", "command": ["2"]}]}),
            json!({"containers": [{"name": "a", "image": "x", "command": ["2"]}, {"name": "b", "image": "y"}]}),
        );
    }

    #[test]
    fn finalizers_are_a_set_that_can_be_taken_from() {
        let patch = json!({"finalizers": ["b"], "$setElementOrder/finalizers": ["a", "b"]});
        check(PatchType::StrategicMerge, json!({"finalizers": ["a"]}), patch, json!({"finalizers": ["b", "a"]}));
        let patch = json!({"$deleteFromPrimitiveList/finalizers": ["a"]});
        check(PatchType::StrategicMerge, json!({"finalizers": ["a"]}), patch, json!({}));
    }

    #[test]
    fn directives_replace_and_odd_ones_are_refused() {
        check(
            PatchType::StrategicMerge,
            json!({"labels": {"a": "1"}, "env": [{"name": "x"}]}),
            json!({"labels": {"$patch": "replace", "b": "2"}, "env": [{"$patch": "replace"}, {"name": "y"}]}),
            json!({"labels": {"b": "2"}, "env": [{"name": "y"}]}),
        );
        let odd = json!({"labels": [{"$patch": "odd"}]});
        assert!(PatchType::StrategicMerge.apply(&mut json!({}), &odd).is_err());
    }

    #[test]
    fn json_merge_patch_replaces_lists() {
        let patch = json!({"gates": [{"name": "b"}]});
        check(PatchType::Merge, json!({"gates": [{"name": "a"}]}), patch.clone(), patch);
    }

    #[test]
    fn json_merge_patch_has_no_directives() {
        let patch = json!({"labels": {"$patch": "replace"}});
        check(
            PatchType::Merge,
            json!({"labels": {"a": "1"}}),
            patch,
            json!({"labels": {"a": "1", "$patch": "replace"}}),
        );
    }
}
