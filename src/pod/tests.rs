use super::*;
use crate::testing::{context, deleting, merged, released, routed, wanted};
use serde_json::json;

fn pod(change: &Value) -> Pod {
    serde_json::from_value(merged(routed(wanted(&[])), change)).unwrap()
}

#[test]
fn a_pod_is_held_back_by_our_gate_and_no_other() {
    let gates = |names: &[&str]| {
        let gates: Vec<_> = names.iter().map(|name| json!({ "name": name })).collect();
        let mut pod = released(wanted(&[]));
        pod["metadata"]["uid"] = json!("u");
        pod["spec"]["schedulingGates"] = json!(gates);
        serde_json::from_value::<Pod>(pod).unwrap().is_gated()
    };
    assert!(gates(&[GATE]) && gates(&["example.com/later", GATE]));
    assert!(!gates(&[]) && !gates(&["example.com/later"]));
}

#[test]
fn a_pod_belongs_to_the_event_of_its_annotations() {
    let other = |key: &str, value: Value| pod(&json!({"metadata": {"annotations": {key: value}}}));
    assert!(pod(&json!({})).metadata.belongs_to(&context("/test", "1")));
    for key in [EVENT_SOURCE, EVENT_ID] {
        assert!(!other(key, json!("2")).metadata.belongs_to(&context("/test", "1")), "{key}");
        assert!(!other(key, json!(null)).metadata.belongs_to(&context("/test", "1")), "{key}");
    }
    assert!(!pod(&json!({"metadata": {"annotations": null}})).metadata.belongs_to(&context("/test", "1")));
}

#[test]
fn a_missing_field_and_a_null_are_the_same() {
    let optional = ["resourceVersion", "creationTimestamp", "deletionTimestamp", "finalizers", "labels", "annotations"];
    let bare = json!({"metadata": {"name": "a", "namespace": "n", "uid": "u"}, "spec": {}});
    let mut nulls = bare.clone();
    for field in optional {
        nulls["metadata"][field] = json!(null);
    }
    for pod in [bare, nulls] {
        let pod: Pod = serde_json::from_value(pod).unwrap();
        assert_eq!(
            (pod.metadata.label("a"), pod.metadata.annotation("a"), pod.metadata.is_being_deleted()),
            (None, None, false)
        );
        assert!(pod.metadata.resource_version.is_none() && pod.metadata.creation_timestamp.is_none());
    }
    assert!(serde_json::from_value::<Pod>(deleting(routed(wanted(&[])))).unwrap().metadata.is_being_deleted());
}

#[test]
fn a_field_of_another_type_is_named() {
    for (field, value) in [("name", json!(7)), ("labels", json!({"a": 7})), ("creationTimestamp", json!("yesterday"))] {
        let mut pod = routed(wanted(&[]));
        pod["metadata"][field] = value;
        assert!(serde_json::from_value::<Pod>(pod).is_err(), "{field}");
    }
}

#[test]
fn what_says_nothing_is_not_set() {
    for nothing in [json!(null), json!(false), json!(0), json!(0.0), json!(""), json!([]), json!({})] {
        assert!(!is_set(&nothing), "{nothing}");
    }
    for something in [json!(true), json!(-1), json!("x"), json!([null]), json!({"x": null})] {
        assert!(is_set(&something), "{something}");
    }
}

#[test]
fn containers_come_in_the_order_in_which_they_run_and_only_lists_have_any() {
    let named = |name: &str| json!([{ "name": name }]);
    let spec = json!({"containers": named("c"), "initContainers": named("i"), "ephemeralContainers": named("e")});
    assert_eq!(all_containers(&spec).map(|container| text(&container["name"])).collect::<Vec<_>>(), ["i", "c", "e"]);
    for shapeless in [json!(null), json!(7), json!({"containers": {"name": "c"}})] {
        assert_eq!(all_containers(&shapeless).count(), 0, "{shapeless}");
    }
}

#[test]
fn a_pod_of_ours_says_of_which_event_it_was_made() {
    let of = |change: Value| pod(&change).metadata.context();
    assert_eq!(of(json!({})), Some(context("/test", "1")));
    let correlated = json!({"metadata": {"annotations": {CORRELATION_ID: "c"}}});
    assert_eq!(of(correlated).unwrap().correlation_id.as_deref(), Some("c"));
    assert_eq!(of(json!({"metadata": {"annotations": {CORRELATION_ID: ""}}})).unwrap().correlation_id, None);
    // No event has an empty id.
    let annotations = json!({EVENT_SOURCE: "/test", EVENT_ID: ""});
    let forged = json!({"metadata": {"name": context("/test", "").pod_name(), "annotations": annotations}});
    assert_eq!(of(forged), None);
    for change in [
        json!({"name": "another"}),
        json!({"labels": {MANAGED_BY_LABEL: "helm"}}),
        json!({"labels": null}),
        json!({"annotations": null}),
        json!({"annotations": {EVENT_ID: "2"}}),
        json!({"annotations": {EVENT_SOURCE: null}}),
    ] {
        assert_eq!(of(json!({ "metadata": change })), None, "{change}");
    }
}
