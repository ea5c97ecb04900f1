//! A client of the Kubernetes API, as small as tests need it: a verb, a path and JSON in, a code and JSON out.
//!
//! Every call has a connection of its own, so a client survives an API server that goes away and comes back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::fault::Upstream;

/// How long anything may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What the API server said: the code, and the object.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status code.
    pub code: u16,
    /// The object, a `Status` for a refusal; a text where it is no JSON.
    pub body: Value,
}

impl Answer {
    /// The object of a success.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    pub fn object(self) -> Value {
        assert!((200..300).contains(&self.code), "{} {}", self.code, self.body);
        self.body
    }
}

/// Somebody who may call the API server.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    token: Option<String>,
}

impl Client {
    /// A client with what its TLS configuration says of it, and with a token.
    pub fn new(address: SocketAddr, tls: Arc<ClientConfig>, token: Option<String>) -> Self {
        Self { address, tls, token }
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None).await
    }

    /// `POST` of an object, to be created.
    pub async fn create(&self, path: &str, object: &Value) -> Value {
        self.call("POST", path, Some(object)).await.object()
    }

    /// `DELETE`, at once.
    pub async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, Some(&json!({"gracePeriodSeconds": 0}))).await
    }

    /// The items of a list.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        let list = self.get(path).await.object();
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// A watch: every change from now on, those that made what is there already included, until nobody reads any more.
    pub async fn watch(&self, path: &str) -> impl futures::Stream<Item = Value> + use<> {
        let request = self.request("GET", path, None);
        let (response, connection) = self.open(request).await.unwrap_or_else(|error| panic!("watch {path}: {error}"));
        let frames = response.into_body().into_data_stream();
        let lines = frames.scan((Vec::new(), connection), |(rest, _), frame| {
            let frame = frame.ok();
            rest.extend(frame.iter().flatten());
            let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            let lines: Vec<u8> = rest.drain(..whole).collect();
            std::future::ready(frame.map(|_| lines))
        });
        lines.flat_map(|lines| {
            let changes = serde_json::Deserializer::from_slice(&lines).into_iter::<Value>();
            futures::stream::iter(changes.map_while(Result::ok).collect::<Vec<_>>())
        })
    }

    /// Server-side apply of an object.
    pub async fn apply(&self, path: &str, object: &Value) -> Answer {
        let mut request = self.request("PATCH", path, Some(object));
        request.headers_mut().insert("content-type", http::HeaderValue::from_static("application/apply-patch+yaml"));
        self.exchange(request).await.unwrap_or_else(|error| panic!("apply {path}: {error}"))
    }

    /// A request of somebody else's as it is, its own headers included, and the answer as it comes.
    pub async fn forward(&self, request: Request<Bytes>) -> Result<http::Response<Bytes>, String> {
        let (mut parts, body) = request.into_parts();
        parts.headers.insert("host", self.address.to_string().parse().map_err(|_| "no host")?);
        let response = self.send(Request::from_parts(parts, body.into())).await;
        response.map_err(|error| error.to_string())
    }

    /// The API server as what stands behind a proxy, with the calls as they are.
    pub fn upstream(&self) -> Upstream {
        let client = self.clone();
        Arc::new(move |request| {
            let client = client.clone();
            Box::pin(async move { client.forward(request).await })
        })
    }

    /// Any call. A patch is a merge patch.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let answer = self.try_call(method, path, body).await;
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// The same, where there may be no answer.
    pub async fn try_call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer, String> {
        let call = self.exchange(self.request(method, path, body));
        match tokio::time::timeout(PATIENCE, call).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }

    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Request<Full<Bytes>> {
        let content_type = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.address.to_string())
            .header("accept", "application/json")
            .header("content-type", content_type);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        request.body(bytes.into()).expect("the path is valid")
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
        let (head, bytes) = self.send(request).await?.into_parts();
        let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
        Ok(Answer { code: head.status.as_u16(), body: serde_json::from_slice(&bytes).unwrap_or_else(|_| text()) })
    }

    async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<http::Response<Bytes>, Box<dyn std::error::Error + Send + Sync>> {
        let (response, _connection) = self.open(request).await?;
        let (head, body) = response.into_parts();
        Ok(http::Response::from_parts(head, body.collect().await?.to_bytes()))
    }

    /// Sends a request over a connection of its own, which ends when it is dropped.
    async fn open(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(http::Response<Incoming>, JoinSet<()>), Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::from(self.address.ip());
        let stream = TlsConnector::from(self.tls.clone()).connect(name, stream).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let mut connections = JoinSet::new();
        connections.spawn(async { _ = connection.await });
        Ok((sender.send_request(request).await?, connections))
    }
}

/// Asks until the answer is yes.
///
/// # Panics
/// When it isn't within [`PATIENCE`]; `what` says what never came to be.
pub async fn until<F: Future<Output = bool>>(what: &str, is_so: impl FnMut() -> F) {
    until_within(PATIENCE, what, is_so).await;
}

/// The same with a patience of its own.
///
/// # Panics
/// When it isn't so in time.
pub async fn until_within<F: Future<Output = bool>>(patience: Duration, what: &str, mut is_so: impl FnMut() -> F) {
    let begin = Instant::now();
    while !is_so().await {
        assert!(begin.elapsed() < patience, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
