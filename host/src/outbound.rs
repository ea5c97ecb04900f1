//! Requests that the component sends.
//!
//! All instances share one pool of connections, HTTP/2 where the peer agrees to it over TLS. The guest's timeouts hold, ten
//! minutes each where it sets none: the connect timeout until there is a connection, the first-byte timeout from the start
//! to the response's head, the between-bytes timeout for every wait after that. Failures reach the guest as the error
//! codes that Spin has for them. Nothing is retried, but for a kept connection that turns out closed before anything was
//! sent on it.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use http::{Request, Response, Uri, header, uri};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::{HttpConnector, capture_connection};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::TokioExecutor;
use rustls::ClientConfig;
use tokio::time::timeout;
use wasmtime_wasi_http::p2::bindings::http::types::DnsErrorPayload;
pub use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;
pub use wasmtime_wasi_http::{RequestOptions, WasiBody};

use crate::allowed_hosts::AllowedHosts;
use crate::observer::Observer;
use crate::runtime_config::{RuntimeConfig, public_tls};

/// How long everything may take that a guest sets no time for.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);

type HttpsClient = Client<HttpsConnector<HttpConnector>, WasiBody>;

/// Sends requests for one component. Clones share the connections.
#[derive(Clone)]
pub struct Outbound(Arc<Inner>);

struct Inner {
    component_id: String,
    allowed_hosts: Result<AllowedHosts>,
    /// For the hosts that the runtime config names.
    by_host: HashMap<String, HttpsClient>,
    /// For all others.
    public: HttpsClient,
    observer: Arc<dyn Observer>,
}

impl Outbound {
    pub(crate) fn new(
        id: &str,
        hosts: Result<AllowedHosts>,
        config: RuntimeConfig,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let mut by_host = HashMap::new();
        // The first that names a host counts, so it comes last.
        for tls in config.client_tls.into_iter().rev().filter(|tls| tls.is_for(id)) {
            let client = client(tls.config, config.connection_pooling);
            by_host.extend(tls.hosts.into_iter().map(|host| (host, client.clone())));
        }
        let public = client(public_tls(), config.connection_pooling);
        Self(Arc::new(Inner { component_id: id.to_owned(), allowed_hosts: hosts, by_host, public, observer }))
    }

    /// Sends one request.
    ///
    /// # Errors
    /// It may not be sent, or there is no answer to it.
    pub async fn send(
        &self,
        mut request: Request<WasiBody>,
        options: RequestOptions,
    ) -> Result<Response<WasiBody>, ErrorCode> {
        self.check(request.uri())?;
        // The connection sets it, in the way of its version of HTTP.
        request.headers_mut().remove(header::HOST);
        let client = self.0.by_host.get(request.uri().host().unwrap_or_default()).unwrap_or(&self.0.public);
        let connect_timeout = options.connect_timeout.unwrap_or(DEFAULT_TIMEOUT);
        let first_byte_timeout = options.first_byte_timeout.unwrap_or(DEFAULT_TIMEOUT);
        let response = timeout(first_byte_timeout, exchange(client, request, connect_timeout)).await;
        let response = response.unwrap_or(Err(ErrorCode::ConnectionReadTimeout))?;
        let limit = options.between_bytes_timeout.unwrap_or(DEFAULT_TIMEOUT);
        Ok(response.map(|body| timed(body, limit)))
    }

    fn check(&self, uri: &Uri) -> Result<(), ErrorCode> {
        let Inner { component_id, allowed_hosts, observer, .. } = &*self.0;
        let authority = uri.authority().map_or("", uri::Authority::as_str);
        let to = format!("{}://{authority}", uri.scheme_str().unwrap_or("http"));
        let why = match allowed_hosts {
            Ok(allowed) if allowed.allows(uri) => return Ok(()),
            Ok(_) => format!("may not call {to}; to allow it, add {to:?} to its allowed_outbound_hosts"),
            Err(error) => format!("may call nothing until this is put right: {error:#}"),
        };
        observer.line(format_args!("denied: component {component_id:?} {why}"));
        Err(ErrorCode::HttpRequestDenied)
    }
}

fn client(tls: ClientConfig, is_pooling: bool) -> HttpsClient {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    // The body must not wait until the peer has acknowledged the head, which Linux may put off for 40 ms.
    http.set_nodelay(true);
    let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_all_versions();
    let mut builder = Client::builder(TokioExecutor::new());
    if !is_pooling {
        builder.pool_max_idle_per_host(0);
    }
    builder.build(https.wrap_connector(http))
}

/// Sends the request, unless there is no connection in time.
async fn exchange(
    client: &HttpsClient,
    mut request: Request<WasiBody>,
    connect_timeout: Duration,
) -> Result<Response<Incoming>, ErrorCode> {
    let mut connection = capture_connection(&mut request);
    let mut response = pin!(client.request(request));
    let connected = timeout(connect_timeout, async { connection.wait_for_connection_metadata().await.is_some() });
    let response = tokio::select! {
        response = &mut response => response,
        connected = connected => match connected {
            Ok(_) => response.await,
            Err(_) => return Err(ErrorCode::ConnectionTimeout),
        },
    };
    response.map_err(|error| error_code(&error))
}

/// The code that Spin has for a failure.
fn error_code(error: &legacy::Error) -> ErrorCode {
    let Some(cause) = error.source().filter(|_| error.is_connect()) else { return ErrorCode::HttpProtocolError };
    // What fails after there is a connection is TLS, whose errors come as they are; others are wrapped.
    if cause.is::<io::Error>() {
        return ErrorCode::TlsProtocolError;
    }
    if cause.to_string().starts_with("dns error") {
        let rcode = Some("address not available".to_owned());
        return ErrorCode::DnsError(DnsErrorPayload { rcode, info_code: Some(0) });
    }
    ErrorCode::ConnectionRefused
}

/// The body, which fails when the wait for its next piece takes too long.
fn timed(body: Incoming, limit: Duration) -> WasiBody {
    let frames = futures::stream::unfold(body, move |mut body| async move {
        let frame = match timeout(limit, body.frame()).await {
            Ok(frame) => frame?.map_err(Into::into),
            Err(_) => Err(wasmtime_wasi_http::Error::ConnectionReadTimeout),
        };
        Some((frame, body))
    });
    StreamBody::new(frames).boxed_unsync()
}

#[cfg(test)]
mod tests;
