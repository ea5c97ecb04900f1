//! `deploy/` on a real API server that knows the real CustomResourceDefinitions: every manifest is accepted, strictly, and
//! the admission policies hold and let the provisioner work: they refuse what the provisioner's own check refuses, and
//! whoever may change Pods gets around neither.

mod changes;
mod clients;

use std::sync::Arc;

use provisioner::pod::{each, text};
use provisioner::testing::{released, wanted};
use serde_json::{Value, json};
use tests::cluster::client::{Answer, Client, until};
use tests::cluster::gateway::{FOO, FOO_ADDRESS, Gateway};
use tests::cluster::{Cluster, Namespace};
use tests::kustomize::objects;
use tests::manifests::{documents, files, resources};

use crate::outcome::{assert_pods, deliver, outcome_of};

const DEFINITIONS: &str = "tests/e2e/crds";
/// What may be released.
const CLIENTS: &str = "podgateway-clients";
/// What stays as it is.
const MARKS: &str = "podgateway-client-marks";
/// What comes with a node.
const BINDINGS: &str = "podgateway-client-bindings";
/// What the provisioner's account may do.
const PROVISIONER: &str = "podgateway-provisioner";
/// The label by which clients are known.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

pub async fn every_manifest_is_accepted_and_the_policies_let_the_provisioner_work_and_nobody_past_it(
    cluster: Arc<Cluster>,
) {
    define_resources(&cluster.admin).await;
    for path in manifests() {
        for object in documents(&path) {
            apply(&cluster.admin, &path, &object).await;
        }
    }
    for object in objects("deploy", &["oidc", "transport-encryption"]) {
        apply(&cluster.admin, "deploy/components", &object).await;
    }
    let namespace = routed_clients(cluster).await;
    clients::the_policy_refuses_what_the_provisioner_would_not_release(&namespace).await;
    clients::a_debugging_container_is_judged_like_any_other(&namespace).await;
    clients::a_device_that_a_resize_adds_is_judged_like_any_other(&namespace).await;
    clients::the_largest_clients_are_judged_within_the_budget(&namespace).await;
    changes::nobody_changes_what_a_client_is_known_by_and_all_else_goes_on(&namespace).await;
    changes::nobody_changes_it_by_a_binding(&namespace).await;
    changes::nobody_changes_what_runs_in_the_gateways_containers(&namespace).await;
    changes::the_provisioners_account_makes_clients_alone(&namespace).await;
    changes::the_provisioners_account_changes_a_gate_and_its_own_annotations_alone(&namespace).await;
    the_provisioner_works_while_the_gateways_are_known(&namespace).await;
}

/// The files of `deploy/` in the order in which kustomize applies them, those of its components and the example's last.
fn manifests() -> Vec<String> {
    let example = ["trigger.yaml", "job.yaml"].map(|file| format!("examples/wait-for-answer/{file}"));
    let beside = ["deploy/components/own-gateway", "deploy/knative-service"].map(resources).concat();
    resources("deploy").into_iter().chain(beside).chain(example).collect()
}

/// Makes the definitions, and waits until every version that is to be served is found where clients look for it, which is
/// a little after the definition is established.
async fn define_resources(admin: &Client) {
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let definitions = files(DEFINITIONS).into_iter().flat_map(|file| documents(&format!("{DEFINITIONS}/{file}")));
    for definition in definitions {
        let spec = admin.create(path, &definition).await["spec"].take();
        for version in each(&spec["versions"]).filter(|version| version["served"] == true) {
            let path = format!("/apis/{}/{}", text(&spec["group"]), text(&version["name"]));
            until("a definition is served", || async {
                let served = admin.get(&path).await.body;
                each(&served["resources"]).any(|resource| resource["name"] == spec["names"]["plural"])
            })
            .await;
        }
    }
}

/// Applies an object on the server's side, which refuses any field that it doesn't know.
pub async fn apply(admin: &Client, file: &str, object: &Value) {
    let path = path_of(object);
    let query = "fieldManager=e2e&fieldValidation=Strict&force=true";
    let answer = admin.apply(&format!("{path}?{query}"), object).await;
    assert!(answer.code < 300, "{file}: {} {}", answer.code, answer.message());
}

/// The path of an object, whose kind has a plural as English makes it.
fn path_of(object: &Value) -> String {
    let (version, metadata) = (text(&object["apiVersion"]), &object["metadata"]);
    let root = if version.contains('/') { "/apis" } else { "/api" };
    let namespace = metadata["namespace"].as_str().map(|name| format!("/namespaces/{name}")).unwrap_or_default();
    let kind = text(&object["kind"]).to_lowercase();
    let plural = kind.strip_suffix('y').map_or(format!("{kind}s"), |stem| format!("{stem}ies"));
    format!("{root}/{version}{namespace}/{plural}/{}", text(&metadata["name"]))
}

