//! The client by which the floor and the native core call the API, and by which events are sent.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pooled;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// A client with its connections. HTTP/2 where the peer agrees to it over TLS, HTTP/1.1 without TLS.
pub type Client = Pooled<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A client that trusts the authorities in this PEM file, or none.
pub fn client(ca_file: Option<&Path>) -> Client {
    let mut roots = RootCertStore::empty();
    for certificate in ca_file.into_iter().flat_map(certificates) {
        roots.add(certificate).expect("it is an authority");
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("ring has the default versions");
    let mut http = HttpConnector::new();
    http.set_nodelay(true);
    http.enforce_http(false);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(builder.with_root_certificates(roots).with_no_client_auth())
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(http);
    Pooled::builder(TokioExecutor::new()).build(connector)
}

fn certificates(path: &Path) -> Vec<CertificateDer<'static>> {
    let certificates = CertificateDer::pem_file_iter(path).expect("the file of the authority can be read");
    certificates.map(|certificate| certificate.expect("it is PEM")).collect()
}
