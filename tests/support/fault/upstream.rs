//! What stands behind a proxy: a server that works, reached by whatever transport it takes.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::{Reply, schema};

type Answering = Pin<Box<dyn Future<Output = Result<Response<Bytes>, String>> + Send>>;

/// Answers a request, or says why it can't. A server behind TLS is another function of this type.
pub type Upstream = Arc<dyn Fn(Request<Bytes>) -> Answering + Send + Sync>;

/// The server at `url`, over plain HTTP.
pub fn to_server(url: &str) -> Upstream {
    let url: Uri = url.parse().expect("the upstream is a URI");
    let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    Arc::new(move |request| Box::pin(forward(client.clone(), url.clone(), request)))
}

async fn forward(
    client: Client<HttpConnector, Full<Bytes>>,
    url: Uri,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, String> {
    let (mut parts, body) = request.into_parts();
    schema::note(&parts.headers, &body);
    let mut uri = url.into_parts();
    uri.path_and_query = parts.uri.path_and_query().cloned();
    parts.uri = Uri::from_parts(uri).map_err(|error| error.to_string())?;
    let response = client.request(Request::from_parts(parts, body.into())).await;
    let (parts, body) = response.map_err(|error| error.to_string())?.into_parts();
    let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
    schema::note(&parts.headers, &body);
    Ok(Response::from_parts(parts, body))
}

/// A sink that takes every event and remembers it.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Arc<Mutex<Vec<Reply>>>);

impl Recorder {
    /// The events that it was given, each as if it had been an answer.
    ///
    /// # Panics
    /// When one of them was not as its schema says.
    pub fn taken(&self) -> Vec<Reply> {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for event in &taken {
            schema::check(&event.headers, &event.body)
                .unwrap_or_else(|complaint| panic!("the sink got what is {complaint}"));
        }
        taken
    }

    /// As what stands behind a proxy.
    pub fn upstream(&self) -> Upstream {
        let recorder = self.clone();
        Arc::new(move |request| {
            let (parts, body) = request.into_parts();
            let taken = Reply::new(http::StatusCode::OK, parts.headers, body);
            recorder.0.lock().unwrap_or_else(PoisonError::into_inner).push(taken);
            let answer = Response::builder().status(202).body(Bytes::new()).expect("a status is an answer");
            Box::pin(std::future::ready(Ok(answer)))
        })
    }
}
