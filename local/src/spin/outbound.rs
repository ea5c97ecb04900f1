//! Requests that the component sends.
//!
//! Takes the place of wasi:http's own client: asks the allowed hosts, chooses
//! the TLS settings, and sends through one pool of connections that all
//! instances share, HTTP/2 where the peer agrees to it over TLS.
//!
//! The guest's timeouts hold, ten minutes each where it sets none: the connect
//! timeout for the TCP connection, the first-byte timeout from the start to
//! the response's head, the between-bytes timeout for every wait after that.
//! Failures reach the guest as the same error codes as under Spin. Nothing is
//! retried, but for a kept connection that turns out closed before anything
//! was sent on it. Headers that a guest must not set, `host` among them, are
//! refused before a request comes here, by wasi:http.

use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, Uri, header, uri};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wasmtime_wasi_http::p2::bindings::http::types::{DnsErrorPayload, ErrorCode};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use super::allowed_hosts::{AllowedHostError, AllowedHosts};
use super::body::{LookAhead, TimedBody};
use super::connection::{Stream, Transport};
use super::logs::Logs;
use super::runtime_config::{BlockedNetworks, RuntimeConfig};
use super::tls::TlsConfigs;

/// How long everything may take that a guest sets no time for.
pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);

/// Sends requests for one component. Clones share the connections.
#[derive(Clone)]
pub struct Outbound {
    inner: Arc<Inner>,
    client: Client<Connector, WasiBody>,
}

struct Inner {
    component_id: String,
    allowed_hosts: Result<AllowedHosts, AllowedHostError>,
    connector: Connector,
    /// Whether a connection is kept for the next request.
    is_pooling: bool,
    logs: Logs,
}

impl Outbound {
    /// Sets up the connections. With `allowed_hosts` that couldn't be read
    /// every request is denied.
    pub fn new(
        component_id: &str,
        allowed_hosts: Result<AllowedHosts, AllowedHostError>,
        config: RuntimeConfig,
        logs: Logs,
    ) -> Result<Self, rustls::Error> {
        let connector = Connector(Arc::new(ConnectorConfig {
            tls: TlsConfigs::new(config.client_tls, component_id)?,
            blocked_networks: config.blocked_networks,
            limit: config
                .outbound_http
                .max_concurrent_requests
                .map(|limit| Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)))),
        }));
        let is_pooling = config.outbound_http.connection_pooling;
        let inner = Inner { component_id: component_id.to_owned(), allowed_hosts, connector, is_pooling, logs };
        Ok(Self { client: inner.client(), inner: Arc::new(inner) })
    }

    /// The same, with connections that it shares with nobody.
    pub(super) fn with_own_connections(&self) -> Self {
        Self { inner: self.inner.clone(), client: self.inner.client() }
    }

    /// Sends one request. `own_address` is where the application itself
    /// listens, for requests to `self`.
    pub async fn send(
        &self,
        mut request: Request<WasiBody>,
        options: RequestOptions,
        own_address: Option<SocketAddr>,
    ) -> Result<Response<WasiBody>, ErrorCode> {
        self.direct(&mut request, own_address)?;
        // The connection sets it, in the way of its version of HTTP.
        request.headers_mut().remove(header::HOST);
        let request = request.map(|body| LookAhead::new(body).boxed_unsync());
        let response =
            CONNECT_TIMEOUT.scope(options.connect_timeout.unwrap_or(DEFAULT_TIMEOUT), self.client.request(request));
        let response = timeout(options.first_byte_timeout.unwrap_or(DEFAULT_TIMEOUT), response)
            .await
            .map_err(|_| ErrorCode::ConnectionReadTimeout)?
            .map_err(|error| error_code(&error))?;
        let between_bytes = options.between_bytes_timeout.unwrap_or(DEFAULT_TIMEOUT);
        Ok(response.map(|body| {
            let body = body.map_err(|error| error_code(&error).into());
            TimedBody::new(body.boxed_unsync(), between_bytes).boxed_unsync()
        }))
    }

    /// Denies what isn't allowed, and turns a request to `self` to the
    /// application's own address.
    fn direct(&self, request: &mut Request<WasiBody>, own_address: Option<SocketAddr>) -> Result<(), ErrorCode> {
        let host = request.uri().host().unwrap_or_default();
        if !host.is_empty() && host != "self.alt" {
            let uri = request.uri();
            return self.check(uri, |allowed| allowed.allows(uri));
        }
        self.check(&Uri::from_static("http://self"), AllowedHosts::allows_self)?;
        let address = own_address.ok_or(ErrorCode::HttpRequestUriInvalid)?;
        *request.uri_mut() = own_uri(request.uri(), address)?;
        Ok(())
    }

    fn check(&self, uri: &Uri, allows: impl Fn(&AllowedHosts) -> bool) -> Result<(), ErrorCode> {
        let Inner { component_id, allowed_hosts, logs, .. } = &*self.inner;
        match allowed_hosts {
            Ok(allowed) if allows(allowed) => return Ok(()),
            Ok(_) => logs.line(format_args!(
                "denied: component {component_id:?} may not call {destination}; to allow it, add {destination:?} to its allowed_outbound_hosts",
                destination = origin(uri),
            )),
            Err(error) => logs.line(format_args!(
                "denied: component {component_id:?} may call nothing until this is put right: {error}"
            )),
        }
        Err(ErrorCode::HttpRequestDenied)
    }
}

