//! A kube-apiserver with its etcd, on the loopback interface, for one run of the tests or of the benchmark.
//!
//! It is the API server of a cluster with nothing behind it: no controller manager, no scheduler, no kubelet. So a
//! Pod that is released stays `Pending`, a namespace that is deleted stays `Terminating`, and service accounts have to
//! be created. [`control_plane`] puts the rest behind it, where a test needs that. Authorization is RBAC's, admission is
//! the default (Pod Security and quotas included), API priority and fairness is on.

pub mod certificates;
pub mod client;
pub mod control_plane;
pub mod gateway;
pub mod namespace;
pub mod rights;
pub mod token;
pub mod webhook;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rcgen::KeyPair;
use serde_json::json;

use crate::cluster::certificates::Authority;
use crate::cluster::client::{Client, PATIENCE};
use crate::process::Process;
use crate::provisioner::repository;

/// How often free ports are tried: another process may take one between our look and its use.
const ATTEMPTS: usize = 3;

/// A running API server.
pub struct Cluster {
    /// Who signs certificates in it.
    pub authority: Authority,
    /// Signs the tokens of service accounts.
    pub signing_key: KeyPair,
    directory: PathBuf,
    binaries: PathBuf,
    address: SocketAddr,
    etcd_address: SocketAddr,
    admin: Client,
    api_server: Mutex<Option<Process>>,
    _etcd: Process,
}

/// Where kube-apiserver and etcd are: the variable that Kubernetes' own tests use, or where `make e2e` builds them.
pub fn binaries() -> PathBuf {
    let own = || repository().join("target/kubernetes");
    std::env::var_os("KUBEBUILDER_ASSETS").map_or_else(own, PathBuf::from)
}

impl Cluster {
    /// Starts those of [`binaries`], with the provisioner's service account in the cluster.
    pub async fn start_default(directory: &Path) -> Self {
        let cluster = Self::start(&binaries(), directory).await;
        rights::create_service_account(cluster.admin()).await;
        cluster
    }

    /// Starts etcd and the API server of the directory `binaries`, with all their files in `directory`, and waits until
    /// the API server is ready.
    ///
    /// # Panics
    /// When it doesn't get ready; the message says where its log is.
    pub async fn start(binaries: &Path, directory: &Path) -> Self {
        for _ in 1..ATTEMPTS {
            match Self::try_start(binaries, directory).await {
                Ok(cluster) => return cluster,
                Err(problem) => eprintln!("{problem}; trying again with other ports"),
            }
        }
        Self::try_start(binaries, directory).await.unwrap_or_else(|problem| panic!("{problem}"))
    }

    async fn try_start(binaries: &Path, directory: &Path) -> Result<Self, String> {
        let [address, etcd_address, peer_address] = free_addresses();
        let authority = Authority::new();
        let admin = authority.user("admin", "system:masters");
        admin.write(&directory.join("admin.crt"), &directory.join("admin.key"));
        let etcd = start_etcd(binaries, directory, etcd_address, peer_address);
        let cluster = Self {
            admin: Client::new(address, authority.client_config(Some(&admin)), None),
            signing_key: KeyPair::generate().expect("there is randomness"),
            authority,
            directory: directory.to_owned(),
            binaries: binaries.to_owned(),
            address,
            etcd_address,
            api_server: Mutex::new(None),
            _etcd: etcd,
        };
        cluster.write_files();
        cluster.start_api_server().await?;
        Ok(cluster)
    }

    fn write_files(&self) {
        let file = |name: &str| self.directory.join(name);
        self.authority.server().write(&file("server.crt"), &file("server.key"));
        std::fs::write(file("ca.crt"), self.authority.pem()).expect("a file can be written");
        std::fs::write(file("signing.key"), self.signing_key.serialize_pem()).expect("a file can be written");
        std::fs::write(file("signing.pub"), self.signing_key.public_key_pem()).expect("a file can be written");
        self.write_kubeconfig();
    }

