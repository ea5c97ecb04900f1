//! The requests, and what of the two answers has to be the same.

use serde_json::{Value, json};

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// Somebody who may do everything.
    Admin,
    /// The provisioner with its Role.
    Provisioner,
    /// Somebody with a token that nobody knows.
    Stranger,
    /// Somebody without a token.
    Nobody,
}

/// What has to be the same.
#[derive(Clone, Copy, Debug)]
pub enum Compared {
    /// All that `view` sees.
    Everything,
    /// The same but for the words, for this reason.
    ButWords(&'static str),
    /// Nothing: the embedded API refuses, with this code and for this reason, what a real one does.
    Refused(u16, &'static str),
}

/// One request.
pub struct Case {
    /// What it is about.
    pub name: &'static str,
    /// Method and path; a path without a slash in front is in the test's namespace.
    pub request: &'static str,
    /// The body; `{uid}` and `{version}` in it are those of the Pod in the path.
    pub body: String,
    pub media: &'static str,
    pub accept: &'static str,
    pub who: Who,
    pub compared: Compared,
}

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const PARSER: &str = "the words are those of the JSON parser";

impl Case {
    fn typed(self, media: &'static str) -> Self {
        Self { media, ..self }
    }

    fn by(self, who: Who) -> Self {
        Self { who, ..self }
    }

    fn table(self) -> Self {
        Self { accept: TABLE, ..self }
    }

    fn but_words(self, why: &'static str) -> Self {
        Self { compared: Compared::ButWords(why), ..self }
    }

    fn refused(self, code: u16, why: &'static str) -> Self {
        Self { compared: Compared::Refused(code, why), ..self }
    }
}

fn raw(name: &'static str, request: &'static str, body: impl Into<String>) -> Case {
    let (who, compared) = (Who::Admin, Compared::Everything);
    Case { name, request, body: body.into(), media: JSON, accept: JSON, who, compared }
}

fn get(name: &'static str, request: &'static str) -> Case {
    raw(name, request, "")
}

fn send(name: &'static str, request: &'static str, body: Value) -> Case {
    raw(name, request, body.to_string())
}

fn patch(name: &'static str, request: &'static str, body: Value) -> Case {
    send(name, request, body).typed(STRATEGIC)
}

fn merge(name: &'static str, request: &'static str, body: Value) -> Case {
    send(name, request, body).typed(MERGE)
}

/// A client as the provisioner makes it.
pub fn client(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {"setGateway": "foo", "app.kubernetes.io/name": "podgateway-client", "of": name},
            "annotations": {"setGateway": "foo", "podgateway.io/event-source": "/me", "podgateway.io/event-id": "1"},
        },
        "spec": {
            "automountServiceAccountToken": false,
            "schedulingGates": [{"name": "podgateway.io/gateway-verification"}],
            "containers": [{
                "name": "client", "image": "alpine/curl", "command": ["sleep", "infinity"],
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "capabilities": {"drop": ["ALL"]},
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
            }],
        },
    })
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
    [access(), creation(), invalid(), reading(), patches(), deletion(), discovery()].into_iter().flatten().collect()
}

fn access() -> Vec<Case> {
    use Who::{Nobody, Provisioner, Stranger};
    vec![
        send("nobody creates", "POST pods", client("a")).by(Nobody),
        send("a token that nobody knows", "POST pods", client("a")).by(Stranger),
        get("a token that nobody knows, for readiness", "GET /readyz").by(Stranger),
        get("readiness is told to everybody", "GET /readyz").by(Nobody),
        get("and the version", "GET /version").by(Nobody),
        get("discovery is not", "GET /api/v1").by(Nobody),
        get("a verb that the Role lacks", "GET pods").by(Provisioner),
        get("a list of all namespaces", "GET /api/v1/pods").by(Provisioner),
        get("the namespace itself", "GET /api/v1/namespaces/{namespace}").by(Provisioner),
        send("another namespace", "POST /api/v1/namespaces/elsewhere/pods", client("a")).by(Provisioner),
        raw("another namespace, with a body that is none", "POST /api/v1/namespaces/elsewhere/pods", "{")
            .by(Provisioner),
        get("a Pod in another namespace", "GET /api/v1/namespaces/elsewhere/pods/a").by(Provisioner),
        patch("a patch in another namespace", "PATCH /api/v1/namespaces/elsewhere/pods/a", release()).by(Provisioner),
        get("a deletion in another namespace", "DELETE /api/v1/namespaces/elsewhere/pods/a").by(Provisioner),
        get("what the Role allows", "GET pods/a").by(Provisioner),
    ]
}