/// The namespace of the clients as `deploy/` makes it, with what the controllers of a cluster would add.
async fn routed_clients(cluster: Arc<Cluster>) -> Namespace {
    let namespace = Namespace::with_rights(cluster, "routed-clients".to_owned()).await;
    let admin = namespace.admin();
    let quota = admin.get(&namespace.path("resourcequotas/clients")).await.object();
    let status = json!({"status": {"hard": quota["spec"]["hard"], "used": {"pods": "0"}}});
    admin.patch(&namespace.path("resourcequotas/clients/status"), &status).await.object();
    let other = json!({"metadata": {"name": "other"}, "spec": {"containers": [{"name": "x", "image": "x"}]}});
    // The API server hears of the quota, of policies, and of what they are to know, a little later: of the last policy last.
    until("the policies hold", || async {
        let other =
            namespace.provisioners_client().call("POST", &namespace.path("pods?dryRun=All"), Some(&other)).await;
        is_denied(&other, PROVISIONER) && try_out(&namespace, &client("x")).await.code == 201
    })
    .await;
    namespace
}

/// A client as the provisioner sends it, before any webhook.
pub fn unrouted(name: &str) -> Value {
    let mut pod = wanted(&[("client_namespace", "routed-clients")]);
    pod["metadata"]["name"] = json!(name);
    pod["metadata"]["labels"]["app.kubernetes.io/instance"] = json!(name);
    pod
}

/// The same, gated, after the webhook of the gateway `foo`.
fn client(name: &str) -> Value {
    let mut pod = unrouted(name);
    FOO.inject(&mut pod);
    pod
}

/// What an administrator is told who would make this Pod without its gate.
async fn try_out(namespace: &Namespace, pod: &Value) -> Answer {
    namespace.admin().call("POST", &namespace.path("pods?dryRun=All"), Some(&released(pod.clone()))).await
}

/// Makes a Pod, as an administrator.
async fn create(namespace: &Namespace, pod: &Value) {
    namespace.admin().create(&namespace.path("pods"), pod).await;
}

/// A change of a Pod, by its name or by a subresource of it, by an administrator.
async fn patch(namespace: &Namespace, path: &str, change: &Value) -> Answer {
    namespace.admin().patch(&namespace.path(&format!("pods/{path}")), change).await
}

fn is_denied(answer: &Answer, policy: &str) -> bool {
    answer.message().contains(&format!("ValidatingAdmissionPolicy '{policy}'"))
}

#[track_caller]
fn assert_denied(answer: &Answer, policy: &str, saying: &str) {
    assert!(is_denied(answer, policy) && answer.message().contains(saying), "{policy}, {saying}: {}", answer.body);
}

/// Whatever else writes to a client goes on: the kubelet with its status, and a network plugin with its report.
async fn assert_status_goes_on(namespace: &Namespace, name: &str) {
    let status = format!("{name}/status");
    let condition = json!({"type": "Ready", "status": "True"});
    let started = json!({"status": {"phase": "Running", "podIP": "10.244.0.9", "conditions": [condition]}});
    patch(namespace, &status, &started).await.object();
    let report = json!({"metadata": {"annotations": {"k8s.v1.cni.cncf.io/network-status": "[]"}}});
    patch(namespace, &status, &report).await.object();
}

/// A provisioner that is told no address can't tell whose gateway was injected; the API server can.
async fn the_provisioner_works_while_the_gateways_are_known(namespace: &Namespace) {
    namespace.admin().delete(&namespace.path("pods")).await;
    let astray = Gateway { value: "bar", address: FOO_ADDRESS };
    let _gateways = [FOO.serve(namespace).await, astray.serve(namespace).await];
    let provisioner = namespace.provisioner(&[]);
    assert_eq!(deliver(&provisioner, "1").await, "`done`");
    for (gateway, reason) in [("nope", "GatewayNotInjected"), ("bar", "PodRejected")] {
        let reply = provisioner.deliver(tests::pending(gateway, gateway)).await;
        assert_eq!(outcome_of(&reply), format!("`failed`, `{reason}`"));
    }
    assert_pods(namespace, 1).await;
    take_addresses(namespace, true).await;
    assert_eq!(deliver(&provisioner, "1").await, "`done`");
    assert_eq!(deliver(&provisioner, "2").await, "503");
    let name = text(&namespace.pods().await[0]["metadata"]["name"]).to_owned();
    assert_status_goes_on(namespace, &name).await;
    let other = json!({"metadata": {"name": "another"}, "spec": {"containers": [{"name": "x", "image": "x"}]}});
    create(namespace, &other).await;
    namespace.admin().delete(&namespace.path(&format!("pods/{name}"))).await;
    take_addresses(namespace, false).await;
    assert_eq!(deliver(&provisioner, "2").await, "`done`");
}

/// Lets the policy's binding look for the gateways where they aren't, or where they are.
async fn take_addresses(namespace: &Namespace, are_taken: bool) {
    let path = format!("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/{CLIENTS}");
    let name = if are_taken { "nowhere" } else { "gateways" };
    namespace.admin().patch(&path, &json!({"spec": {"paramRef": {"name": name}}})).await.object();
    until("the addresses are missed, or found", || async {
        let pods = namespace.path("pods?dryRun=All");
        let answer = namespace.admin().call("POST", &pods, Some(&unrouted("probe"))).await;
        is_denied(&answer, CLIENTS) == are_taken
    })
    .await;
}
