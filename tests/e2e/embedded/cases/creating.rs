//! Who may do what, and what becomes of a new Pod.

use serde_json::{Value, json};

use super::*;

/// Rights and tokens.
#[rustfmt::skip]
pub fn access() -> Vec<Case> {
    use Who::{Nobody, Provisioner, Stranger};
    vec![
        send("nobody creates", "POST pods", client("a")).by(Nobody),
        send("a token that nobody knows", "POST pods", client("a")).by(Stranger),
        get("a token that nobody knows, for readiness", "GET /readyz").by(Stranger),
        get("readiness is told to everybody", "GET /readyz").by(Nobody),
        get("and the version", "GET /version").by(Nobody),
        get("discovery is not", "GET /api/v1").by(Nobody),
        get("a verb that the Role lacks", "GET podtemplates").by(Provisioner),
        get("a list that the Role allows", "GET pods").by(Provisioner),
        get("a list of all namespaces", "GET /api/v1/pods").by(Provisioner),
        get("the namespace itself", "GET /api/v1/namespaces/{namespace}").by(Provisioner),
        send("another namespace", "POST /api/v1/namespaces/elsewhere/pods", client("a")).by(Provisioner),
        raw("another namespace, with a body that is none", "POST /api/v1/namespaces/elsewhere/pods", "{")
            .by(Provisioner),
        get("what the Role allows", "GET pods/a").by(Provisioner),
    ]
}

/// Whether a Pod is made.
#[rustfmt::skip]
pub fn creation() -> Vec<Case> {
    let generated = with("a", "/metadata", json!({"generateName": "made-"}));
    vec![
        send("a client, as a dry run", "POST pods?dryRun=All", client("a")),
        get("a dry run made nothing", "GET pods/a"),
        send("a client", "POST pods", client("a")),
        send("the same again", "POST pods", client("a")),
        send("a dry run of another kind", "POST pods?dryRun=Some", client("b")),
        send("a name that the server makes up", "POST pods", generated),
        send("in a namespace that is not there", "POST /api/v1/namespaces/nowhere/pods", client("b")),
        send("an invalid one there", "POST /api/v1/namespaces/nowhere/pods", with("b", "/spec/containers", json!([]))),
        send("of another namespace", "POST pods", with("b", "/metadata/namespace", json!("elsewhere"))),
        send("of another kind", "POST pods", with("b", "/kind", json!("Service"))).but_words(PARSER),
        send("without kind and version", "POST pods?dryRun=All",
            json!({"metadata": client("b")["metadata"], "spec": client("b")["spec"]})),
        raw("malformed JSON", "POST pods", "{\"kind\": \"Pod\"").but_words(PARSER),
        raw("nothing", "POST pods", "").but_words(PARSER),
        raw("text/plain", "POST pods", "x").typed("text/plain").but_words("a real one takes more media types"),
        raw("YAML", "POST pods", "{}").typed("application/yaml").refused(415, "JSON is enough for kubectl"),
        raw("a body of more than 3 MiB", "POST pods", " ".repeat(3 * 1024 * 1024 + 1)),
        send("strict fields", "POST pods?fieldValidation=Strict&dryRun=All", with("b", "/spec/odd", json!(1)))
            .but_words("the fields are not known here"),
        send("a Pod with an owner's finalizer", "POST pods", with("held", "/metadata/finalizers",
            json!(["a.example/b"]))),
    ]
}

/// What the rules say of a Pod.
#[rustfmt::skip]
pub fn invalid() -> Vec<Case> {
    let post = |name: &'static str, pointer: &str, value: Value| send(name, "POST pods", with("b", pointer, value));
    let container = |pointer: &str, value: Value| {
        let mut pod = with("b", &format!("/spec/containers/0/{pointer}"), value);
        pod["spec"]["volumes"] = json!([{"name": "data", "emptyDir": {}}]);
        pod
    };
    let send = |name: &'static str, body: Value| send(name, "POST pods", body);
    vec![
        post("no name", "/metadata/name", Value::Null),
        post("a name in capitals", "/metadata/name", json!("A_b")),
        post("a name that is too long", "/metadata/name", json!("a".repeat(254))),
        post("a label's value with a slash", "/metadata/labels", json!({"a": "b/c"})),
        post("a label's value that is too long", "/metadata/labels", json!({"a": "b".repeat(64)})),
        post("a label's key with two slashes", "/metadata/labels", json!({"a/b/c": "x"})),
        post("a label's key with a bad prefix", "/metadata/labels", json!({"A_/b": "x"})),
        post("a label's key with an empty name", "/metadata/labels", json!({"a.example/": "x"})),
        post("a label that is no text", "/metadata/labels", json!({"a": true})).but_words(PARSER),
        post("an annotation's key with a space", "/metadata/annotations", json!({"a b": "x"})),
        post("annotations that are too large", "/metadata/annotations", json!({"a": "b".repeat(256 * 1024)})),
        post("a finalizer without a prefix", "/metadata/finalizers", json!(["x"])),
        post("no container", "/spec/containers", json!([])),
        send("a container without a name", container("name", json!(""))),
        send("a container without an image", container("image", json!(""))),
        send("an image with a space in front", container("image", json!(" alpine/curl"))),
        send("a command that is no list", container("command", json!("sleep"))).but_words(PARSER),
        send("a variable without a name", container("env", json!([{"value": "x"}]))),
        send("a mount of no volume", container("volumeMounts", json!([{"name": "x", "mountPath": "/x"}]))),
        send("a mount without a path", container("volumeMounts", json!([{"name": "data"}]))),
        post("two containers of one name", "/spec/initContainers", json!([{"name": "client", "image": "x"}])),
        post("two volumes of one name", "/spec/volumes",
            json!([{"name": "x", "emptyDir": {}}, {"name": "x", "emptyDir": {}}])),
        post("a volume's name with a dot", "/spec/volumes", json!([{"name": "x.y", "emptyDir": {}}])),
        post("an odd restart policy", "/spec/restartPolicy", json!("Sometimes")),
        post("an odd DNS policy", "/spec/dnsPolicy", json!("Odd")),
        post("a gate twice", "/spec/schedulingGates", json!([{"name": "a/b"}, {"name": "a/b"}])),
        post("a gate that is no name", "/spec/schedulingGates", json!([{"name": "/"}])),
        post("a gate and a node", "/spec/nodeName", json!("node")),
        post("a deadline of nothing", "/spec/activeDeadlineSeconds", json!(0)),
    ]
}
