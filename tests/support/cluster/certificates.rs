//! The certificate authority of one run, and what it signs.
//!
//! The API server, the gateways' webhooks and the administrator all have their certificates from it; nothing trusts
//! it but what the run starts, and nothing of it outlives the run.

use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// A certificate with its key.
pub struct Identity {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Identity {
    /// Writes the two as PEM.
    pub fn write(&self, certificate: &Path, key: &Path) {
        std::fs::write(certificate, self.certificate.pem()).expect("a certificate can be written");
        std::fs::write(key, self.key.serialize_pem()).expect("a key can be written");
    }

    fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.certificate.der().clone()]
    }

    fn private_key(&self) -> PrivateKeyDer<'static> {
        self.key.serialize_der().try_into().expect("a generated key is PKCS #8")
    }
}

/// A certificate authority.
pub struct Authority {
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// A new one.
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("there is randomness");
        let mut params = named("the tests' authority", &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("the parameters are sound");
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// Its certificate as PEM.
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// For a server on the loopback interface.
    pub fn server(&self) -> Identity {
        let mut params = named("server", &["localhost", "127.0.0.1"]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(&params)
    }

    /// For a user of the API server: the name and the group in the form that Kubernetes reads them.
    pub fn user(&self, name: &str, group: &str) -> Identity {
        let mut params = named(name, &[]);
        params.distinguished_name.push(DnType::OrganizationName, group);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().expect("there is randomness");
        Identity { certificate: params.signed_by(&key, &self.issuer).expect("the parameters are sound"), key }
    }

    /// TLS for a server with a certificate of this authority.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        let identity = self.server();
        let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().expect("ring has the default versions");
        let config = builder.with_no_client_auth().with_single_cert(identity.chain(), identity.private_key());
        Arc::new(config.expect("the key fits the certificate"))
    }

    /// TLS for a client that trusts this authority alone, and who it says it is.
    pub fn client_config(&self, identity: Option<&Identity>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).expect("it is an authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().expect("ring has the default versions");
        let builder = builder.with_root_certificates(roots);
        Arc::new(match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder
                .with_client_auth_cert(identity.chain(), identity.private_key())
                .expect("the key fits the certificate"),
        })
    }
}

fn named(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(hosts).expect("the names are ASCII");
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
