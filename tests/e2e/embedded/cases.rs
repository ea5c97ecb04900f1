//! The requests.

use serde_json::{Value, json};

use crate::deploy::unrouted;

/// One request.
pub struct Case {
    /// What it is about.
    pub name: &'static str,
    /// Method and path; a path without a slash in front is in the test's namespace.
    pub request: &'static str,
    /// The body; `{uid}` and `{version}` in it are those of the Pod in the path.
    pub body: String,
    pub media: &'static str,
    /// Whether the words for people may differ, because a real one says more of itself.
    pub is_without_words: bool,
    /// Whether it comes with a token.
    pub has_token: bool,
}

fn get(name: &'static str, request: &'static str) -> Case {
    Case { name, request, body: String::new(), media: "application/json", is_without_words: false, has_token: true }
}

fn send(name: &'static str, request: &'static str, body: Value) -> Case {
    Case { body: body.to_string(), ..get(name, request) }
}

fn patch(name: &'static str, request: &'static str, body: Value) -> Case {
    Case { media: "application/strategic-merge-patch+json", ..send(name, request, body) }
}

fn merge(name: &'static str, request: &'static str, body: Value) -> Case {
    Case { media: "application/merge-patch+json", ..send(name, request, body) }
}

/// A client as the provisioner makes it, in the namespace of the path.
fn client(name: &str) -> Value {
    let mut pod = unrouted(name);
    pod["metadata"]["namespace"].take();
    pod["metadata"]["labels"]["of"] = json!(name);
    pod
}

/// The same with something else at a JSON pointer.
fn with(name: &str, pointer: &str, value: Value) -> Value {
    let mut pod = client(name);
    let (parent, field) = pointer.rsplit_once('/').expect("a pointer has a slash");
    let parent = pod.pointer_mut(parent).expect("the pointer's parent is there");
    parent[field] = value;
    pod
}

fn release() -> Value {
    json!({
        "metadata": {"uid": "{uid}"},
        "spec": {"schedulingGates": [{"$patch": "delete", "name": "podgateway.io/gateway-verification"}]},
    })
}

/// Requests to an API without webhooks, in this order.
pub fn plain() -> Vec<Case> {
    [creation(), invalid(), reading(), patches(), deletion()].into_iter().flatten().collect()
}

/// Requests to an API whose gateway `foo` admits, denies, or is down.
pub fn routed(is_down: bool) -> Vec<Case> {
    let cases = vec![
        send("a client, as a dry run", "POST pods?dryRun=All", client("a")),
        send("a client", "POST pods", client("a")),
        send("an invalid client", "POST pods", with("b", "/spec/containers", json!([]))),
        send("the same again", "POST pods", client("a")),
        send("a client of nobody's", "POST pods", with("b", "/metadata/annotations/setGateway", json!("nope"))),
        patch("a client is released", "PATCH pods/a", release()),
    ];
    // A real one says which call failed.
    cases.into_iter().map(|case| Case { is_without_words: is_down, ..case }).collect()
}

/// Whether a Pod is made.
fn creation() -> Vec<Case> {
    vec![
        send("a client, as a dry run", "POST pods?dryRun=All", client("a")),
        get("a dry run made nothing", "GET pods/a"),
        send("a client", "POST pods", client("a")),
        send("the same again", "POST pods", client("a")),
        send("in a namespace that is not there", "POST /api/v1/namespaces/nowhere/pods", client("b")),
    ]
}

/// What the rules say of a Pod, of several mistakes at once.
fn invalid() -> Vec<Case> {
    let metadata = json!({
        "name": "A_b",
        "labels": {"a": "b/c", "long": "b".repeat(64), "a/b/c": "x", "A_/b": "x", "a.example/": "x"},
        "annotations": {"a b": "x", "long": "b".repeat(256 * 1024)},
        "finalizers": ["x"],
    });
    let spec = json!({
        "restartPolicy": "Sometimes",
        "dnsPolicy": "Odd",
        "activeDeadlineSeconds": 0,
        "nodeName": "node",
        "schedulingGates": [{"name": "a/b"}, {"name": "a/b"}, {"name": "/"}],
        "volumes": [{"name": "x", "emptyDir": {}}, {"name": "x", "emptyDir": {}}, {"name": "x.y", "emptyDir": {}}],
        "initContainers": [{"name": "client", "image": "x"}],
        "containers": [
            {"name": "client", "image": " alpine/curl", "env": [{"value": "x"}]},
            {"name": "", "image": "", "volumeMounts": [{"name": "none", "mountPath": "/x"}, {"name": "x"}]},
        ],
    });
    let post = |name: &'static str, pointer: &str, value: Value| send(name, "POST pods", with("b", pointer, value));
    vec![
        post("mistakes in the metadata", "/metadata", metadata),
        post("mistakes in the spec", "/spec", spec),
        post("no container", "/spec/containers", json!([])),
        post("a gate and a node", "/spec/nodeName", json!("node")),
    ]
}