fn creation() -> Vec<Case> {
    let generated = with("a", "/metadata", json!({"generateName": "made-"}));
    vec![
        send("a client, as a dry run", "POST pods?dryRun=All", client("a")),
        get("a dry run made nothing", "GET pods/a"),
        send("a client", "POST pods", client("a")),
        send("the same again", "POST pods", client("a")),
        send("the same again, as a dry run", "POST pods?dryRun=All", client("a")),
        send("a dry run of another kind", "POST pods?dryRun=Some", client("b")),
        send("a name that the server makes up", "POST pods", generated),
        send("in a namespace that is not there", "POST /api/v1/namespaces/nowhere/pods", client("b")),
        send("an invalid one there", "POST /api/v1/namespaces/nowhere/pods", with("b", "/spec/containers", json!([]))),
        send("of another namespace", "POST pods", with("b", "/metadata/namespace", json!("elsewhere"))),
        send("of another kind", "POST pods", with("b", "/kind", json!("Service"))),
        send("of another version", "POST pods", with("b", "/apiVersion", json!("v2"))),
        send("without kind and version", "POST pods?dryRun=All", {
            let client = client("b");
            json!({"metadata": client["metadata"], "spec": client["spec"]})
        }),
        raw("malformed JSON", "POST pods", "{\"kind\": \"Pod\"").but_words(PARSER),
        raw("nothing", "POST pods", "").but_words(PARSER),
        raw("a list", "POST pods", "[]").but_words(PARSER),
        raw("a text", "POST pods", "\"x\"").but_words(PARSER),
        raw("text/plain", "POST pods", "x").typed("text/plain").but_words("a real one takes more media types"),
        raw("YAML", "POST pods", "{}").typed("application/yaml").refused(415, "JSON is enough for kubectl"),
        raw("a body of more than 3 MiB", "POST pods", " ".repeat(3 * 1024 * 1024 + 1)),
        send("strict fields", "POST pods?fieldValidation=Strict&dryRun=All", with("b", "/spec/odd", json!(1)))
            .but_words("the fields are not known here"),
        send(
            "a Pod with an owner's finalizer",
            "POST pods",
            with("held", "/metadata/finalizers", json!(["a.example/b"])),
        ),
    ]
}

