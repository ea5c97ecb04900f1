//! TLS in front of the embedded API, as an API server has it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::serve::Listener;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::roles::ANY_PORT;

/// TLS on a listener. Handshakes are done in tasks of their own, so that one that dawdles holds nobody up.
pub struct Tls {
    /// Where it listens.
    pub local_addr: SocketAddr,
    accepted: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    task: JoinHandle<()>,
}

impl Tls {
    /// Listens on a free port, and counts the connections that got as far as HTTP. `tls` names the
    /// versions of HTTP that are spoken, by ALPN.
    pub async fn bind(tls: ServerConfig, connections: Arc<AtomicU64>) -> Self {
        let mut listener = TcpListener::bind(SocketAddr::from(ANY_PORT)).await.expect("a port is free");
        let local_addr = listener.local_addr().expect("a listener has an address");
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let (sender, accepted) = mpsc::channel(64);
        let task = tokio::spawn(async move {
            loop {
                let (stream, client) = Listener::accept(&mut listener).await;
                let (acceptor, sender, connections) = (acceptor.clone(), sender.clone(), connections.clone());
                tokio::spawn(async move {
                    _ = stream.set_nodelay(true);
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    connections.fetch_add(1, Ordering::Relaxed);
                    // The server may have stopped.
                    _ = sender.send((stream, client)).await;
                });
            }
        });
        Self { local_addr, accepted, task }
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.accepted.recv().await {
            Some(accepted) => accepted,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local_addr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper_util::rt::{TokioExecutor, TokioIo};

    #[tokio::test]
    async fn client_that_offers_http2_over_tls_gets_it_and_is_counted() {
        let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = signed.signing_key.serialize_der().try_into().unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let builder = builder.unwrap().with_no_client_auth();
        let mut tls = builder.with_single_cert(vec![signed.cert.der().clone()], key).unwrap();
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let connections = Arc::default();
        let listener = Tls::bind(tls, Arc::clone(&connections)).await;
        let address = listener.local_addr;
        tokio::spawn(axum::serve(listener, axum::Router::new()).into_future());

        let mut roots = rustls::RootCertStore::empty();
        roots.add(signed.cert.der().clone()).unwrap();
        let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut tls = builder.unwrap().with_root_certificates(roots).with_no_client_auth();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let stream = TcpStream::connect(address).await.unwrap();
        let name = "localhost".try_into().unwrap();
        let stream = tokio_rustls::TlsConnector::from(Arc::new(tls)).connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::get("https://localhost/").body(axum::body::Body::empty()).unwrap();
        assert_eq!(sender.send_request(request).await.unwrap().status(), 404);
        assert_eq!(connections.load(Ordering::Relaxed), 1);
    }
}
