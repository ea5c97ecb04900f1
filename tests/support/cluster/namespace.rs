//! A namespace of its own for a test, with the provisioner's rights in it; and what was in it, should the test fail.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;

use crate::Provisioner;
use futures::FutureExt;
use serde_json::{Value, json};

use host::RuntimeConfig;

use crate::cluster::Cluster;
use crate::cluster::client::{Answer, Client, until};
use crate::cluster::gateway::KEY;
use crate::cluster::{rights, token};

/// A namespace for clients.
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// The API server that it is in.
    pub cluster: Arc<Cluster>,
    /// A token of the service account that the provisioner has here.
    pub token: String,
}

/// The label by which the gateways' webhooks know where to look.
pub const ROUTED: (&str, &str) = ("routed-gateway", "true");

/// How many Pods are described when a test fails.
const MOST_DESCRIBED: usize = 20;

/// Runs `test` in a namespace made for it, labelled so. When it fails, says what was in the namespace then.
pub async fn with_namespace<F: Future<Output = ()>>(
    cluster: Arc<Cluster>,
    name: &str,
    labels: &[(&str, &str)],
    test: impl FnOnce(Arc<Namespace>) -> F,
) {
    let namespace = Arc::new(Namespace::create(cluster, name, labels).await);
    let result = AssertUnwindSafe(test(namespace.clone())).catch_unwind().await;
    if let Err(panic) = result {
        eprintln!("{}", namespace.describe().await);
        resume_unwind(panic);
    }
}

impl Namespace {
    /// Makes one whose name begins with `name`, with these labels and the provisioner's rights in it.
    pub async fn create(cluster: Arc<Cluster>, name: &str, labels: &[(&str, &str)]) -> Self {
        let labels: Value = labels.iter().map(|(key, value)| (key.to_string(), json!(value))).collect();
        let object = json!({"metadata": {"generateName": format!("{name}-"), "labels": labels}});
        let created = cluster.admin().create("/api/v1/namespaces", &object).await;
        let name = created["metadata"]["name"].as_str().expect("a namespace has a name").to_owned();
        rights::grant(cluster.admin(), &name).await;
        let token = token::request(&cluster).await;
        let namespace = Self { name, cluster, token };
        // There is no controller manager to do so.
        namespace.create_account("default").await;
        namespace.wait_for_rights(true).await;
        namespace
    }

    /// The same namespace for a provisioner that has a service account of its own, named `name` and without any right:
    /// the rights of the one that every namespace shares would be felt by the tests that run beside this one.
    pub async fn with_own_account(&self, name: &str) -> Self {
        self.create_account(name).await;
        let token = token::request_for(&self.cluster, (&self.name, name), None).await;
        Self { name: self.name.clone(), cluster: self.cluster.clone(), token }
    }

    /// Makes a service account.
    pub async fn create_account(&self, name: &str) {
        self.admin().create(&self.path("serviceaccounts"), &json!({"metadata": {"name": name}})).await;
    }

    /// Waits until the provisioner may, or may not, create Pods: authorization hears of a change a little later.
    pub async fn wait_for_rights(&self, expected: bool) {
        until("the change of rights takes effect", || async { self.may("create", "pods", "").await == expected }).await;
    }

    /// Whether the provisioner may do this here, by the API server's own word.
    pub async fn may(&self, verb: &str, resource: &str, subresource: &str) -> bool {
        self.may_in(&self.name, verb, ("", resource), subresource).await
    }

    /// The same for any namespace, all of them with the empty text, and any API group.
    pub async fn may_in(&self, namespace: &str, verb: &str, resource: (&str, &str), subresource: &str) -> bool {
        let review = json!({"spec": {"resourceAttributes": {
            "namespace": namespace, "verb": verb,
            "group": resource.0, "resource": resource.1, "subresource": subresource,
        }}});
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        self.provisioners_client().create(path, &review).await["status"]["allowed"] == true
    }

    /// Who calls with the provisioner's token.
    pub fn provisioners_client(&self) -> Client {
        self.cluster.with_token(&self.token)
    }

    /// The administrator.
    pub fn admin(&self) -> &Client {
        self.cluster.admin()
    }

    /// The path of something in it.
    pub fn path(&self, rest: &str) -> String {
        format!("/api/v1/namespaces/{}/{rest}", self.name)
    }

    /// The Pods in it.
    pub async fn pods(&self) -> Vec<Value> {
        self.admin().list(&self.path("pods")).await
    }

    /// What the API server says to a Pod that it isn't to keep.
    pub async fn try_out(&self) -> Answer {
        self.try_out_client_of(None).await
    }

    /// The same of a client of `gateway`, where there is one.
    pub async fn try_out_client_of(&self, gateway: Option<&str>) -> Answer {
        let labels: Value = gateway.map(|gateway| (KEY.to_owned(), json!(gateway))).into_iter().collect();
        let pod = json!({
            "metadata": {"generateName": "probe-", "labels": labels},
            "spec": {"containers": [{"name": "probe", "image": "probe"}]},
        });
        self.admin().call("POST", &self.path("pods?dryRun=All"), Some(&pod)).await
    }

    /// The component in its host, set up as in a cluster: HTTPS to the API server, whose authority is named in a
    /// file, with the token of the service account mounted, and no other right.
    pub fn provisioner(&self, variables: &[(&str, &str)]) -> Provisioner {
        let mut all = vec![("client_namespace", self.name.as_str())];
        all.extend(variables);
        let provisioner = Provisioner::start_with(&self.cluster.url(), &all, self.runtime_config());
        provisioner.write_token(&self.token);
        provisioner
    }

    fn runtime_config(&self) -> RuntimeConfig {
        let path = self.cluster.directory().join(format!("{}.toml", self.name));
        let ca_file = self.cluster.ca_file();
        let text = format!(
            "[[client_tls]]\ncomponent_ids = [\"provisioner\"]\nhosts = [\"127.0.0.1\"]\nca_roots_file = {:?}\n",
            ca_file.display().to_string()
        );
        std::fs::write(&path, text).expect("a runtime config can be written");
        RuntimeConfig::from_file(&path).expect("the runtime config is sound")
    }

    async fn describe(&self) -> String {
        let pods = self.pods().await;
        let lines: Vec<String> = pods.iter().take(MOST_DESCRIBED).map(describe_pod).collect();
        format!("namespace {} had {} Pods:\n{}", self.name, pods.len(), lines.join("\n"))
    }
}

fn describe_pod(pod: &Value) -> String {
    let (metadata, spec) = (&pod["metadata"], &pod["spec"]);
    format!(
        "  {} of event {}, gates {}, deleted {}, init containers {}",
        metadata["name"],
        metadata["annotations"]["podgateway.io/event-id"],
        spec["schedulingGates"],
        metadata["deletionTimestamp"],
        spec["initContainers"].as_array().into_iter().flatten().map(|c| c["name"].to_string()).collect::<String>(),
    )
}