fn invalid() -> Vec<Case> {
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
        post("a label's key that ends in a dash", "/metadata/labels", json!({"a-": "x"})),
        post("a label's key with a bad prefix", "/metadata/labels", json!({"A_/b": "x"})),
        post("a label's key with an empty name", "/metadata/labels", json!({"a.example/": "x"})),
        post("a label's key that is too long", "/metadata/labels", json!({"a".repeat(64): "x"})),
        post("a label that is no text", "/metadata/labels", json!({"a": true})).but_words(PARSER),
        post("labels that are a list", "/metadata/labels", json!(["a"])).but_words(PARSER),
        post("an annotation's key with a space", "/metadata/annotations", json!({"a b": "x"})),
        post("annotations that are too large", "/metadata/annotations", json!({"a": "b".repeat(256 * 1024)})),
        post("a finalizer without a prefix", "/metadata/finalizers", json!(["x"])),
        post("metadata that are a list", "/metadata", json!([])).but_words(PARSER),
        post("a spec that is a list", "/spec", json!([])).but_words(PARSER),
        post("no container", "/spec/containers", json!([])),
        post("containers that are an object", "/spec/containers", json!({})).but_words(PARSER),
        send("a container without a name", container("name", json!(""))),
        send("a container's name in capitals", container("name", json!("Client"))),
        send("a container without an image", container("image", json!(""))),
        send("an image with a space in front", container("image", json!(" alpine/curl"))),
        send("a command that is no list", container("command", json!("sleep"))).but_words(PARSER),
        send("a variable without a name", container("env", json!([{"value": "x"}]))),
        send("a mount of no volume", container("volumeMounts", json!([{"name": "x", "mountPath": "/x"}]))),
        send("a mount without a path", container("volumeMounts", json!([{"name": "data"}]))),
        post("two containers of one name", "/spec/initContainers", json!([{"name": "client", "image": "x"}])),
        post(
            "two volumes of one name",
            "/spec/volumes",
            json!([
                {"name": "x", "emptyDir": {}}, {"name": "x", "emptyDir": {}},
            ]),
        ),
        post("a volume's name with a dot", "/spec/volumes", json!([{"name": "x.y", "emptyDir": {}}])),
        post("an odd restart policy", "/spec/restartPolicy", json!("Sometimes")),
        post("an odd DNS policy", "/spec/dnsPolicy", json!("Odd")),
        post("a gate twice", "/spec/schedulingGates", json!([{"name": "a/b"}, {"name": "a/b"}])),
        post("a gate that is no name", "/spec/schedulingGates", json!([{"name": "/"}])),
        post("a gate and a node", "/spec/nodeName", json!("node")),
        post("a deadline of nothing", "/spec/activeDeadlineSeconds", json!(0)),
    ]
}

fn reading() -> Vec<Case> {
    vec![
        get("a client is read", "GET pods/a"),
        get("a Pod that is not there", "GET pods/nope"),
        get("a PodTemplate that is not there", "GET podtemplates/nope"),
        get("a namespace", "GET /api/v1/namespaces/{namespace}"),
        get("a namespace that is not there", "GET /api/v1/namespaces/nowhere"),
        get("a Pod of a namespace that is not there", "GET /api/v1/namespaces/nowhere/pods/a"),
        send("a second client", "POST pods", client("b")),
        send("a third client", "POST pods", client("c")),
        get("a list of a namespace that is not there", "GET /api/v1/namespaces/nowhere/pods"),
        get("a list by a label", "GET pods?labelSelector=of%3Da"),
        get("by a label, twice equal", "GET pods?labelSelector=of%3D%3Da"),
        get("by a label that is another", "GET pods?labelSelector=of%21%3Da,of"),
        get("by a label that is there", "GET pods?labelSelector=of"),
        get("by a label that is not", "GET pods?labelSelector=%21of"),
        get("by two labels", "GET pods?labelSelector=of%3Da,setGateway%3Dfoo"),
        get("by a set", "GET pods?labelSelector=of+in+%28a,b%29"),
        get("by what is not in a set", "GET pods?labelSelector=of+notin+%28a,b%29,of"),
        get("by no selector at all", "GET pods?labelSelector=of+in+a").but_words("the words are those of its parser"),
        get("by a selector with a bad value", "GET pods?labelSelector=of%3Da%2Fb")
            .but_words("the words are those of its parser"),
        get("by the name", "GET pods?fieldSelector=metadata.name%3Da"),
        get("by another name", "GET pods?fieldSelector=metadata.name%21%3Da,metadata.namespace%3D{namespace}"),
        get("by the phase", "GET pods?fieldSelector=status.phase%3DPending"),
        get("by the node", "GET pods?fieldSelector=spec.nodeName%3D"),
        get("by a field that is not known", "GET pods?fieldSelector=spec.odd%3D1"),
        get("by a field selector that is none", "GET pods?fieldSelector=odd"),
        get("of all namespaces", "GET /api/v1/pods?fieldSelector=metadata.namespace%3D{namespace}"),
        get("the first two", "GET pods?labelSelector=of&limit=2"),
        get("the next two", "GET pods?labelSelector=of&limit=2&continue={next}"),
        get("the first three without a selector", "GET pods?limit=3"),
        get("the rest", "GET pods?limit=3&continue={next}"),
        get("a page that is none", "GET pods?limit=2&continue=odd").but_words("the token is the server's own"),
        get("a limit that is none", "GET pods?limit=x").but_words("the words are those of its parser"),
        get("a limit of more than there are", "GET pods?limit=100"),
        get("for kubectl", "GET pods?labelSelector=of").table(),
        get("one for kubectl", "GET pods/a").table(),
        get("one that is not there, for kubectl", "GET pods/nope").table(),
        get("the events of a Pod", "GET events?fieldSelector=involvedObject.name%3Da"),
        get("the namespaces, by name", "GET /api/v1/namespaces?fieldSelector=metadata.name%3D{namespace}"),
        get("a watch", "GET pods?watch=true&timeoutSeconds=1").refused(405, "nothing here watches"),
    ]
}

