//! Addresses at which nothing good listens. All of them are on this machine, or nowhere.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A name that RFC 6761 keeps from ever being resolved.
pub const NOWHERE: &str = "http://provisioner-test.invalid";

/// A server that is of no use. It stops when it is dropped.
pub struct Useless {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Useless {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Useless {
    /// Its address, over TLS.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// A server that takes connections and never says a word: no TLS handshake ends.
    pub async fn silent() -> Self {
        let (listener, address) = listen().await;
        let task = tokio::spawn(async move {
            let mut taken = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                taken.push(stream);
            }
        });
        Self { address, task }
    }

    /// A server with a certificate that nobody signed.
    pub async fn untrusted() -> Self {
        let (listener, address) = listen().await;
        let acceptor = TlsAcceptor::from(Arc::new(self_signed()));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Whoever doesn't trust it breaks off the handshake.
                _ = acceptor.accept(stream).await;
            }
        });
        Self { address, task }
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port is free");
    let address = listener.local_addr().expect("a listener has an address");
    (listener, address)
}

fn self_signed() -> ServerConfig {
    let signed = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a name is enough");
    let key = PrivateKeyDer::try_from(signed.signing_key.serialize_der()).expect("a key is a key");
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring speaks TLS")
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key)
        .expect("the key is the certificate's")
}
