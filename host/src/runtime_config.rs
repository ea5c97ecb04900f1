//! The runtime config: what the operator decides, not the application.
//!
//! Supported are client TLS, connection pooling and the memory of an instance; `state_dir` is accepted, since nothing here
//! keeps state. As in Spin, an `[outbound_http]` table without `connection_pooling = true` turns pooling off, paths are
//! relative to the file's own directory, and certificates are read once, at the start.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::error::{read, read_toml};
use crate::manifest::check_id;

/// What the operator decides.
#[derive(Clone, Debug)]
pub struct RuntimeConfig {
    /// Whom to trust, by host: the first that names the host counts.
    pub client_tls: Vec<ClientTls>,
    /// Whether a connection is kept for the next request to the same host.
    pub connection_pooling: bool,
    /// The most bytes that an instance's memory may take.
    pub max_instance_memory: Option<usize>,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self { client_tls: Vec::new(), connection_pooling: true, max_instance_memory: None }
    }
}

/// Whom to trust, and who to be, when calling certain hosts over TLS.
#[derive(Clone, Debug)]
pub struct ClientTls {
    /// The components that this is for; none for all.
    pub(crate) component_ids: Vec<String>,
    /// The hosts, exactly as in a request's URI, without a port.
    pub(crate) hosts: Vec<String>,
    pub(crate) config: ClientConfig,
}

/// Certificates or a key, in PEM, behind the name to tell errors by.
pub type Pem = (String, Vec<u8>);

impl ClientTls {
    /// For all components: trust `ca_roots` alone when calling `host`, or the public authorities when there are none; and
    /// be whom this certificate and key say.
    ///
    /// # Errors
    /// They aren't PEM.
    pub fn new(host: String, ca_roots: Option<Pem>, client: Option<[Pem; 2]>) -> Result<Self> {
        let config = client_config(ca_roots.is_none(), ca_roots, client)?;
        Ok(Self { component_ids: Vec::new(), hosts: vec![host], config })
    }

    /// Whether it is for this component.
    pub(crate) fn is_for(&self, component_id: &str) -> bool {
        self.component_ids.is_empty() || self.component_ids.iter().any(|id| id == component_id)
    }
}

/// TLS that trusts the public authorities, as for every host that nothing else is said of.
pub(crate) fn public_tls() -> ClientConfig {
    client_config(true, None, None).expect("there is nothing in it that could be wrong")
}