fn patches() -> Vec<Case> {
    let new_label = json!({"metadata": {"labels": {"new": "1", "of": null}}});
    let two = json!([{"name": "podgateway.io/gateway-verification"}, {"name": "other.example/gate"}]);
    vec![
        patch("our gate is removed, as a dry run", "PATCH pods/a?dryRun=All", release()),
        get("a dry run removed nothing", "GET pods/a"),
        patch("our gate is removed", "PATCH pods/a", release()),
        patch("again", "PATCH pods/a", release()),
        get("a released client", "GET pods/a"),
        get("a released client for kubectl", "GET pods/a").table(),
        send("a client with another's gate", "POST pods", with("d", "/spec/schedulingGates", two)),
        patch("our gate is removed of two", "PATCH pods/d", release()),
        patch("of another uid", "PATCH pods/b", json!({"metadata": {"uid": "0b0e3f0a-0000-4000-8000-000000000000"}})),
        merge("of another uid, by a merge patch", "PATCH pods/b", json!({"metadata": {"uid": "x"}})),
        patch("of a Pod that is not there", "PATCH pods/nope", release()),
        patch("of a namespace that is not there", "PATCH /api/v1/namespaces/nowhere/pods/a", release()),
        patch("of another version", "PATCH pods/b", json!({"metadata": {"resourceVersion": "1"}})),
        patch(
            "of the very version",
            "PATCH pods/b",
            json!({"metadata": {"resourceVersion": "{version}", "labels": {"x": "1"}}}),
        ),
        patch("of another name", "PATCH pods/b", json!({"metadata": {"name": "other"}})),
        patch("of another namespace", "PATCH pods/b", json!({"metadata": {"namespace": "other"}})),
        merge("labels, as a dry run", "PATCH pods/b?dryRun=All", new_label.clone()),
        merge("labels", "PATCH pods/b", new_label),
        merge("no change", "PATCH pods/b", json!({})),
        merge("an annotation", "PATCH pods/b", json!({"metadata": {"annotations": {"podgateway.io/reported": "1"}}})),
        merge(
            "annotations that are too large",
            "PATCH pods/b",
            json!({"metadata": {"annotations": {"a": "b".repeat(256 * 1024)}}}),
        ),
        merge("a label that is invalid", "PATCH pods/b", json!({"metadata": {"labels": {"a": "b/c"}}})),
        merge("a label that is no text", "PATCH pods/b", json!({"metadata": {"labels": {"a": 1}}})).but_words(PARSER),
        merge("a gate more", "PATCH pods/b", json!({"spec": {"schedulingGates": [{"name": "a/b"}]}})),
        merge("every gate", "PATCH pods/c", json!({"spec": {"schedulingGates": null}})),
        merge("a status", "PATCH pods/b", json!({"status": {"phase": "Running"}})),
        patch("an image", "PATCH pods/b", json!({"spec": {"containers": [{"name": "client", "image": "other"}]}})),
        patch("a command", "PATCH pods/b", json!({"spec": {"containers": [{"name": "client", "command": ["x"]}]}}))
            .but_words("a real one appends the difference"),
        patch("a container more", "PATCH pods/b", json!({"spec": {"containers": [{"name": "more", "image": "x"}]}})),
        patch(
            "a toleration more",
            "PATCH pods/c",
            json!({"spec": {"tolerations": [
                {"key": "a", "operator": "Exists"},
                {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
                {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
            ]}}),
        ),
        merge("no toleration", "PATCH pods/c", json!({"spec": {"tolerations": null}}))
            .but_words("a real one appends the difference"),
        merge("a node for a released Pod", "PATCH pods/c", json!({"spec": {"nodeName": "node"}}))
            .but_words("a real one appends the difference"),
        patch("finalizers are added to", "PATCH pods/held", json!({"metadata": {"finalizers": ["c.example/d"]}})),
        patch(
            "and taken from",
            "PATCH pods/held",
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["c.example/d"]}}),
        ),
        patch(
            "labels are replaced",
            "PATCH pods/held",
            json!({"metadata": {"labels": {"$patch": "replace", "only": "1"}}}),
        ),
        patch("an odd directive", "PATCH pods/b", json!({"metadata": {"labels": {"$patch": "odd"}}})).but_words(PARSER),
        raw("malformed JSON", "PATCH pods/b", "{").typed(STRATEGIC).but_words(PARSER),
        raw("malformed JSON, merged", "PATCH pods/b", "{").typed(MERGE).but_words(PARSER),
        raw("a list", "PATCH pods/b", "[]").typed(STRATEGIC).but_words(PARSER),
        raw("a list, merged", "PATCH pods/b", "[]").typed(MERGE).but_words(PARSER),
        raw("malformed JSON for a Pod that is not there", "PATCH pods/nope", "{").typed(STRATEGIC).but_words(PARSER),
        send("a patch as JSON", "PATCH pods/b", json!({})).but_words("a real one takes more media types"),
        send("a JSON patch", "PATCH pods/b", json!([]))
            .typed("application/json-patch+json")
            .refused(415, "nothing here sends it"),
        send("an apply", "PATCH pods/b?fieldManager=x", client("b"))
            .typed("application/apply-patch+yaml")
            .refused(415, "fields have no managers here"),
        patch("a node selector for a gated Pod", "PATCH pods/b", json!({"spec": {"nodeSelector": {"a": "b"}}}))
            .refused(422, "there are no nodes"),
        send("an update", "PUT pods/b", client("b")).refused(405, "nothing here sends it"),
    ]
}

