//! What stands behind a proxy: a server that works, reached by whatever transport it takes.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::schema;

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
