//! Objects, lists, tables and discovery.

use serde_json::json;

use super::*;

/// Objects and lists.
#[rustfmt::skip]
pub fn reading() -> Vec<Case> {
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
        get("for kubectl", "GET pods?labelSelector=of").table(),
        get("one for kubectl", "GET pods/a").table(),
        get("the events of a Pod", "GET events?fieldSelector=involvedObject.name%3Da"),
        get("the namespaces, by name", "GET /api/v1/namespaces?fieldSelector=metadata.name%3D{namespace}"),
        get("a watch", "GET pods?watch=true&timeoutSeconds=1").refused(405, "nothing here watches"),
    ]
}

/// What a client asks before it asks for anything.
#[rustfmt::skip]
pub fn discovery() -> Vec<Case> {
    vec![
        get("readiness", "GET /readyz"),
        get("the version", "GET /version"),
        get("the versions", "GET /api"),
        get("the kinds", "GET /api/v1"),
        get("a path that is none", "GET /nonsense"),
        get("a kind that is none", "GET oddities"),
        get("a version that is none", "GET /api/v2/pods"),
        get("a kind that is not served", "GET secrets").refused(404, "the component has no use for it"),
        get("the log of a Pod", "GET pods/d/log").refused(404, "no Pod runs"),
        get("the status of a Pod", "GET pods/d/status").refused(404, "nothing here sends it"),
        send("a Pod to a name", "POST pods/d", client("d")),
        patch("of all Pods", "PATCH pods", json!({})),
    ]
}