/// Objects and lists.
fn reading() -> Vec<Case> {
    vec![
        get("a client is read", "GET pods/a"),
        get("a Pod that is not there", "GET pods/nope"),
        get("a PodTemplate that is not there", "GET podtemplates/nope"),
        send("a second client", "POST pods", client("b")),
        send("a third client", "POST pods", client("c")),
        get("a list of a namespace that is not there", "GET /api/v1/namespaces/nowhere/pods"),
        get("the first two", "GET pods?labelSelector=of&limit=2"),
        get("the next two", "GET pods?labelSelector=of&limit=2&continue={next}"),
        // The token is the server's own.
        Case { is_without_words: true, ..get("a page that is none", "GET pods?limit=2&continue=odd") },
        get("by labels", "GET pods?labelSelector=of%3Da,setGateway%21%3Dbar"),
        get("by a set", "GET pods?labelSelector=of+in+%28a,b%29"),
        get("by what is not in a set", "GET pods?labelSelector=of+notin+%28a,b%29,of"),
        get("by a field", "GET pods?fieldSelector=metadata.name%3Da"),
        Case { has_token: false, ..get("without a right", "GET pods") },
    ]
}

/// What a patch may do, as the provisioner sends it.
fn patches() -> Vec<Case> {
    let two = json!([{"name": "podgateway.io/gateway-verification"}, {"name": "other.example/gate"}]);
    vec![
        patch("as a dry run", "PATCH pods/a?dryRun=All", release()),
        patch("our gate is removed", "PATCH pods/a", release()),
        patch("again", "PATCH pods/a", release()),
        send("a client with another's gate", "POST pods", with("d", "/spec/schedulingGates", two)),
        patch("our gate is removed of two", "PATCH pods/d", release()),
        patch("of a Pod that is not there", "PATCH pods/nope", release()),
        patch("of another uid", "PATCH pods/b", json!({"metadata": {"uid": "0b0e3f0a-0000-4000-8000-000000000000"}})),
        merge("an annotation", "PATCH pods/b", json!({"metadata": {"annotations": {"podgateway.io/reported": "1"}}})),
    ]
}

/// When a Pod is gone.
fn deletion() -> Vec<Case> {
    let only = |field: &str, value: &str| json!({"preconditions": {field: value}});
    let mut on_a_node = with("e", "/spec/schedulingGates", Value::Null);
    on_a_node["spec"]["nodeName"] = json!("node");
    let exactly = json!({"gracePeriodSeconds": 0, "preconditions": {"uid": "{uid}", "resourceVersion": "{version}"}});
    vec![
        send("of another uid", "DELETE pods/b", only("uid", "0b0e3f0a-0000-4000-8000-000000000000")),
        send("of another version", "DELETE pods/b", only("resourceVersion", "1")),
        get("as a dry run", "DELETE pods/b?dryRun=All"),
        send("of a gated client, as the provisioner deletes it", "DELETE pods/b", exactly),
        get("it is gone", "GET pods/b"),
        send("of what is not there", "DELETE pods/b", json!({})),
        get("of a released client that has no node", "DELETE pods/a"),
        send("a Pod on a node, which has its time to end", "POST pods", on_a_node),
        send("ends in its own time", "DELETE pods/e", json!({"preconditions": {"uid": "{uid}"}})),
        patch("is patched meanwhile", "PATCH pods/e", json!({"metadata": {"labels": {"x": "1"}}})),
    ]
}
