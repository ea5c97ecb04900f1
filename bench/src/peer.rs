//! The API that all targets of a run share: the embedded one in a process of its own, or a real API server.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use tests::cluster::Cluster;
use tests::cluster::account;
use tests::cluster::client::until;
use tests::cluster::gateway::{FOO, Gateway};
use tests::cluster::namespace::{Namespace, ROUTED};
use tests::cluster::webhook::{Registration, Webhook};
use tests::manifests::documents;
use tests::provisioner::repository;

use crate::child::Child;
use crate::roles::Role;
use crate::setup::Setup;

/// The token that the embedded API takes.
const TOKEN: &str = "the-benchmark's-token";

/// Where a real API server has rights.
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// An API, and how a provisioner gets at it.
pub struct Peer {
    /// For the provisioners.
    pub setup: Setup,
    backing: Backing,
}

enum Backing {
    Embedded(Box<Child>),
    Real { namespace: Namespace, _webhooks: Vec<Webhook> },
}

fn setup(directory: &Path, url: &str, token: &str, namespace: &str, is_verified: bool) -> Setup {
    let service_account = directory.join(format!("serviceaccount-{namespace}-{is_verified}"));
    std::fs::create_dir_all(&service_account).expect("target/ can be written");
    std::fs::write(service_account.join("token"), token).expect("target/ can be written");
    let off = ("gateway_verification".to_owned(), "off".to_owned());
    let variables: BTreeMap<_, _> = (!is_verified).then_some(off).into_iter().collect();
    Setup {
        url: url.to_owned(),
        ca_file: directory.join("ca.crt"),
        service_account,
        namespace: namespace.to_owned(),
        variables,
    }
}

impl Peer {
    /// The embedded API: with gateways and verification, or with neither.
    pub async fn embedded(directory: &Path, is_verified: bool) -> Self {
        let ca_file = directory.join(format!("ca-{is_verified}.crt"));
        let token = TOKEN.to_owned();
        let role = Role::Api { ca_file: ca_file.clone(), token: token.clone(), gateways: is_verified };
        let child = Child::start(&role, &directory.join("api.log")).await;
        let mut setup = setup(directory, child.url(), &token, "routed-clients", is_verified);
        setup.ca_file = ca_file;
        Self { setup, backing: Backing::Embedded(Box::new(child)) }
    }

    /// A namespace of a real API server: with a gateway's webhook and verification, or with neither.
    pub async fn real(cluster: &Arc<Cluster>, is_verified: bool) -> Self {
        let labels: &[_] = if is_verified { &[ROUTED] } else { &[] };
        let namespace = Namespace::create(cluster.clone(), "bench", labels).await;
        let webhooks = if is_verified { vec![FOO.serve(&namespace).await] } else { Vec::new() };
        Self::of(namespace, webhooks, is_verified)
    }

    /// A namespace of a real API server with so many gateways' webhooks, called as `register` says, where clients are
    /// created and no more.
    pub async fn of_gateways(cluster: &Arc<Cluster>, count: usize, register: fn(&'static str) -> Registration) -> Self {
        let namespace = Namespace::create(cluster.clone(), "bench", &[ROUTED]).await;
        let mut webhooks = vec![FOO.serve_as(&namespace, register(FOO.value)).await];
        for number in 1..count {
            let value = format!("gateway-{number}").leak();
            webhooks.push(Gateway { value, ..FOO }.serve_as(&namespace, register(value)).await);
        }
        Self::of(namespace, webhooks, false)
    }

    fn of(namespace: Namespace, webhooks: Vec<Webhook>, is_verified: bool) -> Self {
        let cluster = &namespace.cluster;
        let mut setup = setup(&cluster.directory, &cluster.url(), &namespace.token, &namespace.name, is_verified);
        setup.ca_file = cluster.file("server.crt");
        Self { setup, backing: Backing::Real { namespace, _webhooks: webhooks } }
    }

    /// The token of a sender for this audience, which the API reviews for the provisioner.
    pub async fn sender(&self, audience: &str) -> String {
        match &self.backing {
            Backing::Embedded(_) => TOKEN.to_owned(),
            Backing::Real { namespace, .. } => {
                let [role, binding] = [0, 1].map(|at| documents("deploy/components/oidc/rbac.yaml")[at].clone());
                let admin = namespace.admin();
                admin.create(&format!("{RBAC}/clusterroles"), &role).await;
                admin.create(&format!("{RBAC}/clusterrolebindings"), &binding).await;
                let reviews = ("authentication.k8s.io", "tokenreviews");
                until("the right to review", || namespace.may("", "create", reviews)).await;
                account::request_token(&namespace.cluster, (&namespace.name, "default"), Some(audience)).await
            }
        }
    }

    /// Removes all Pods.
    pub async fn clear(&mut self) {
        match &mut self.backing {
            Backing::Embedded(child) => drop(child.ask("clear").await),
            Backing::Real { namespace, .. } => drop(namespace.admin().delete(&namespace.path("pods")).await),
        }
    }

    /// How many calls there have been, and connections where that can be seen.
    pub async fn state(&mut self) -> Value {
        match &mut self.backing {
            Backing::Embedded(child) => child.ask("state").await,
            Backing::Real { namespace, .. } => json!({"calls": calls(namespace).await}),
        }
    }

    /// How many calls there have been.
    pub async fn calls(&mut self) -> u64 {
        self.state().await["calls"].as_u64().expect("every API counts its calls")
    }

    /// Whether the process that measures calls the API as the floor alone: a real one has an administrator as well.
    pub fn has_no_other_client(&self) -> bool {
        matches!(self.backing, Backing::Embedded(_))
    }

    /// How many Pods there are.
    pub async fn pods(&mut self) -> u64 {
        match &mut self.backing {
            Backing::Embedded(child) => child.ask("pods").await["pods"].as_u64().unwrap_or_default(),
            Backing::Real { namespace, .. } => namespace.pods().await.len() as u64,
        }
    }
}

/// How many calls have been made for a single Pod, by the API server's own count.
async fn calls(namespace: &Namespace) -> u64 {
    let request = Request::get("/metrics").body(Bytes::new()).expect("it is valid");
    let answer = namespace.admin().server.answer(request).await.expect("the API server has metrics");
    let text = String::from_utf8_lossy(answer.body()).into_owned();
    let of_pods = |line: &&str| line.starts_with("apiserver_request_total{") && line.contains("resource=\"pods\"");
    let of_one =
        |line: &&str| ["POST", "PATCH", "GET", "DELETE"].iter().any(|verb| line.contains(&format!("verb=\"{verb}\"")));
    let count = |line: &str| line.rsplit(' ').next()?.parse::<f64>().ok();
    text.lines().filter(of_pods).filter(of_one).filter_map(count).sum::<f64>() as u64
}

/// Starts a real API server, whose files are below `directory`.
pub async fn cluster(directory: &Path) -> Arc<Cluster> {
    Arc::new(Cluster::start(directory).await)
}

/// Where what is measured goes, and what processes write.
pub fn results() -> std::path::PathBuf {
    let directory = repository().join("target/bench");
    std::fs::create_dir_all(&directory).expect("target/ can be written");
    directory.canonicalize().expect("it was just made")
}
