//! The one certificate of a run: the API server and the gateways' webhooks show it, and whoever calls them trusts it.

use std::sync::Arc;

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// A certificate for loopback that vouches for itself, and its key.
pub struct Authority(CertifiedKey<KeyPair>);

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// A new one.
    pub fn new() -> Self {
        Self(generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("it is an address"))
    }

    /// The certificate as PEM.
    pub fn pem(&self) -> String {
        self.0.cert.pem()
    }

    /// Its key as PEM.
    pub fn key_pem(&self) -> String {
        self.0.signing_key.serialize_pem()
    }

    /// TLS for a server that shows it.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::try_from(self.0.signing_key.serialize_der()).expect("a generated key is PKCS #8");
        let config = ServerConfig::builder().with_no_client_auth();
        Arc::new(config.with_single_cert(vec![self.0.cert.der().clone()], key).expect("the key is the certificate's"))
    }

    /// TLS for a client that trusts it alone.
    pub fn client_config(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.cert.der().clone()).expect("it is a certificate");
        ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
    }
}
