//! The wire between the component and an API server that works: it passes calls on, and loses what a test tells it to.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives, and so does its answer.
    Pass,
    /// It never arrives, and nobody says so.
    HoldCall,
    /// It arrives, and its answer never comes.
    HoldAnswer,
    /// It never arrives: the connection is closed.
    LoseCall,
    /// It arrives, and the connection is closed in place of its answer.
    LoseAnswer,
}

struct Plan {
    fates: Mutex<Vec<Fate>>,
    upstream: Uri,
    client: Client<HttpConnector, Full<Bytes>>,
    held: watch::Sender<usize>,
}

/// A wire. The first calls meet the fates that it was started with, all others pass.
pub struct Wire {
    address: SocketAddr,
    held: watch::Receiver<usize>,
    task: JoinHandle<()>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Wire {
    /// Lays a wire to the server at `upstream`, on a free port.
    pub async fn to(upstream: &str, fates: Vec<Fate>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let (sender, held) = watch::channel(0);
        let plan = Plan {
            fates: Mutex::new(fates),
            upstream: upstream.parse().expect("the upstream is a URI"),
            client: Client::builder(TokioExecutor::new()).build_http(),
            held: sender,
        };
        Self { address, held, task: tokio::spawn(serve(listener, Arc::new(plan))) }
    }

    /// Its address as `kube_api_url`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until a call or its answer is being held.
    pub async fn holds(&self) {
        self.held.clone().wait_for(|held| *held > 0).await.expect("the wire is up");
    }
}

async fn serve(listener: TcpListener, plan: Arc<Plan>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let plan = plan.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| pass(request, plan.clone()));
            // A connection that is cut on purpose ends in an error here.
            _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn pass(request: Request<Incoming>, plan: Arc<Plan>) -> Result<Response<Full<Bytes>>, &'static str> {
    let fate = next_fate(&plan);
    match fate {
        Fate::LoseCall => return Err("lost on purpose"),
        Fate::HoldCall => hold(&plan).await,
        _ => (),
    }
    let response = forward(request, &plan).await;
    match fate {
        Fate::LoseAnswer => Err("lost on purpose"),
        Fate::HoldAnswer => hold(&plan).await,
        _ => response,
    }
}

fn next_fate(plan: &Plan) -> Fate {
    let mut fates = plan.fates.lock().unwrap_or_else(PoisonError::into_inner);
    if fates.is_empty() { Fate::Pass } else { fates.remove(0) }
}

async fn hold<T>(plan: &Plan) -> T {
    plan.held.send_modify(|held| *held += 1);
    std::future::pending().await
}

async fn forward(request: Request<Incoming>, plan: &Plan) -> Result<Response<Full<Bytes>>, &'static str> {
    let (mut parts, body) = request.into_parts();
    let mut uri = plan.upstream.clone().into_parts();
    uri.path_and_query = parts.uri.path_and_query().cloned();
    parts.uri = Uri::from_parts(uri).map_err(|_| "no URI")?;
    let body = body.collect().await.map_err(|_| "the call was cut off")?.to_bytes();
    let response = plan.client.request(Request::from_parts(parts, body.into())).await;
    let (parts, body) = response.map_err(|_| "the upstream is down")?.into_parts();
    let body = body.collect().await.map_err(|_| "the answer was cut off")?.to_bytes();
    Ok(Response::from_parts(parts, body.into()))
}
