//! `deploy/` on a real API server that knows the real CustomResourceDefinitions: every manifest is accepted, strictly,
//! and the admission policies hold and let the provisioner work.

use std::sync::Arc;

use provisioner::testing::released;
use serde_json::{Value, json};
use tests::events::pending;
use tests::kustomize::objects;
use tests::manifests::{documents, files, resources};

use crate::client::{Answer, Client, until};
use crate::cluster::Cluster;
use crate::gateway::FOO;
use crate::harness::Test;
use crate::namespace::Namespace;
use crate::outcome::{assert_pods, outcome_of};
use crate::policy::setup::{CLIENTS, client, denied, unrouted};
use crate::token;

const DEFINITIONS: &str = "tests/e2e/crds";
/// The namespace of the clients in `deploy/`.
const NAMESPACE: &str = "routed-clients";

/// The tests. They are one, because the manifests name their namespaces.
pub fn tests() -> Vec<Test> {
    crate::tests![every_manifest_is_accepted_and_the_provisioner_works_with_all_of_them]
}

async fn every_manifest_is_accepted_and_the_provisioner_works_with_all_of_them(cluster: Arc<Cluster>) {
    let admin = cluster.admin();
    define_resources(admin).await;
    for path in manifests() {
        for object in documents(&path) {
            apply(admin, &path, &object).await;
        }
    }
    for object in objects("deploy", &["oidc", "transport-encryption"]) {
        apply(admin, "deploy/components", &object).await;
    }
    let clients = clients(cluster.clone()).await;
    let judged = |pod: Value| async { try_out(&clients, &released(pod)).await };
    until("the policies take effect", || async { denied(&judged(unrouted("x")).await, CLIENTS).is_some() }).await;
    until("the policies know the gateways", || async { judged(client("x")).await.code == 201 }).await;
    the_provisioner_works(&clients).await;
}

/// The files of `deploy/` in the order in which kustomize applies them, those of its components and the example's last.
fn manifests() -> Vec<String> {
    let example = ["trigger.yaml", "job.yaml"].map(|file| format!("examples/wait-for-answer/{file}"));
    let beside = ["deploy/components/own-gateway", "deploy/knative-service"].map(resources).concat();
    resources("deploy").into_iter().chain(beside).chain(example).collect()
}

async fn define_resources(admin: &Client) {
    const PATH: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    for file in files(DEFINITIONS) {
        for definition in documents(&format!("{DEFINITIONS}/{file}")) {
            admin.create(PATH, &definition).await;
        }
    }
    for definition in admin.list(PATH).await {
        wait_until_served(admin, &definition["spec"]).await;
    }
}

/// Waits until every version that is to be served is found where clients look for it, which is a little after the
/// definition is established.
async fn wait_until_served(admin: &Client, definition: &Value) {
    let versions = definition["versions"].as_array().expect("a definition has versions");
    for version in versions.iter().filter(|version| version["served"] == true) {
        let path = format!("/apis/{}/{}", text(&definition["group"]), text(&version["name"]));
        let is_served = || async {
            let found = admin.get(&path).await.body["resources"].as_array().cloned().unwrap_or_default();
            found.iter().any(|resource| resource["name"] == definition["names"]["plural"])
        };
        until("a definition is served", is_served).await;
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("it is a text")
}

/// Applies an object on the server's side, which refuses any field that it doesn't know.
pub async fn apply(admin: &Client, file: &str, object: &Value) {
    let path = path_of(admin, object).await;
    let query = "fieldManager=e2e&fieldValidation=Strict&force=true";
    let answer = admin.apply(&format!("{path}?{query}"), object).await;
    assert!(answer.code < 300, "{file}: {} {}", answer.code, answer.body["message"]);
}

/// The path of an object, by what the API server says of its kind.
async fn path_of(admin: &Client, object: &Value) -> String {
    let version = object["apiVersion"].as_str().expect("an object has a version");
    let root = if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
    let served = admin.get(&root).await.object();
    let kinds = served["resources"].as_array().expect("a version serves resources");
    let is_its_kind = |resource: &&Value| {
        resource["kind"] == object["kind"] && !resource["name"].as_str().is_some_and(|name| name.contains('/'))
    };
    let resource = kinds.iter().find(is_its_kind).unwrap_or_else(|| panic!("{version} has no {}", object["kind"]));
    let namespace = match (&object["metadata"]["namespace"], resource["namespaced"] == true) {
        (Value::String(namespace), true) => format!("/namespaces/{namespace}"),
        (_, false) => String::new(),
        _ => panic!("{} {} names no namespace", object["kind"], object["metadata"]["name"]),
    };
    format!("{root}{namespace}/{}/{}", text(&resource["name"]), text(&object["metadata"]["name"]))
}

/// The namespace of the clients as `deploy/` makes it, with what the controllers of a cluster would add.
async fn clients(cluster: Arc<Cluster>) -> Namespace {
    let admin = cluster.admin();
    let path = |rest: &str| format!("/api/v1/namespaces/{NAMESPACE}/{rest}");
    admin.create(&path("serviceaccounts"), &json!({"metadata": {"name": "default"}})).await;
    for mut quota in admin.list(&path("resourcequotas")).await {
        let hard = quota["spec"]["hard"].clone();
        let used =
            hard.as_object().into_iter().flatten().map(|(name, _)| (name.clone(), json!("0"))).collect::<Value>();
        quota["status"] = json!({"hard": hard, "used": used});
        let name = quota["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        admin.call("PUT", &path(&format!("resourcequotas/{name}/status")), Some(&quota)).await.object();
    }
    let token = token::request(&cluster).await;
    let namespace = Namespace { name: NAMESPACE.to_owned(), cluster, token };
    namespace.wait_for_rights(true).await;
    until("the quota counts", || async { try_out(&namespace, &unrouted("x")).await.code == 201 }).await;
    namespace
}

async fn try_out(clients: &Namespace, pod: &Value) -> Answer {
    clients.admin().call("POST", &clients.path("pods?dryRun=All"), Some(pod)).await
}

async fn the_provisioner_works(clients: &Namespace) {
    let webhook = FOO.serve(clients).await;
    let provisioner = clients.provisioner(&[("gateway_address", FOO.address)]);
    assert_eq!(outcome_of(&provisioner.deliver(pending("1", "foo")).await), "`done`");
    let nobody = clients.provisioner(&[]).deliver(pending("2", "nope")).await;
    assert_eq!(outcome_of(&nobody), "`failed`, `GatewayNotInjected`");
    assert_pods(clients, 1).await;
    // What has its gateway may be changed and may go, policy or not.
    let name = clients.pods().await[0]["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let note = json!({"metadata": {"annotations": {"note": "seen"}}});
    clients.admin().call("PATCH", &clients.path(&format!("pods/{name}")), Some(&note)).await.object();
    clients.admin().delete(&clients.path(&format!("pods/{name}"))).await.object();
    drop(webhook);
}