fn deletion() -> Vec<Case> {
    let only = |field: &str, value: &str| json!({"preconditions": {field: value}});
    let on_a_node = |name: &str| {
        let mut pod = with(name, "/spec/schedulingGates", Value::Null);
        pod["spec"]["nodeName"] = json!("node");
        pod
    };
    vec![
        send("of another uid", "DELETE pods/b", only("uid", "0b0e3f0a-0000-4000-8000-000000000000")),
        send("of another version", "DELETE pods/b", only("resourceVersion", "1")),
        send("of another uid, as a dry run", "DELETE pods/b?dryRun=All", only("uid", "x")),
        raw("malformed JSON", "DELETE pods/b", "{").but_words(PARSER),
        raw("text/plain", "DELETE pods/b", "x").typed("text/plain").but_words("a real one takes more media types"),
        send("a uid that is no text", "DELETE pods/b", json!({"preconditions": {"uid": 1}})).but_words(PARSER),
        send("a dry run of another kind", "DELETE pods/b", json!({"dryRun": ["Some"]})),
        send("a negative time", "DELETE pods/b?dryRun=All", json!({"gracePeriodSeconds": -1})),
        send(
            "as a dry run",
            "DELETE pods/b?dryRun=All",
            json!({"preconditions": {"uid": "{uid}"}, "gracePeriodSeconds": 0}),
        ),
        send("as a dry run that its body asks for", "DELETE pods/b", json!({"dryRun": ["All"]})),
        get("a dry run deletes nothing", "GET pods/b"),
        send(
            "of a gated client, as the provisioner deletes it",
            "DELETE pods/b",
            json!({
                "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0,
                "preconditions": {"uid": "{uid}", "resourceVersion": "{version}"},
            }),
        ),
        get("it is gone", "GET pods/b"),
        send("of what is not there", "DELETE pods/b", json!({})),
        get("of a released client that has no node", "DELETE pods/a"),
        get("that is gone too", "GET pods/a"),
        get("by the query", "DELETE pods/c?gracePeriodSeconds=7&propagationPolicy=Background"),
        get("with a finalizer", "DELETE pods/held"),
        get("waits", "GET pods/held"),
        get("waits, for kubectl", "GET pods/held").table(),
        get("once more", "DELETE pods/held"),
        send("its name is taken", "POST pods", client("held")),
        merge(
            "a finalizer more is refused",
            "PATCH pods/held",
            json!({"metadata": {"finalizers": ["a.example/b", "c.example/d"]}}),
        ),
        merge("without its finalizer", "PATCH pods/held", json!({"metadata": {"finalizers": null}})),
        get("it is gone then", "GET pods/held"),
        send("a Pod on a node", "POST pods", on_a_node("e")),
        send("ends in its own time, as a dry run", "DELETE pods/e?dryRun=All", json!({})),
        send("ends in its own time", "DELETE pods/e", json!({"preconditions": {"uid": "{uid}"}})),
        send("with a longer time", "DELETE pods/e", json!({"gracePeriodSeconds": 60})),
        send("with a shorter time", "DELETE pods/e", json!({"gracePeriodSeconds": 5})),
        patch("is patched meanwhile", "PATCH pods/e", json!({"metadata": {"labels": {"x": "1"}}})),
        send("at once", "DELETE pods/e", json!({"gracePeriodSeconds": 0})),
        get("gone at once", "GET pods/e"),
        send("another Pod on a node", "POST pods", on_a_node("f")),
        get("in a time of the query's", "DELETE pods/f?gracePeriodSeconds=7"),
        get("in a namespace that is not there", "DELETE /api/v1/namespaces/nowhere/pods/a"),
        get("of all", "DELETE pods?dryRun=All").refused(405, "nothing here sends it"),
    ]
}