    /// Ends the API server where it stands. What it stored stays.
    pub fn kill_api_server(&self) {
        *self.api_server.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Starts the API server, at the address it always has, and waits until it is ready.
    ///
    /// # Errors
    /// Its last words, should it end instead.
    pub async fn start_api_server(&self) -> Result<(), String> {
        let log = self.directory.join("kube-apiserver.log");
        let mut process = Process::start(&self.binaries.join("kube-apiserver"), &self.api_server_flags(), log);
        let begin = std::time::Instant::now();
        while !self.is_ready().await {
            if process.has_ended() || begin.elapsed() > PATIENCE {
                let words = process.last_lines(5);
                return Err(format!("the API server does not get ready: {words}"));
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        *self.api_server.lock().unwrap_or_else(PoisonError::into_inner) = Some(process);
        Ok(())
    }

    async fn is_ready(&self) -> bool {
        self.admin.try_call("GET", "/readyz", None).await.is_ok_and(|answer| answer.code == 200)
    }

    fn api_server_flags(&self) -> Vec<String> {
        let file = |name: &str| self.directory.join(name).display().to_string();
        [
            ("etcd-servers", format!("http://{}", self.etcd_address)),
            ("bind-address", self.address.ip().to_string()),
            ("secure-port", self.address.port().to_string()),
            ("advertise-address", self.address.ip().to_string()),
            ("cert-dir", file("generated")),
            ("tls-cert-file", file("server.crt")),
            ("tls-private-key-file", file("server.key")),
            ("client-ca-file", file("ca.crt")),
            ("authorization-mode", "RBAC".to_owned()),
            ("service-account-issuer", "https://kubernetes.default.svc".to_owned()),
            ("service-account-signing-key-file", file("signing.key")),
            ("service-account-key-file", file("signing.pub")),
            ("service-cluster-ip-range", "10.0.0.0/24".to_owned()),
            ("allow-privileged", "true".to_owned()),
        ]
        .map(|(flag, value)| format!("--{flag}={value}"))
        .into()
    }

    /// The administrator.
    pub fn admin(&self) -> &Client {
        &self.admin
    }

    /// Whoever has this token.
    pub fn with_token(&self, token: &str) -> Client {
        Client::new(self.address, self.authority.client_config(None), Some(token.to_owned()))
    }

    /// Where it is, as `kube_api_url`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The authority's certificate, as a file.
    pub fn ca_file(&self) -> PathBuf {
        self.directory.join("ca.crt")
    }

    /// A directory for logs and files.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A kubeconfig of the administrator.
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.join("kubeconfig")
    }

    fn write_kubeconfig(&self) {
        let file = |name: &str| self.directory.join(name);
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "e2e",
            "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": "admin"}}],
            "clusters": [{"name": "e2e", "cluster": {"server": self.url(), "certificate-authority": self.ca_file()}}],
            "users": [{"name": "admin", "user": {
                "client-certificate": file("admin.crt"), "client-key": file("admin.key"),
            }}],
        });
        std::fs::write(self.kubeconfig(), config.to_string()).expect("a file can be written");
    }
}

fn start_etcd(binaries: &Path, directory: &Path, address: SocketAddr, peer_address: SocketAddr) -> Process {
    let (url, peer_url) = (format!("http://{address}"), format!("http://{peer_address}"));
    let flags = [
        ("data-dir", directory.join(format!("etcd-{}", address.port())).display().to_string()),
        ("listen-client-urls", url.clone()),
        ("advertise-client-urls", url),
        ("listen-peer-urls", peer_url.clone()),
        ("initial-advertise-peer-urls", peer_url.clone()),
        ("initial-cluster", format!("default={peer_url}")),
        // What a power cut leaves of the data is of no interest here.
        ("unsafe-no-fsync", "true".to_owned()),
    ];
    let flags: Vec<String> = flags.map(|(flag, value)| format!("--{flag}={value}")).into();
    Process::start(&binaries.join("etcd"), &flags, directory.join("etcd.log"))
}

fn free_addresses<const N: usize>() -> [SocketAddr; N] {
    // All are held until all are known, so that they differ.
    let listeners = [(); N].map(|()| TcpListener::bind(("127.0.0.1", 0)).expect("a port is free"));
    listeners.map(|listener| listener.local_addr().expect("a listener has an address"))
}
