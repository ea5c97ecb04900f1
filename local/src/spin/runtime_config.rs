//! The runtime config: what the operator decides, not the application.
//!
//! Supported are client TLS, connection pooling and its limit, blocked
//! networks and the memory of an instance; `state_dir` is accepted, since
//! nothing here keeps state. Any other key is an error, whether Spin knows it
//! or not. As in Spin, an `[outbound_http]` table without
//! `connection_pooling = true` turns pooling off, paths are relative to the
//! file's own directory, and certificates are read once, when the
//! application is loaded.

use std::path::{Path, PathBuf};

use ip_network::IpNetwork;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;

use super::manifest::check_id;

/// What the operator decides.
#[derive(Clone, Debug, Default)]
pub struct RuntimeConfig {
    /// Whom to trust, by host: the first that names the host counts.
    pub client_tls: Vec<ClientTls>,
    /// How outbound requests use connections.
    pub outbound_http: OutboundHttp,
    /// Networks that no request may reach.
    pub blocked_networks: BlockedNetworks,
    /// The most bytes that an instance's memory may take.
    pub max_instance_memory: Option<usize>,
}

/// How outbound requests use connections.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutboundHttp {
    /// Whether a connection is kept for the next request to the same host.
    #[serde(default)]
    pub connection_pooling: bool,
    /// The most connections at once.
    pub max_concurrent_requests: Option<usize>,
}

impl Default for OutboundHttp {
    fn default() -> Self {
        Self { connection_pooling: true, max_concurrent_requests: None }
    }
}

/// Networks that no request may reach.
#[derive(Clone, Debug, Default)]
pub struct BlockedNetworks {
    /// These, by address.
    pub networks: Vec<IpNetwork>,
    /// Everything that isn't reachable from anywhere on the internet.
    pub private: bool,
}

impl BlockedNetworks {
    /// Whether `address` is in one of the networks.
    pub fn contains(&self, address: std::net::IpAddr) -> bool {
        let private = self.private && !IpNetwork::from(address).is_global();
        let v4 = match address {
            std::net::IpAddr::V6(v6) => v6.to_ipv4(),
            std::net::IpAddr::V4(_) => None,
        };
        private
            || self.networks.iter().any(|network| network.contains(address))
            || v4.is_some_and(|v4| self.contains(v4.into()))
    }
}

/// Whom to trust, and who to be, when calling certain hosts over TLS.
#[derive(Clone, Debug)]
pub struct ClientTls {
    /// The components that this is for; `None` for all.
    pub component_ids: Option<Vec<String>>,
    /// The hosts, exactly as in a request's URI, without a port.
    pub hosts: Vec<String>,
    /// Certificates of the authorities to trust.
    pub ca_roots: Vec<CertificateDer<'static>>,
    /// Whether to trust the public authorities too.
    pub use_webpki_roots: bool,
    /// Who to be.
    pub client_cert: Option<ClientCert>,
}

/// A client certificate and its key.
#[derive(Debug)]
pub struct ClientCert {
    /// The certificate, and those between it and the authority.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its private key.
    pub key: PrivateKeyDer<'static>,
}

impl Clone for ClientCert {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

/// Why a runtime config was refused.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeConfigError {
    /// A file can't be read.
    #[error("cannot read {}: {reason}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// The file is no runtime config, or has a key that isn't supported here.
    #[error("{}:{line}: {message}", .path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where in it, from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// `[[client_tls]]` can't be used.
    #[error("client_tls: {0}")]
    ClientTls(String),
    /// A network in `block_networks` is none.
    #[error("outbound_networking: block_networks: {0:?} is neither \"private\" nor a network such as 10.0.0.0/8")]
    Network(String),
}

impl ClientTls {
    /// For all components: trust `ca_roots` (PEM) alone when calling `hosts`,
    /// or the public authorities when there are none.
    pub fn new(hosts: Vec<String>, ca_roots: Option<&[u8]>) -> Result<Self, RuntimeConfigError> {
        for host in &hosts {
            check_host(host)?;
        }
        if hosts.is_empty() {
            return Err(client_tls("`hosts` must not be empty"));
        }
        Ok(Self {
            component_ids: None,
            hosts,
            use_webpki_roots: ca_roots.is_none(),
            ca_roots: ca_roots.map(|pem| certificates(pem, "ca_roots")).transpose()?.unwrap_or_default(),
            client_cert: None,
        })
    }

    /// Presents this certificate (PEM) with this key (PEM).
    pub fn with_client_cert(mut self, cert: &[u8], key: &[u8]) -> Result<Self, RuntimeConfigError> {
        self.client_cert = Some(client_cert(cert, "client certificate", key, "client key")?);
        Ok(self)
    }
}

fn client_cert(cert: &[u8], cert_name: &str, key: &[u8], key_name: &str) -> Result<ClientCert, RuntimeConfigError> {
    Ok(ClientCert {
        chain: certificates(cert, cert_name)?,
        key: PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| client_tls(format!("{key_name} has no private key in PEM: {error}")))?,
    })
}

