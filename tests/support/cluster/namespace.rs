//! A namespace of its own for a test, with the provisioner's rights in it.

use std::sync::Arc;

use host::{ClientTls, RuntimeConfig};
use serde_json::{Value, json};

use crate::Provisioner;
use crate::cluster::Cluster;
use crate::cluster::account;
use crate::cluster::client::{Answer, Client, until};
use crate::cluster::gateway::KEY;

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

impl Namespace {
    /// Makes one whose name begins with `name`, with these labels and the provisioner's rights in it.
    pub async fn create(cluster: Arc<Cluster>, name: &str, labels: &[(&str, &str)]) -> Self {
        let labels: Value = labels.iter().map(|(key, value)| (key.to_string(), json!(value))).collect();
        let object = json!({"metadata": {"generateName": format!("{name}-"), "labels": labels}});
        let created = cluster.admin.create("/api/v1/namespaces", &object).await;
        let name = created["metadata"]["name"].as_str().expect("a namespace has a name").to_owned();
        account::grant(&cluster.admin, &name).await;
        Self::with_rights(cluster, name).await
    }

    /// One where the provisioner's service account has its rights, or is about to.
    pub async fn with_rights(cluster: Arc<Cluster>, name: String) -> Self {
        let (home, account) = account::service_account();
        let token = account::request_token(&cluster, (&home, &account), None).await;
        let namespace = Self { name, cluster, token };
        // There is no controller manager to do so.
        namespace.create_account("default").await;
        let is_granted = || namespace.may(&namespace.name, "create", ("", "pods"));
        until("the rights take effect", is_granted).await;
        namespace
    }

    /// The same namespace for a provisioner that has a service account of its own, named `name` and without any right:
    /// the rights of the one that every namespace shares would be felt by the tests that run beside this one.
    pub async fn with_own_account(&self, name: &str) -> Self {
        self.create_account(name).await;
        let token = account::request_token(&self.cluster, (&self.name, name), None).await;
        Self { name: self.name.clone(), cluster: self.cluster.clone(), token }
    }

    /// Makes a service account.
    pub async fn create_account(&self, name: &str) {
        self.admin().create(&self.path("serviceaccounts"), &json!({"metadata": {"name": name}})).await;
    }

    /// Whether the provisioner may do this to a resource of an API group, in a namespace or, with the empty text, in all
    /// of them: by the API server's own word, which hears of a change a little later.
    pub async fn may(&self, namespace: &str, verb: &str, (group, resource): (&str, &str)) -> bool {
        let what = json!({"namespace": namespace, "verb": verb, "group": group, "resource": resource});
        let review = json!({"spec": {"resourceAttributes": what}});
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        self.provisioners_client().create(path, &review).await["status"]["allowed"] == true
    }

    /// Who calls with the provisioner's token.
    pub fn provisioners_client(&self) -> Client {
        self.cluster.with_token(&self.token)
    }

    /// The administrator.
    pub fn admin(&self) -> &Client {
        &self.cluster.admin
    }

    /// The path of something in it.
    pub fn path(&self, rest: &str) -> String {
        format!("/api/v1/namespaces/{}/{rest}", self.name)
    }

    /// The Pods in it.
    pub async fn pods(&self) -> Vec<Value> {
        self.admin().list(&self.path("pods")).await
    }

    /// What the API server says to a Pod that it isn't to keep: a client of `gateway`, where there is one.
    pub async fn try_out(&self, gateway: Option<&str>) -> Answer {
        let labels: Value = gateway.map(|gateway| (KEY.to_owned(), json!(gateway))).into_iter().collect();
        let pod = json!({
            "metadata": {"generateName": "probe-", "labels": labels},
            "spec": {"containers": [{"name": "probe", "image": "probe"}]},
        });
        self.admin().call("POST", &self.path("pods?dryRun=All"), Some(&pod)).await
    }

    /// The component in its host, set up as in a cluster: HTTPS to the API server, whose authority is named, with the
    /// token of the service account mounted, and no other right.
    pub fn provisioner(&self, variables: &[(&str, &str)]) -> Provisioner {
        let variables = [&[("client_namespace", self.name.as_str())], variables].concat();
        let roots = ("the authority".to_owned(), self.cluster.authority.pem().into_bytes());
        let tls = ClientTls::new("127.0.0.1".to_owned(), Some(roots), None).expect("it is PEM");
        let runtime_config = RuntimeConfig { client_tls: vec![tls], ..RuntimeConfig::default() };
        let provisioner = Provisioner::start_with(&self.cluster.url(), &variables, runtime_config);
        provisioner.write_token(&self.token);
        provisioner
    }
}