fn client_config(is_public: bool, ca_roots: Option<Pem>, client: Option<[Pem; 2]>) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    if is_public {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    if let Some(pem) = ca_roots {
        for root in certificates(&pem)? {
            roots.add(root).with_context(|| format!("client_tls: {}", pem.0))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.expect("ring has them").with_root_certificates(roots);
    let Some([cert, (name, key)]) = client else { return Ok(builder.with_no_client_auth()) };
    let key = PrivateKeyDer::from_pem_slice(&key)
        .map_err(|error| anyhow!("client_tls: {name} holds no key in PEM: {error}"))?;
    builder.with_client_auth_cert(certificates(&cert)?, key).with_context(|| format!("client_tls: {name}"))
}

fn certificates((name, pem): &Pem) -> Result<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|error| anyhow!("client_tls: {name} is not PEM: {error}"))?;
    ensure!(!all.is_empty(), "client_tls: {name} holds no certificate in PEM, which has a line BEGIN CERTIFICATE");
    Ok(all)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    #[serde(default)]
    client_tls: Vec<RawClientTls>,
    outbound_http: Option<RawOutboundHttp>,
    max_instance_memory: Option<usize>,
    #[serde(rename = "state_dir")]
    _state_dir: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOutboundHttp {
    #[serde(default)]
    connection_pooling: bool,
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

impl RuntimeConfig {
    /// Reads the file, and the certificates that it names.
    ///
    /// # Errors
    /// What Spin would refuse, and what this host doesn't support.
    pub fn from_file(path: &Path) -> Result<Self> {
        let raw: RawConfig = read_toml(path)?;
        let directory = path.parent().unwrap_or(Path::new(""));
        Ok(Self {
            client_tls: raw.client_tls.into_iter().map(|tls| tls.read(directory)).collect::<Result<_>>()?,
            connection_pooling: raw.outbound_http.is_none_or(|table| table.connection_pooling),
            max_instance_memory: raw.max_instance_memory,
        })
    }
}

impl RawClientTls {
    fn read(self, directory: &Path) -> Result<ClientTls> {
        let is_for_some = !self.component_ids.is_empty() && !self.hosts.is_empty();
        ensure!(is_for_some, "client_tls: `component_ids` and `hosts` must not be empty");
        self.component_ids.iter().try_for_each(|id| check_id("client_tls: component_ids", id, '-'))?;
        for host in &self.hosts {
            let authority = host.parse::<http::uri::Authority>();
            let is_host = authority.is_ok_and(|it| it.port().is_none() && !host.contains('@'));
            ensure!(is_host, "client_tls: host {host:?} must be a host alone, without a port");
        }
        let pem = |path: &PathBuf| anyhow::Ok((path.display().to_string(), read(&directory.join(path))?));
        let client = match (&self.client_cert_file, &self.client_private_key_file) {
            (None, None) => None,
            (Some(cert), Some(key)) => Some([pem(cert)?, pem(key)?]),
            _ => bail!("client_tls: `client_cert_file` and `client_private_key_file` need each other"),
        };
        let ca_roots = self.ca_roots_file.as_ref().map(pem).transpose()?;
        let config = client_config(self.uses_webpki_roots(), ca_roots, client)?;
        Ok(ClientTls { component_ids: self.component_ids, hosts: self.hosts, config })
    }

    fn uses_webpki_roots(&self) -> bool {
        self.ca_use_webpki_roots.unwrap_or(self.ca_roots_file.is_none())
    }
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
        std::fs::write(dir.path().join("der.crt"), signed.cert.der()).unwrap();
        let path = dir.path().join("runtime-config.toml");
        std::fs::write(&path, text).unwrap();
        RuntimeConfig::from_file(&path).map_err(|error| format!("{error:#}"))
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
        assert!(tls.is_for("one") && !tls.is_for("other"));
        assert!(tls.config.client_auth_cert_resolver.has_certs());
    }

    #[test]
    fn the_public_roots_are_off_once_there_are_own_ones_unless_asked_for() {
        let is_public = |ca_roots_file: Option<&str>, ca_use_webpki_roots| {
            let raw = RawClientTls {
                component_ids: Vec::new(),
                hosts: Vec::new(),
                ca_use_webpki_roots,
                ca_roots_file: ca_roots_file.map(PathBuf::from),
                client_cert_file: None,
                client_private_key_file: None,
            };
            raw.uses_webpki_roots()
        };
        let ca = Some("/dev/null");
        assert!(is_public(None, None) && is_public(ca, Some(true)));
        assert!(!is_public(ca, None) && !is_public(None, Some(false)));
    }

    #[test]
    fn client_tls_that_cannot_work_is_refused() {
        refused(&tls("ca_roots_file = \"gone.crt\""), "gone.crt");
        refused(&tls("ca_roots_file = \"bad.crt\""), "bad.crt is not PEM");
        refused(&tls("ca_roots_file = \"der.crt\""), "der.crt holds no certificate in PEM");
        let of_der = tls("client_cert_file = \"der.crt\"\nclient_private_key_file = \"ca.key\"");
        refused(&of_der, "der.crt holds no certificate in PEM");
        refused(&tls("client_cert_file = \"sub/ca.crt\""), "need each other");
        refused(&tls("client_private_key_file = \"ca.key\""), "need each other");
        refused(
            &tls("client_cert_file = \"sub/ca.crt\"\nclient_private_key_file = \"sub/ca.crt\""),
            "sub/ca.crt holds no key",
        );
        refused(&tls("verify = false"), "runtime-config.toml:4: verify: unknown field `verify`");
        refused(&tls("").replace("\"kube\"", "\"kube:443\""), "without a port");
        refused(&tls("").replace("\"kube\"", ""), "must not be empty");
        refused(&tls("").replace("\"one\"", ""), "must not be empty");
        refused(&tls("").replace("\"one\"", "\"a_b\""), "is no name");
        refused("[[client_tls]]\nhosts = [\"a\"]", "component_ids");
    }

    #[test]
    fn pooling_is_on_unless_there_is_a_table_that_does_not_say_so() {
        let is_pooling = |text: &str| load(text).unwrap().connection_pooling;
        assert!(is_pooling(""));
        assert!(!is_pooling("[outbound_http]"));
        assert!(is_pooling("[outbound_http]\nconnection_pooling = true"));
    }

    #[test]
    fn other_keys() {
        let config = load("max_instance_memory = 1000\nstate_dir = \"\"").unwrap();
        assert_eq!(config.max_instance_memory, Some(1000));
        refused("variables_provider = []", "unknown field `variables_provider`");
        refused("[key_value_store.default]\ntype = \"spin\"", "`key_value_store`");
        refused("[outbound_networking]\nblock_networks = [\"private\"]", "unknown field `outbound_networking`");
        refused("[outbound_http]\nmax_concurrent_requests = 3", "unknown field `max_concurrent_requests`");
        refused("=", "runtime-config.toml:1");
        let missing = RuntimeConfig::from_file(Path::new("/gone.toml")).unwrap_err();
        assert!(missing.to_string().starts_with("cannot read /gone.toml"));
    }
}
