//! A kube-apiserver with its etcd, on the loopback interface, for one run of the tests or of the benchmark.
//!
//! It is the API server of a cluster with nothing behind it: no controller manager, no scheduler, no kubelet. So a
//! Pod that is released stays `Pending`, a namespace that is deleted stays `Terminating`, and service accounts have to
//! be created. [`control_plane`] puts the rest behind it, where a test needs that. Authorization is RBAC's, admission is
//! the default (Pod Security and quotas included), API priority and fairness is on.

pub mod account;
pub mod certificates;
pub mod client;
pub mod control_plane;
pub mod gateway;
pub mod namespace;
pub mod webhook;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use bytes::Bytes;
use http::Request;
use rcgen::KeyPair;
use serde_json::json;
use tokio::sync::OnceCell;

use crate::cluster::certificates::Authority;
use crate::cluster::client::Client;
use crate::fault::Server;
use crate::process::Process;
use crate::provisioner::repository;

pub use client::until;
pub use gateway::FOO;
pub use namespace::{Namespace, ROUTED};

/// The administrator's token.
pub const ADMIN: &str = "the-administrators-token";

/// A running API server.
pub struct Cluster {
    /// What its servers show, and whoever calls them trusts.
    pub authority: Authority,
    /// The administrator.
    pub admin: Client,
    /// A directory for logs and files.
    pub directory: PathBuf,
    address: SocketAddr,
    etcd_address: SocketAddr,
    control_plane: OnceCell<[Process; 3]>,
    api_server: Mutex<Option<Process>>,
    _etcd: Process,
}

/// Where kube-apiserver and etcd are: the variable that Kubernetes' own tests use, or where `make e2e` builds them.
pub fn binaries() -> PathBuf {
    let own = || repository().join("target/kubernetes");
    std::env::var_os("KUBEBUILDER_ASSETS").map_or_else(own, PathBuf::from)
}

/// Starts one of [`binaries`], with its log in the directory.
fn run<'a>(directory: &Path, program: &str, flags: impl IntoIterator<Item = (&'a str, String)>) -> Process {
    let flags: Vec<String> = flags.into_iter().map(|(flag, value)| format!("--{flag}={value}")).collect();
    Process::start(&binaries().join(program), &flags, &directory.join(format!("{program}.log")))
}

impl Cluster {
    /// Starts etcd and the API server with all their files in `directory`, and the provisioner's service account in it.
    ///
    /// # Panics
    /// When it doesn't get ready.
    pub async fn start(directory: &Path) -> Self {
        // All are held until all are known, so that they differ.
        let ports = [(); 3].map(|()| TcpListener::bind(("127.0.0.1", 0)).expect("a port is free"));
        let [address, etcd_address, peer_address] = ports.map(|port| port.local_addr().expect("it has an address"));
        let authority = Authority::new();
        let cluster = Self {
            admin: Client::new(Server::new(&format!("https://{address}"), Some(authority.client_config())), ADMIN),
            authority,
            directory: directory.to_owned(),
            address,
            etcd_address,
            control_plane: OnceCell::new(),
            api_server: Mutex::default(),
            _etcd: start_etcd(directory, etcd_address, peer_address),
        };
        let signing = KeyPair::generate().expect("there is randomness");
        cluster.write("server.crt", &cluster.authority.pem());
        cluster.write("server.key", &cluster.authority.key_pem());
        cluster.write("signing.key", &signing.serialize_pem());
        cluster.write("signing.pub", &signing.public_key_pem());
        cluster.write("tokens.csv", &format!("{ADMIN},admin,admin,system:masters"));
        cluster.write_kubeconfig("kubeconfig", ADMIN);
        cluster.start_api_server().await;
        account::create_service_account(&cluster.admin).await;
        cluster
    }

    /// One of its files, as `server.crt`, which whoever calls it trusts, and `kubeconfig` of the administrator.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.file(name), text).expect("a file can be written");
    }

    /// Ends the API server where it stands. What it stored stays.
    pub fn kill_api_server(&self) {
        self.api_server.lock().expect("nobody panics with it").take();
    }

    /// Starts the API server, at the address it always has, and waits until it is ready.
    pub async fn start_api_server(&self) {
        let process = run(&self.directory, "kube-apiserver", self.api_server_flags());
        self.api_server.lock().expect("nobody panics with it").replace(process);
        let log = self.file("kube-apiserver.log");
        until(&format!("the API server gets ready: see {}", log.display()), || async {
            let ready = Request::get("/readyz").body(Bytes::new()).expect("it is a path");
            self.admin.server.answer(ready).await.is_ok_and(|answer| answer.status() == 200)
        })
        .await;
    }

    fn api_server_flags(&self) -> Vec<(&'static str, String)> {
        let file = |name: &str| self.file(name).display().to_string();
        vec![
            ("etcd-servers", format!("http://{}", self.etcd_address)),
            ("bind-address", self.address.ip().to_string()),
            ("secure-port", self.address.port().to_string()),
            ("advertise-address", self.address.ip().to_string()),
            ("tls-cert-file", file("server.crt")),
            ("tls-private-key-file", file("server.key")),
            ("token-auth-file", file("tokens.csv")),
            ("authorization-mode", "RBAC".to_owned()),
            ("service-account-issuer", "https://kubernetes.default.svc".to_owned()),
            ("service-account-signing-key-file", file("signing.key")),
            ("service-account-key-file", file("signing.pub")),
            ("allow-privileged", "true".to_owned()),
        ]
    }

    /// Puts the rest of a control plane behind it, if that isn't there yet.
    pub async fn start_control_plane(&self) {
        self.control_plane.get_or_init(|| control_plane::start(self)).await;
    }

    /// Whoever has this token.
    pub fn with_token(&self, token: &str) -> Client {
        Client::new(self.admin.server.clone(), token)
    }

    /// Where it is, as `kube_api_url`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Writes the kubeconfig of whoever has this token.
    pub fn write_kubeconfig(&self, name: &str, token: &str) {
        let server = json!({"server": self.url(), "certificate-authority": "server.crt"});
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "e2e",
            "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": "e2e"}}],
            "clusters": [{"name": "e2e", "cluster": server}],
            "users": [{"name": "e2e", "user": {"token": token}}],
        });
        self.write(name, &config.to_string());
    }
}

fn start_etcd(directory: &Path, address: SocketAddr, peer_address: SocketAddr) -> Process {
    let (url, peer_url) = (format!("http://{address}"), format!("http://{peer_address}"));
    let flags = [
        ("data-dir", directory.join("etcd").display().to_string()),
        ("listen-client-urls", url.clone()),
        ("advertise-client-urls", url),
        ("initial-cluster", format!("default={peer_url}")),
        ("listen-peer-urls", peer_url.clone()),
        ("initial-advertise-peer-urls", peer_url),
        // What a power cut leaves of the data is of no interest here.
        ("unsafe-no-fsync", "true".to_owned()),
    ];
    run(directory, "etcd", flags)
}
