//! What stands behind a proxy: a server that works, reached by whatever transport it takes.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};

use crate::schema;

type Answering = Pin<Box<dyn Future<Output = Result<Response<Bytes>, String>> + Send>>;

/// Answers a request, or says why it can't. A server of a test's own is another function of this type.
pub type Upstream = Arc<dyn Fn(Request<Bytes>) -> Answering + Send + Sync>;

/// A server that is this function.
pub fn serving<F>(answer: impl Fn(Request<Bytes>) -> F + Send + Sync + 'static) -> Upstream
where
    F: Future<Output = Result<Response<Bytes>, String>> + Send + 'static,
{
    Arc::new(move |request| Box::pin(answer(request)))
}

/// The server at `url`, over plain HTTP.
pub fn to_server(url: &str) -> Upstream {
    Server::new(url, None).upstream()
}

/// A server that is called.
#[derive(Clone)]
pub struct Server {
    /// Its scheme and authority.
    origin: String,
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Server {
    /// The one at this URL, whatever its path, with TLS or without.
    pub fn new(url: &str, tls: Option<ClientConfig>) -> Self {
        // With TLS every call has a connection of its own, so it survives an API server that goes away and comes back.
        let idle = if tls.is_some() { 0 } else { usize::MAX };
        let none = || ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls.unwrap_or_else(none));
        let connector = connector.https_or_http().enable_http1().build();
        let http = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(idle).build(connector);
        let url: Uri = url.parse().expect("it is a URL");
        let authority = url.authority().expect("it names a host");
        Self { origin: format!("{}://{authority}", url.scheme_str().unwrap_or("http")), http }
    }

    /// Sends a request as it is, its own headers included, and gives the answer as soon as it begins.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn open(&self, mut request: Request<Bytes>) -> Result<Response<Incoming>, String> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let url = format!("{}{path}", self.origin);
        *request.uri_mut() = url.parse().map_err(|error| format!("{url}: {error}"))?;
        self.http.request(request.map(Full::new)).await.map_err(|error| format!("{error:?}"))
    }

    /// The same, with the whole answer.
    ///
    /// # Errors
    /// There is none.
    pub async fn answer(&self, request: Request<Bytes>) -> Result<Response<Bytes>, String> {
        schema::note(request.headers(), request.body());
        let (parts, body) = self.open(request).await?.into_parts();
        let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        schema::note(&parts.headers, &body);
        Ok(Response::from_parts(parts, body))
    }

    /// What a proxy can stand in front of.
    pub fn upstream(&self) -> Upstream {
        let server = self.clone();
        serving(move |request| {
            let server = server.clone();
            async move { server.answer(request).await }
        })
    }
}
