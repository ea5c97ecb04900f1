//! How a delivery ended, in the words of the documented tables; and what has to be true of the Pods then.

use tests::cluster::Namespace;
use tests::pods::{is_gated, is_routed};
use tests::{Provisioner, Reply, pending};

/// How a delivery ended: `done`, `failed` with its reason, or a status without an event.
pub fn outcome_of(reply: &Reply) -> String {
    let code = reply.status.as_u16();
    match reply.outcome() {
        "done" if code == 200 => "`done`".to_owned(),
        "failed" if code == 200 => format!("`failed`, `{}`", reply.json()["reason"].as_str().unwrap_or_default()),
        _ if reply.body.is_empty() => code.to_string(),
        outcome => panic!("{code} with {outcome:?} and {:?}", reply.body),
    }
}

/// Delivers an event for the gateway `foo` and says how that ended.
pub async fn deliver(provisioner: &Provisioner, id: &str) -> String {
    outcome_of(&provisioner.deliver(pending(id, "foo")).await)
}

/// No Pod may be free of its gate without its gateway; and there are as many as expected.
///
/// # Panics
/// When it isn't so.
pub async fn assert_pods(namespace: &Namespace, expected: usize) {
    let pods = namespace.pods().await;
    for pod in &pods {
        assert!(is_gated(pod) || is_routed(pod), "a Pod got away: {pod}");
    }
    assert_eq!(pods.len(), expected, "Pods in {}", namespace.name);
}