fn certificates(pem: &[u8], name: &str) -> Result<Vec<CertificateDer<'static>>, RuntimeConfigError> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| client_tls(format!("{name} is not PEM: {error}")))
}

fn check_host(host: &str) -> Result<(), RuntimeConfigError> {
    let authority = host.parse::<http::uri::Authority>();
    let authority = authority.map_err(|error| client_tls(format!("host {host:?}: {error}")))?;
    if authority.port().is_some() || host.contains('@') {
        return Err(client_tls(format!("host {host:?} must be a host alone, without a port")));
    }
    Ok(())
}

fn client_tls(message: impl Into<String>) -> RuntimeConfigError {
    RuntimeConfigError::ClientTls(message.into())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    #[serde(default)]
    client_tls: Vec<RawClientTls>,
    #[serde(default)]
    outbound_http: OutboundHttp,
    #[serde(default)]
    outbound_networking: RawOutboundNetworking,
    max_instance_memory: Option<usize>,
    #[serde(rename = "state_dir")]
    _state_dir: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawClientTls {
    component_ids: Vec<String>,
    hosts: Vec<String>,
    ca_use_webpki_roots: Option<bool>,
    ca_roots_file: Option<PathBuf>,
    client_cert_file: Option<PathBuf>,
    client_private_key_file: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOutboundNetworking {
    #[serde(default)]
    block_networks: Vec<String>,
}

impl RuntimeConfig {
    /// Reads the file, and the certificates that it names.
    pub fn from_file(path: &Path) -> Result<Self, RuntimeConfigError> {
        let text = String::from_utf8_lossy(&read(path)?).into_owned();
        let raw = parse(path, &text)?;
        let directory = path.parent().unwrap_or(Path::new(""));
        let read_tls = |raw| read_client_tls(raw, directory);
        Ok(Self {
            client_tls: raw.client_tls.into_iter().map(read_tls).collect::<Result<_, _>>()?,
            outbound_http: raw.outbound_http,
            blocked_networks: blocked_networks(raw.outbound_networking.block_networks)?,
            max_instance_memory: raw.max_instance_memory,
        })
    }
}

fn parse(path: &Path, text: &str) -> Result<RawConfig, RuntimeConfigError> {
    toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let unknown = error.message().starts_with("unknown field");
        let hint = if unknown { "; this host supports no other key here" } else { "" };
        RuntimeConfigError::Syntax {
            path: path.into(),
            line: text[..start].matches('\n').count() + 1,
            message: format!("{}{hint}", error.message().replace('\n', " ")),
        }
    })
}

fn read(path: &Path) -> Result<Vec<u8>, RuntimeConfigError> {
    std::fs::read(path).map_err(|reason| RuntimeConfigError::Read { path: path.into(), reason })
}

fn blocked_networks(names: Vec<String>) -> Result<BlockedNetworks, RuntimeConfigError> {
    let mut blocked = BlockedNetworks::default();
    for name in names {
        match IpNetwork::from_str_truncate(&name) {
            _ if name == "private" => blocked.private = true,
            Ok(network) => blocked.networks.push(network),
            Err(_) => return Err(RuntimeConfigError::Network(name)),
        }
    }
    Ok(blocked)
}

