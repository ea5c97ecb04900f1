//! Which TLS settings a host gets.
//!
//! The first `client_tls` that names the component and the host, exactly and
//! with the same case, counts; for every other host the public authorities
//! are trusted. HTTP/2 is offered before HTTP/1.1.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

use super::runtime_config::{ClientCert, ClientTls};

/// TLS settings by host.
pub(super) struct TlsConfigs {
    by_host: HashMap<String, Arc<ClientConfig>>,
    public: Arc<ClientConfig>,
}

impl TlsConfigs {
    /// Makes the settings of one component.
    pub(super) fn new(all: Vec<ClientTls>, component_id: &str) -> Result<Self, rustls::Error> {
        let mut by_host = HashMap::new();
        let ours = all.into_iter().filter(|tls| match &tls.component_ids {
            Some(ids) => ids.iter().any(|id| id == component_id),
            None => true,
        });
        for tls in ours {
            let config = client_config(tls.ca_roots, tls.use_webpki_roots, tls.client_cert)?;
            for host in tls.hosts {
                by_host.entry(host).or_insert_with(|| config.clone());
            }
        }
        let public = client_config(Vec::new(), true, None)?;
        Ok(Self { by_host, public })
    }

    /// The settings for a request to `host`.
    pub(super) fn for_host(&self, host: &str) -> Arc<ClientConfig> {
        self.by_host.get(host).unwrap_or(&self.public).clone()
    }
}

fn client_config(
    roots: Vec<rustls_pki_types::CertificateDer<'static>>,
    use_webpki_roots: bool,
    client_cert: Option<ClientCert>,
) -> Result<Arc<ClientConfig>, rustls::Error> {
    let mut store = RootCertStore::empty();
    if use_webpki_roots {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    for root in roots {
        store.add(root)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(store);
    let mut config = match client_cert {
        Some(ClientCert { chain, key }) => builder.with_client_auth_cert(chain, key)?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls(component_ids: Option<&[&str]>, hosts: &[&str]) -> ClientTls {
        let signed = rcgen::generate_simple_self_signed(["kube".to_owned()]).unwrap();
        let hosts = hosts.iter().map(ToString::to_string).collect();
        let mut tls = ClientTls::new(hosts, Some(signed.cert.pem().as_bytes())).unwrap();
        let ids = |ids: &[&str]| ids.iter().map(ToString::to_string).collect();
        tls.component_ids = component_ids.map(ids);
        tls
    }

    #[test]
    fn the_first_that_names_component_and_host_exactly_counts() {
        let configs = TlsConfigs::new(
            vec![
                tls(Some(&["other"]), &["kube"]),
                tls(Some(&["one"]), &["kube", "127.0.0.1"]),
                tls(None, &["kube", "sink"]),
            ],
            "one",
        )
        .unwrap();
        let is = |a: &str, b: &str| Arc::ptr_eq(&configs.for_host(a), &configs.for_host(b));
        assert!(is("kube", "127.0.0.1"));
        assert!(!is("kube", "sink"));
        assert!(is("elsewhere", "Kube"));
        assert!(!is("elsewhere", "kube"));
    }
}
