//! Patches, deletions, and what the gateways' webhooks do.

use serde_json::{Value, json};

use super::*;

const DIFFERENCE: &str = "a real one appends the difference";

/// These tolerations, which every Pod gets by default, and one more.
fn tolerated(conditions: &[&str]) -> Value {
    let default = conditions.iter().map(|condition| {
        let key = format!("node.kubernetes.io/{condition}");
        json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})
    });
    json!({"spec": {"tolerations": default.chain([json!({"key": "a", "operator": "Exists"})]).collect::<Vec<_>>()}})
}

/// What a patch may do.
#[rustfmt::skip]
pub fn patches() -> Vec<Case> {
    let new_label = json!({"metadata": {"labels": {"new": "1", "of": null}}});
    let two = json!([{"name": "podgateway.io/gateway-verification"}, {"name": "other.example/gate"}]);
    vec![
        patch("our gate is removed, as a dry run", "PATCH pods/a?dryRun=All", release()),
        get("a dry run removed nothing", "GET pods/a"),
        patch("our gate is removed", "PATCH pods/a", release()),
        patch("again", "PATCH pods/a", release()),
        get("a released client", "GET pods/a"),
        send("a client with another's gate", "POST pods", with("d", "/spec/schedulingGates", two)),
        patch("our gate is removed of two", "PATCH pods/d", release()),
        patch("of another uid", "PATCH pods/b", json!({"metadata": {"uid": "0b0e3f0a-0000-4000-8000-000000000000"}})),
        patch("of a Pod that is not there", "PATCH pods/nope", release()),
        patch("of another version", "PATCH pods/b", json!({"metadata": {"resourceVersion": "1"}})),
        patch("of the very version", "PATCH pods/b",
            json!({"metadata": {"resourceVersion": "{version}", "labels": {"x": "1"}}})),
        patch("of another name", "PATCH pods/b", json!({"metadata": {"name": "other"}})),
        patch("of another namespace", "PATCH pods/b", json!({"metadata": {"namespace": "other"}})),
        merge("labels, as a dry run", "PATCH pods/b?dryRun=All", new_label.clone()),
        merge("labels", "PATCH pods/b", new_label),
        merge("no change", "PATCH pods/b", json!({})),
        merge("an annotation", "PATCH pods/b", json!({"metadata": {"annotations": {"podgateway.io/reported": "1"}}})),
        merge("a label that is invalid", "PATCH pods/b", json!({"metadata": {"labels": {"a": "b/c"}}})),
        merge("a label that is no text, merged", "PATCH pods/b", json!({"metadata": {"labels": {"a": 1}}}))
            .but_words(PARSER),
        patch("a dry run of another kind", "PATCH pods/b?dryRun=Some", json!({})),
        merge("a deadline", "PATCH pods/b?dryRun=All", json!({"spec": {"activeDeadlineSeconds": 9}}))
            .refused(422, "it is set at creation"),
        merge("a gate more", "PATCH pods/b", json!({"spec": {"schedulingGates": [{"name": "a/b"}]}})),
        merge("every gate", "PATCH pods/c", json!({"spec": {"schedulingGates": null}})),
        merge("a status", "PATCH pods/b", json!({"status": {"phase": "Running"}})),
        patch("an image", "PATCH pods/b", json!({"spec": {"containers": [{"name": "client", "image": "other"}]}})),
        patch("a command", "PATCH pods/b", json!({"spec": {"containers": [{"name": "client", "command": ["x"]}]}}))
            .but_words(DIFFERENCE),
        patch("a container more", "PATCH pods/b", json!({"spec": {"containers": [{"name": "more", "image": "x"}]}})),
        patch("a toleration more", "PATCH pods/c", tolerated(&["not-ready", "unreachable"])),
        merge("no toleration", "PATCH pods/c", json!({"spec": {"tolerations": null}})).but_words(DIFFERENCE),
        merge("a node for a released Pod", "PATCH pods/c", json!({"spec": {"nodeName": "node"}})).but_words(DIFFERENCE),
        patch("finalizers are added to", "PATCH pods/held", json!({"metadata": {"finalizers": ["c.example/d"]}})),
        patch("and taken from", "PATCH pods/held",
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["c.example/d"]}})),
        patch("labels are replaced", "PATCH pods/held",
            json!({"metadata": {"labels": {"$patch": "replace", "only": "1"}}})),
        patch("an odd directive", "PATCH pods/b", json!({"metadata": {"labels": {"$patch": "odd"}}})).but_words(PARSER),
        merge("a directive, which a merge patch has none of", "PATCH pods/b",
            json!({"metadata": {"labels": {"$patch": "replace"}}})),
        raw("malformed JSON", "PATCH pods/b", "{").typed(STRATEGIC).but_words(PARSER),
        raw("malformed JSON for a Pod that is not there", "PATCH pods/nope", "{").typed(STRATEGIC).but_words(PARSER),
        send("a patch as JSON", "PATCH pods/b", json!({})).but_words("a real one takes more media types"),
        send("a JSON patch", "PATCH pods/b", json!([])).typed("application/json-patch+json")
            .refused(415, "nothing here sends it"),
        send("an apply", "PATCH pods/b?fieldManager=x&dryRun=All", client("b")).typed("application/apply-patch+yaml")
            .refused(415, "fields have no managers here"),
        patch("a node selector for a gated Pod", "PATCH pods/b?dryRun=All",
            json!({"spec": {"nodeSelector": {"a": "b"}}})).refused(422, "there are no nodes"),
        send("an update", "PUT pods/b", client("b")).refused(405, "nothing here sends it"),
    ]
}

