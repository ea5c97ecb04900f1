//! The certificate authority of one run, and what it signs.
//!
//! The API server, the gateways' webhooks and the administrator all have their certificates from it; nothing trusts
//! it but what the run starts, and nothing of it outlives the run.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedKey, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, SanType,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// A certificate with its key.
pub type Identity = CertifiedKey<KeyPair>;

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
        let mut params = named("the tests' authority");
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
        self.sign("server", ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// For a user of the API server who may do everything.
    pub fn admin(&self) -> Identity {
        self.sign("system:masters", ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> Identity {
        let mut params = named(name);
        params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
        params.extended_key_usages = vec![usage];
        let signing_key = KeyPair::generate().expect("there is randomness");
        let cert = params.signed_by(&signing_key, &self.issuer).expect("the parameters are sound");
        CertifiedKey { cert, signing_key }
    }

    /// TLS for a server with a certificate of this authority.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        let server = self.server();
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![server.cert.der().clone()], private_key(&server));
        Arc::new(config.expect("the key fits the certificate"))
    }

    /// TLS for a client that trusts this authority alone, and who it says it is.
    pub fn client_config(&self, identity: Option<&Identity>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).expect("it is an authority");
        let builder = ClientConfig::builder().with_root_certificates(roots);
        let Some(identity) = identity else { return builder.with_no_client_auth() };
        let config = builder.with_client_auth_cert(vec![identity.cert.der().clone()], private_key(identity));
        config.expect("the key fits the certificate")
    }
}

fn private_key(identity: &Identity) -> PrivateKeyDer<'static> {
    identity.signing_key.serialize_der().try_into().expect("a generated key is PKCS #8")
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    // Kubernetes reads a user's group from it.
    params.distinguished_name.push(DnType::OrganizationName, name);
    params
}
