//! A listener that says what to do when its address is taken, and a server on it that stops when it is told to.

use axum::Router;
use axum::serve::Listener;
use rustls::ServerConfig;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How long requests in flight may take to end at a shutdown.
const DRAIN: Duration = Duration::from_secs(2);

/// An address cannot be listened on.
#[derive(Debug, Error)]
pub enum ListenError {
    /// Something else listens there.
    #[error("{0} is in use: stop what listens there, or choose another port")]
    InUse(SocketAddr),
    /// Another reason, which is the source.
    #[error("cannot listen on {address}: choose an address of this machine and a port above 1023")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The reason.
        source: io::Error,
    },
}

pub(crate) async fn listen(address: SocketAddr) -> Result<Bound, ListenError> {
    let bound = async {
        let listener = TcpListener::bind(address).await?;
        let local_addr = listener.local_addr()?;
        Ok(Bound { listener, local_addr })
    };
    bound.await.map_err(|source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse(address),
        _ => ListenError::Listen { address, source },
    })
}

/// A listener that knows where it listens.
pub(crate) struct Bound {
    pub(crate) listener: TcpListener,
    pub(crate) local_addr: SocketAddr,
}

/// A router that is being served, until this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    local_addr: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

impl Server {
    pub(crate) fn start(bound: Bound, router: Router) -> Self {
        Self::start_on(bound.listener, bound.local_addr, router)
    }

    /// The same behind TLS. `connections` counts those that got as far as HTTP.
    pub(crate) fn start_tls(bound: Bound, tls: ServerConfig, connections: Arc<AtomicU64>, router: Router) -> Self {
        let local_addr = bound.local_addr;
        Self::start_on(Tls::start(bound, tls, connections), local_addr, router)
    }

    fn start_on<L: Listener<Addr: std::fmt::Debug>>(listener: L, local_addr: SocketAddr, router: Router) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = axum::serve(listener, router).with_graceful_shutdown(async {
            // A dropped sender stops the server as well.
            let _ = stopped.await;
        });
        Self { local_addr, stop, task: tokio::spawn(serving.into_future()) }
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    pub(crate) async fn shutdown(mut self) {
        let _ = self.stop.send(());
        if tokio::time::timeout(DRAIN, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

/// TLS on a listener. Handshakes are done in tasks of their own, so that one that dawdles holds nobody up.
struct Tls {
    local_addr: SocketAddr,
    accepted: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    task: JoinHandle<()>,
}

impl Tls {
    fn start(bound: Bound, tls: ServerConfig, connections: Arc<AtomicU64>) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let (sender, accepted) = mpsc::channel(64);
        let mut listener = bound.listener;
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
        Self { local_addr: bound.local_addr, accepted, task }
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
    async fn taken_port_is_an_error_that_says_what_to_do() {
        let bound = listen(([127, 0, 0, 1], 0).into()).await.unwrap();
        let error = listen(bound.local_addr).await.err().unwrap();
        assert!(error.to_string().ends_with("choose another port"), "{error}");
    }

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
        let bound = listen(([127, 0, 0, 1], 0).into()).await.unwrap();
        let server = Server::start_tls(bound, tls, Arc::clone(&connections), Router::new());

        let mut roots = rustls::RootCertStore::empty();
        roots.add(signed.cert.der().clone()).unwrap();
        let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut tls = builder.unwrap().with_root_certificates(roots).with_no_client_auth();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let stream = TcpStream::connect(server.local_addr()).await.unwrap();
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