/// When a Pod is gone.
#[rustfmt::skip]
pub fn deletion() -> Vec<Case> {
    let only = |field: &str, value: &str| json!({"preconditions": {field: value}});
    let on_a_node = |name: &str| {
        let mut pod = with(name, "/spec/schedulingGates", Value::Null);
        pod["spec"]["nodeName"] = json!("node");
        pod
    };
    vec![
        send("of another uid", "DELETE pods/b", only("uid", "0b0e3f0a-0000-4000-8000-000000000000")),
        send("of another version", "DELETE pods/b", only("resourceVersion", "1")),
        raw("malformed JSON", "DELETE pods/b", "{").but_words(PARSER),
        raw("text/plain", "DELETE pods/b", "x").typed("text/plain").but_words("a real one takes more media types"),
        send("a dry run of another kind", "DELETE pods/b", json!({"dryRun": ["Some"]})),
        send("a dry run that is no list", "DELETE pods/b", json!({"dryRun": "All"})).but_words(PARSER),
        send("a negative time", "DELETE pods/b", json!({"dryRun": ["All"], "gracePeriodSeconds": -1})),
        get("as a dry run", "DELETE pods/b?dryRun=All"),
        send("as a dry run that its body asks for", "DELETE pods/b", json!({"dryRun": ["All"]})),
        get("a dry run deletes nothing", "GET pods/b"),
        send("of a gated client, as the provisioner deletes it", "DELETE pods/b",
            json!({
                "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0,
                "preconditions": {"uid": "{uid}", "resourceVersion": "{version}"},
            })),
        get("it is gone", "GET pods/b"),
        send("of what is not there", "DELETE pods/b", json!({})),
        get("of a released client that has no node", "DELETE pods/a"),
        get("by the query", "DELETE pods/c?gracePeriodSeconds=7&propagationPolicy=Background"),
        get("with a finalizer", "DELETE pods/held"),
        get("waits", "GET pods/held"),
        get("once more", "DELETE pods/held"),
        send("its name is taken", "POST pods", client("held")),
        merge("a finalizer more is refused", "PATCH pods/held",
            json!({"metadata": {"finalizers": ["a.example/b", "c.example/d"]}})),
        merge("without its finalizer", "PATCH pods/held", json!({"metadata": {"finalizers": null}})),
        send("a Pod on a node", "POST pods", on_a_node("e")),
        send("ends in its own time", "DELETE pods/e", json!({"preconditions": {"uid": "{uid}"}})),
        send("with a longer time", "DELETE pods/e", json!({"gracePeriodSeconds": 60})),
        send("with a shorter time", "DELETE pods/e", json!({"gracePeriodSeconds": 5})),
        patch("is patched meanwhile", "PATCH pods/e", json!({"metadata": {"labels": {"x": "1"}}})),
        send("at once", "DELETE pods/e", json!({"gracePeriodSeconds": 0})),
        send("another Pod on a node", "POST pods", on_a_node("f")),
        get("in a time of the query's", "DELETE pods/f?gracePeriodSeconds=7"),
        send("one more Pod", "POST pods", client("g")),
        send("a dry run in the query counts for nothing beside a body", "DELETE pods/g?dryRun=All", json!({})),
        get("so it is gone", "GET pods/g"),
        get("of all", "DELETE pods?dryRun=All").refused(405, "nothing here sends it"),
    ]
}

/// Requests to an API with the webhook of the gateway `foo`.
#[rustfmt::skip]
pub fn routed() -> Vec<Case> {
    vec![
        send("a routed client, as a dry run", "POST pods?dryRun=All", client("a")),
        send("a routed client", "POST pods", client("a")),
        send("a client of nobody's", "POST pods", with("b", "/metadata/annotations/setGateway", json!("nope"))),
        patch("a routed client is released", "PATCH pods/a", release()),
    ]
}

/// Requests to an API whose gateway `foo` denies.
#[rustfmt::skip]
pub fn denied() -> Vec<Case> {
    vec![
        send("a client that is denied", "POST pods", client("a")),
        send("an invalid client that is denied", "POST pods", with("a", "/spec/containers", json!([]))),
    ]
}

/// Requests to an API whose gateway `foo` is down.
#[rustfmt::skip]
pub fn down() -> Vec<Case> {
    const CALL: &str = "a real one says which call failed";
    vec![
        send("a client while the gateway is down", "POST pods", client("a")).but_words(CALL),
        send("as a dry run", "POST pods?dryRun=All", client("a")).but_words(CALL),
        send("a name that is taken", "POST pods", client("there")).but_words(CALL),
        send("an invalid client", "POST pods", with("a", "/spec/containers", json!([]))).but_words(CALL),
        send("a label that is no text", "POST pods", with("a", "/metadata/labels", json!({"a": 1}))).but_words(PARSER),
    ]
}
