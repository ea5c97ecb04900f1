//! The policies of `deploy/` for a test's own namespace, and the clients that they are tried with.

use std::sync::Arc;

use provisioner::testing::{released, wanted};
use serde_json::{Value, json};
use tests::manifests::documents;

use crate::client::{Answer, until};
use crate::cluster::Cluster;
use crate::gateway::FOO;
use crate::namespace::{Namespace, ROUTED, with_namespace};

/// What may be released.
pub const CLIENTS: &str = "podgateway-clients";
/// What stays as it is.
pub const MARKS: &str = "podgateway-client-marks";
/// What comes with a node.
pub const BINDINGS: &str = "podgateway-client-bindings";
/// What the provisioner's account may do.
pub const PROVISIONER: &str = "podgateway-provisioner";
/// The label by which clients are known.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// A query for what isn't to be kept.
pub const DRY: &str = "?dryRun=All";

const FILES: [&str; 2] = ["deploy/admission-policy.yaml", "deploy/provisioner-admission-policy.yaml"];
const API: &str = "/apis/admissionregistration.k8s.io/v1";

/// A client as the provisioner sends it, before any webhook.
pub fn unrouted(name: &str) -> Value {
    let mut pod = wanted(&[]);
    let metadata = pod["metadata"].as_object_mut().expect("a Pod has metadata");
    metadata.remove("namespace");
    pod["metadata"]["name"] = json!(name);
    pod["metadata"]["labels"]["app.kubernetes.io/instance"] = json!(name);
    pod
}

/// The same, gated, after the webhook of the gateway `foo`.
pub fn client(name: &str) -> Value {
    let mut pod = unrouted(name);
    FOO.inject(&mut pod);
    pod
}

/// The message of a refusal by the policy of this name, in whichever namespace.
pub fn denied(answer: &Answer, policy: &str) -> Option<String> {
    let message = answer.body["message"].as_str().unwrap_or_default();
    let is_its = message.contains(&format!("ValidatingAdmissionPolicy '{policy}"));
    (matches!(answer.code, 403 | 422) && is_its).then(|| message.to_owned())
}

/// A change of a Pod, by its name or by a subresource of it, by an administrator.
pub async fn patch(namespace: &Namespace, path: &str, change: &Value) -> Answer {
    namespace.admin().call("PATCH", &namespace.path(&format!("pods/{path}")), Some(change)).await
}

/// Makes a Pod, as an administrator.
pub async fn create(namespace: &Namespace, pod: &Value) {
    namespace.admin().create(&namespace.path("pods"), pod).await;
}

/// Whatever else writes to a client goes on: the kubelet with its status, and a network plugin with its report.
pub async fn assert_status_goes_on(namespace: &Namespace, name: &str) {
    let status = format!("{name}/status");
    let condition = json!({"type": "Ready", "status": "True"});
    let started = json!({"status": {"phase": "Running", "podIP": "10.244.0.9", "conditions": [condition]}});
    patch(namespace, &status, &started).await.object();
    let report = json!({"metadata": {"annotations": {"k8s.v1.cni.cncf.io/network-status": "[]"}}});
    patch(namespace, &status, &report).await.object();
}

/// Runs `test` in a namespace where the policies hold.
pub async fn with_policies<F: Future<Output = ()>>(cluster: Arc<Cluster>, test: impl FnOnce(Arc<Namespace>) -> F) {
    with_namespace(cluster, "policy", &[ROUTED], |namespace| async move {
        let gateways = documents("deploy/gateways.yaml").remove(0);
        let path = "/api/v1/namespaces/client-system/configmaps/gateways?fieldManager=e2e&force=true";
        namespace.admin().apply(path, &gateways).await.object();
        for mut object in FILES.iter().flat_map(|file| documents(file)) {
            let plural = place(&mut object, &namespace.name);
            namespace.admin().create(&format!("{API}/{plural}"), &object).await;
        }
        wait_until_they_hold(&namespace).await;
        test(namespace).await;
    })
    .await;
}

/// Makes a policy or a binding one of the namespace; gives its kind's plural.
fn place(object: &mut Value, namespace: &str) -> &'static str {
    let in_it = |name: &Value| json!(format!("{}-{namespace}", name.as_str().unwrap_or_default()));
    object["metadata"]["name"] = in_it(&object["metadata"]["name"]);
    if object["kind"] == "ValidatingAdmissionPolicy" {
        return "validatingadmissionpolicies";
    }
    object["spec"]["policyName"] = in_it(&object["spec"]["policyName"]);
    let selector = &mut object["spec"]["matchResources"]["namespaceSelector"];
    *selector = json!({"matchLabels": {"kubernetes.io/metadata.name": namespace}});
    "validatingadmissionpolicybindings"
}

/// An API server hears of policies, and of what they are to know, a little later.
async fn wait_until_they_hold(namespace: &Namespace) {
    let (pods, dry) = (namespace.path("pods"), namespace.path("pods?dryRun=All"));
    let (admin, provisioner) = (namespace.admin(), namespace.provisioners_client());
    let gated_is_let_in = || async { admin.call("POST", &pods, Some(&unrouted("probe"))).await.code == 201 };
    until("a gated client is let in", gated_is_let_in).await;
    let probe = namespace.path("pods/probe");
    let label = json!({"metadata": {"labels": {MANAGED_BY: null}}});
    let other = json!({"metadata": {"name": "x"}, "spec": {"containers": [{"name": "x", "image": "x"}]}});
    let bound = json!({
        "metadata": {"name": "probe", "labels": {MANAGED_BY: "x"}},
        "target": {"kind": "Node", "name": "x"},
    });
    until("the policies hold", || async {
        let unrouted = admin.call("POST", &dry, Some(&released(unrouted("x")))).await;
        let routed = admin.call("POST", &dry, Some(&released(client("x")))).await;
        let unlabelled = admin.call("PATCH", &format!("{probe}?dryRun=All"), Some(&label)).await;
        let bound = admin.call("POST", &format!("{probe}/binding"), Some(&bound)).await;
        let other = provisioner.call("POST", &dry, Some(&other)).await;
        let refused = [(unrouted, CLIENTS), (unlabelled, MARKS), (bound, BINDINGS), (other, PROVISIONER)];
        refused.iter().all(|(answer, policy)| denied(answer, policy).is_some()) && routed.code == 201
    })
    .await;
    admin.delete(&probe).await.object();
}

/// Lets the namespace's binding look for the gateways where they aren't, or where they are.
pub async fn take_addresses(namespace: &Namespace, are_taken: bool) {
    let path = format!("{API}/validatingadmissionpolicybindings/{CLIENTS}-{}", namespace.name);
    let name = if are_taken { "nowhere" } else { "gateways" };
    namespace.admin().call("PATCH", &path, Some(&json!({"spec": {"paramRef": {"name": name}}}))).await.object();
    until("the addresses are missed, or found", || async {
        let pods = namespace.path("pods?dryRun=All");
        let answer = namespace.admin().call("POST", &pods, Some(&unrouted("probe"))).await;
        denied(&answer, CLIENTS).is_some() == are_taken
    })
    .await;
}