fn read_client_tls(raw: RawClientTls, directory: &Path) -> Result<ClientTls, RuntimeConfigError> {
    let read_pem = |path: &PathBuf| read(&directory.join(path));
    if raw.component_ids.is_empty() {
        return Err(client_tls("`component_ids` must not be empty"));
    }
    for id in &raw.component_ids {
        check_id(id, '-').map_err(|reason| client_tls(format!("component_ids: {reason}")))?;
    }
    let roots = raw.ca_roots_file.as_ref().map(read_pem).transpose()?;
    let mut tls = ClientTls::new(raw.hosts, None)?;
    if let (Some(pem), Some(path)) = (&roots, &raw.ca_roots_file) {
        tls.ca_roots = certificates(pem, &path.display().to_string())?;
    }
    tls.use_webpki_roots = raw.ca_use_webpki_roots.unwrap_or(roots.is_none());
    tls.component_ids = Some(raw.component_ids);
    tls.client_cert = match (&raw.client_cert_file, &raw.client_private_key_file) {
        (None, None) => None,
        (Some(cert), Some(key)) => Some(client_cert(
            &read_pem(cert)?,
            &cert.display().to_string(),
            &read_pem(key)?,
            &key.display().to_string(),
        )?),
        (Some(_), None) => {
            return Err(client_tls("`client_cert_file` needs `client_private_key_file`"));
        }
        (None, Some(_)) => {
            return Err(client_tls("`client_private_key_file` needs `client_cert_file`"));
        }
    };
    Ok(tls)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<RuntimeConfig, String> {
        let dir = tempfile::tempdir().unwrap();
        let signed = rcgen::generate_simple_self_signed(["kube".to_owned()]).unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        std::fs::write(dir.path().join("sub/ca.crt"), signed.cert.pem()).unwrap();
        std::fs::write(dir.path().join("ca.key"), signed.signing_key.serialize_pem()).unwrap();
        std::fs::write(dir.path().join("bad.crt"), "-----BEGIN CERTIFICATE-----\n?").unwrap();
        let path = dir.path().join("runtime-config.toml");
        std::fs::write(&path, text).unwrap();
        RuntimeConfig::from_file(&path).map_err(|error| error.to_string())
    }

    fn tls(rest: &str) -> String {
        format!("[[client_tls]]\ncomponent_ids = [\"one\"]\nhosts = [\"kube\"]\n{rest}\n")
    }

    #[track_caller]
    fn refused(text: &str, expected: &str) {
        let message = load(text).expect_err("should be refused");
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
        assert!(!message.contains('\n'), "{message:?} is more than one line");
    }

    #[test]
    fn certificates_are_read_relative_to_the_file() {
        let config = load(&tls(
            "ca_roots_file = \"sub/ca.crt\"\nclient_cert_file = \"sub/ca.crt\"\nclient_private_key_file = \"ca.key\"",
        ));
        let tls = &config.unwrap().client_tls[0];
        assert_eq!(tls.component_ids.as_deref(), Some(&["one".to_owned()][..]));
        assert_eq!(tls.ca_roots.len(), 1);
        assert!(!tls.use_webpki_roots);
        assert!(tls.client_cert.is_some());
    }

    #[test]
    fn the_public_roots_are_off_once_there_are_own_ones_unless_asked_for() {
        let public = |rest: &str| load(&tls(rest)).unwrap().client_tls[0].use_webpki_roots;
        assert!(public(""));
        assert!(!public("ca_roots_file = \"sub/ca.crt\""));
        assert!(public("ca_roots_file = \"sub/ca.crt\"\nca_use_webpki_roots = true"));
        assert!(!public("ca_use_webpki_roots = false"));
    }

    #[test]
    fn client_tls_that_cannot_work_is_refused() {
        refused(&tls("ca_roots_file = \"gone.crt\""), "gone.crt");
        refused(&tls("ca_roots_file = \"bad.crt\""), "bad.crt is not PEM");
        refused(&tls("client_cert_file = \"sub/ca.crt\""), "needs `client_private_key_file`");
        refused(&tls("client_private_key_file = \"ca.key\""), "needs `client_cert_file`");
        refused(&tls("client_cert_file = \"sub/ca.crt\"\nclient_private_key_file = \"sub/ca.crt\""), "no private key");
        refused(&tls("verify = false"), "runtime-config.toml:4: unknown field `verify`");
        refused(&tls("").replace("\"kube\"", "\"kube:443\""), "without a port");
        refused(&tls("").replace("\"kube\"", ""), "`hosts` must not be empty");
        refused(&tls("").replace("\"one\"", ""), "`component_ids` must not be empty");
        refused(&tls("").replace("\"one\"", "\"a_b\""), "is no name");
        refused("[[client_tls]]\nhosts = [\"a\"]", "component_ids");
    }

    #[test]
    fn pooling_is_on_unless_there_is_a_table_that_does_not_say_so() {
        let http = |text: &str| load(text).unwrap().outbound_http;
        assert!(http("").connection_pooling);
        assert!(!http("[outbound_http]").connection_pooling);
        assert!(!http("[outbound_http]\nmax_concurrent_requests = 3").connection_pooling);
        assert!(http("[outbound_http]\nconnection_pooling = true").connection_pooling);
    }

    #[test]
    fn other_keys() {
        let config = load("max_instance_memory = 1000\nstate_dir = \"\"").unwrap();
        assert_eq!(config.max_instance_memory, Some(1000));
        refused("variables_provider = []", "unknown field `variables_provider`");
        refused("[key_value_store.default]\ntype = \"spin\"", "`key_value_store`");
        refused("[outbound_networking]\nblock_networks = [\"privat\"]", "\"privat\"");
        refused("=", "runtime-config.toml:1");
        let missing = RuntimeConfig::from_file(Path::new("/gone.toml")).unwrap_err();
        assert!(missing.to_string().starts_with("cannot read /gone.toml"));
    }

    #[test]
    fn blocked_networks() {
        let config = load("[outbound_networking]\nblock_networks = [\"1.1.1.1/32\", \"private\"]");
        let blocked = config.unwrap().blocked_networks;
        for (address, expected) in [
            ("1.1.1.1", true),
            ("1.1.1.2", false),
            ("10.0.0.1", true),
            ("127.0.0.1", true),
            ("::1", true),
            ("::ffff:1.1.1.1", true),
        ] {
            assert_eq!(blocked.contains(address.parse().unwrap()), expected, "{address}");
        }
    }
}