fn discovery() -> Vec<Case> {
    vec![
        get("readiness", "GET /readyz"),
        get("liveness", "GET /livez"),
        get("the version", "GET /version"),
        get("the versions", "GET /api"),
        get("the groups", "GET /apis"),
        get("the kinds", "GET /api/v1"),
        get("a path that is none", "GET /nonsense"),
        get("a kind that is none", "GET oddities"),
        get("a kind that is none, by name", "GET oddities/x"),
        get("a version that is none", "GET /api/v2/pods"),
        get("a kind that is not served", "GET secrets").refused(404, "the component has no use for it"),
        get("the log of a Pod", "GET pods/d/log").refused(404, "no Pod runs"),
        get("the status of a Pod", "GET pods/d/status").refused(404, "nothing here sends it"),
        send("a Pod to a name", "POST pods/d", client("d")),
        patch("of all Pods", "PATCH pods", json!({})),
    ]
}

/// Requests to an API with the webhook of the gateway `foo`.
pub fn routed() -> Vec<Case> {
    vec![
        send("a routed client, as a dry run", "POST pods?dryRun=All", client("a")),
        send("a routed client", "POST pods", client("a")),
        send("a client of nobody's", "POST pods", with("b", "/metadata/annotations/setGateway", json!("nope"))),
        patch("a routed client is released", "PATCH pods/a", release()),
    ]
}

/// Requests to an API whose gateway `foo` denies.
pub fn denied() -> Vec<Case> {
    vec![
        send("a client that is denied", "POST pods", client("a")),
        send("an invalid client that is denied", "POST pods", with("a", "/spec/containers", json!([]))),
    ]
}

/// Requests to an API whose gateway `foo` is down.
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
