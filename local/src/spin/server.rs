//! The HTTP server in front of an application: HTTP/1.1, and HTTP/2 without
//! TLS for clients that begin with it.
//!
//! Bodies are streamed both ways. A client that goes away doesn't stop the
//! component. Where Spin closes the
//! connection without an answer (no host, a vanished directory), so does this
//! server. `/.well-known/spin/health` is answered here; the component never
//! sees anything under `/.well-known/spin/`.
//!
//! Unlike Spin, which ends at once, [`Server::serve`] lets running requests
//! end when it is told to stop, for [`PATIENCE`] at most. Nothing that it
//! started is left when it returns.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;

use super::application::{Application, BoxBody, HandleError, empty};
use super::headers::ClientAddr;
use super::tasks::Tasks;
use super::workers::Workers;

/// How long a server that stops waits for running requests.
pub const PATIENCE: Duration = Duration::from_secs(10);

const WELL_KNOWN: &str = "/.well-known/spin/";

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Somebody else listens there.
    #[error("{0} is already in use: stop what listens there, or choose another address")]
    InUse(SocketAddr),
    /// It can't listen there.
    #[error("cannot listen on {address}: {reason}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        reason: std::io::Error,
    },
}

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    application: Application,
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Listens on `address`; port 0 takes any free port.
    pub async fn bind(application: Application, address: SocketAddr) -> Result<Self, ServeError> {
        let fail = |reason: std::io::Error| match reason.kind() {
            std::io::ErrorKind::AddrInUse => ServeError::InUse(address),
            _ => ServeError::Bind { address, reason },
        };
        let listener = TcpListener::bind(address).await.map_err(fail)?;
        let address = listener.local_addr().map_err(fail)?;
        Ok(Self { application: application.with_own_address(address), listener, address })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is ready.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        let mut workers = Workers::start(&self.application, PATIENCE);
        let mut shutdown = pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                () = &mut shutdown => break,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, client)) => {
                    // The rest of an answer must not wait until its head is acknowledged.
                    _ = stream.set_nodelay(true);
                    workers.serve(stream, client);
                }
                // Out of file descriptors, most likely: others will be closed.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
        drop(self.listener);
        let deadline = Instant::now() + PATIENCE;
        let left = async { self.application.finish(deadline.saturating_duration_since(Instant::now())).await };
        workers.finish(left).await;
    }
}

/// What serves one connection.
#[derive(Clone)]
pub(super) struct Service {
    application: Application,
    requests: Tasks,
    client: SocketAddr,
}

impl Service {
    /// Serves `client`. Requests whose client goes away end among `requests`.
    pub(super) fn new(application: Application, requests: Tasks, client: SocketAddr) -> Self {
        Self { application, requests, client }
    }

    /// Serves the connection until it is closed, or until `stopped` says so
    /// and the request in it has its answer.
    pub(super) async fn serve(self, stream: TcpStream, mut stopped: watch::Receiver<()>) {
        let builder = Builder::new(TokioExecutor::new());
        let service = service_fn(|request| self.clone().handle(request));
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let served = tokio::select! {
            served = &mut connection => served,
            _ = stopped.changed() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = served {
            tracing::debug!(%error, client = %self.client, "connection ended");
        }
    }

    async fn handle(self, mut request: Request<Incoming>) -> Result<Response<BoxBody>, HandleError> {
        if let Some(name) = request.uri().path().strip_prefix(WELL_KNOWN) {
            return Ok(well_known(name));
        }
        request.extensions_mut().insert(ClientAddr(self.client));
        let application = self.application.clone();
        let handling = async move {
            let response = application.handle(request).await;
            if let Err(error) = &response {
                application.logs().line(format_args!("closed a connection without an answer: {error}"));
            }
            response
        };
        self.requests.outlive(handling).await
    }
}

fn well_known(name: &str) -> Response<BoxBody> {
    if name == "health" {
        let body = Full::new(Bytes::from_static(b"OK"));
        return Response::new(body.map_err(|never| match never {}).boxed_unsync());
    }
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

#[cfg(test)]
mod tests;