impl Inner {
    fn client(&self) -> Client<Connector, WasiBody> {
        let mut builder = Client::builder(TokioExecutor::new());
        if !self.is_pooling {
            builder.pool_max_idle_per_host(0);
        }
        builder.build(self.connector.clone())
    }
}

fn origin(uri: &Uri) -> String {
    let authority = uri.authority().map_or("", uri::Authority::as_str);
    format!("{}://{authority}", uri.scheme_str().unwrap_or("http"))
}

fn own_uri(uri: &Uri, mut address: SocketAddr) -> Result<Uri, ErrorCode> {
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let path = uri.path_and_query().map_or("/", uri::PathAndQuery::as_str);
    Uri::builder()
        .scheme(uri::Scheme::HTTP)
        .authority(address.to_string())
        .path_and_query(path)
        .build()
        .map_err(|_| ErrorCode::HttpRequestUriInvalid)
}

/// The code that a failure of the client stands for: the connector's own, or
/// that of a request body that its guest gave up on.
fn error_code(error: &(dyn StdError + 'static)) -> ErrorCode {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(code) = error.downcast_ref::<ErrorCode>() {
            return code.clone();
        }
        cause = error.source();
    }
    tracing::debug!(?error, "outbound request failed");
    ErrorCode::HttpProtocolError
}

/// What an instance sends its requests through.
pub(super) struct Hooks {
    /// The component's connections.
    pub(super) outbound: Outbound,
    /// Where the application itself listens.
    pub(super) own_address: Option<SocketAddr>,
}

/// Ends when the transfer of a request or response does, with its outcome.
type Transfer = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Transfer,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Transfer), Error>> + Send> {
        let outbound = self.outbound.clone();
        let own_address = self.own_address;
        Box::new(async move {
            let options = options.unwrap_or_default();
            let response = outbound.send(request, options, own_address).await?;
            Ok((response, Box::new(async { Ok(()) }) as Transfer))
        })
    }
}

tokio::task_local! {
    /// The connect timeout of the request that a connection is made for: the
    /// client has no other way to hand it to the connector.
    static CONNECT_TIMEOUT: Duration;
}

/// Makes connections.
#[derive(Clone)]
struct Connector(Arc<ConnectorConfig>);

struct ConnectorConfig {
    tls: TlsConfigs,
    blocked_networks: BlockedNetworks,
    limit: Option<Arc<Semaphore>>,
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = ErrorCode;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ErrorCode>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ErrorCode>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let config = self.0.clone();
        // Read here: the connection may go on in a task of its own.
        let limit = CONNECT_TIMEOUT.try_with(|limit| *limit).unwrap_or(DEFAULT_TIMEOUT);
        Box::pin(async move { config.connect(&uri, limit).await.map(TokioIo::new) })
    }
}

impl ConnectorConfig {
    async fn connect(&self, uri: &Uri, limit: Duration) -> Result<Stream, ErrorCode> {
        let secure = uri.scheme() == Some(&uri::Scheme::HTTPS);
        let addresses = self.resolve(uri, if secure { 443 } else { 80 }).await?;
        let permit = self.permit().await;
        let tcp = timeout(limit, TcpStream::connect(&*addresses))
            .await
            .map_err(|_| ErrorCode::ConnectionTimeout)?
            .map_err(|error| match error.kind() {
                io::ErrorKind::AddrNotAvailable => dns_error("address not available"),
                _ => ErrorCode::ConnectionRefused,
            })?;
        // A guest writes the head and the body of a request one after the other: the body must not wait until the peer
        // has acknowledged the head, which Linux may put off for 40 ms.
        _ = tcp.set_nodelay(true);
        let transport =
            if secure { Transport::Tls(Box::new(self.secure(uri, tcp).await?)) } else { Transport::Plain(tcp) };
        Ok(Stream::new(transport, permit))
    }

    async fn resolve(&self, uri: &Uri, default_port: u16) -> Result<Vec<SocketAddr>, ErrorCode> {
        let authority = uri.authority().ok_or(ErrorCode::HttpRequestUriInvalid)?;
        let host_and_port = match authority.port() {
            Some(_) => authority.to_string(),
            None => format!("{authority}:{default_port}"),
        };
        let mut addresses: Vec<_> =
            tokio::net::lookup_host(&host_and_port).await.map_err(|_| dns_error("address not available"))?.collect();
        let found = addresses.len();
        addresses.retain(|address| !self.blocked_networks.contains(address.ip()));
        if found > 0 && addresses.is_empty() {
            return Err(ErrorCode::DestinationIpProhibited);
        }
        Ok(addresses)
    }

    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        self.limit.clone()?.acquire_owned().await.ok()
    }

    async fn secure(&self, uri: &Uri, tcp: TcpStream) -> Result<TlsStream<TcpStream>, ErrorCode> {
        let host = uri.host().unwrap_or_default().to_owned();
        let connector = TlsConnector::from(self.tls.for_host(&host));
        let name = rustls_pki_types::ServerName::try_from(host).map_err(|_| dns_error("invalid dns name"))?;
        connector.connect(name, tcp).await.map_err(|error| {
            tracing::debug!(%error, %uri, "no TLS");
            ErrorCode::TlsProtocolError
        })
    }
}

fn dns_error(rcode: &str) -> ErrorCode {
    ErrorCode::DnsError(DnsErrorPayload { rcode: Some(rcode.to_owned()), info_code: Some(0) })
}

#[cfg(test)]
mod tests;
