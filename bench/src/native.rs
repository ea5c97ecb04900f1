//! The core of the component, compiled for this machine, behind hyper: what WebAssembly adds is what lies between the two.
//!
//! A connection stays on one thread, as in the component's host: each processor has a thread with a runtime, and with
//! connections of its own to the API.

use std::convert::Infallible;
use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::Utc;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use provisioner::endpoint::{Body, BodyError, LARGEST_BODY};
use provisioner::outbound::{Answer, Bounds, NoAnswer, Outbound};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::client::{Client, client};
use crate::roles::{ANY_PORT, Orders, say};
use crate::setup::{Core, Setup};

/// Serves until `orders` end.
pub async fn serve(setup: &Setup, mut orders: Orders) {
    let listener = TcpListener::bind(std::net::SocketAddr::from(ANY_PORT)).await.expect("a port is free");
    let address = listener.local_addr().expect("a listener has an address");
    let core = Arc::new(Core::new(setup));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let workers: Vec<_> = (0..threads).map(|_| worker(core.clone(), client(Some(&setup.ca_file)))).collect();
    say(&json!({"url": format!("http://{address}"), "load_ms": 0.0}));
    tokio::spawn(async move {
        for worker in workers.iter().cycle() {
            let Ok((stream, _)) = listener.accept().await else { continue };
            _ = worker.send(stream);
        }
    });
    while let Ok(Some(_)) = orders.next_line().await {
        say(&json!({}));
    }
}

/// A thread that serves the connections it is sent.
fn worker(core: Arc<Core>, client: Client) -> UnboundedSender<TcpStream> {
    let (sender, connections) = unbounded_channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("this machine has threads");
        tokio::task::LocalSet::new().block_on(&runtime, serve_all(connections, core, client));
    });
    sender
}

async fn serve_all(mut connections: UnboundedReceiver<TcpStream>, core: Arc<Core>, client: Client) {
    let client = Rc::new(client);
    while let Some(stream) = connections.recv().await {
        let (core, client) = (core.clone(), client.clone());
        tokio::task::spawn_local(async move {
            _ = stream.set_nodelay(true);
            let service = service_fn(move |request| handle(request, core.clone(), client.clone()));
            // Whoever measures closes connections as it likes.
            _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn handle(
    request: Request<Incoming>,
    core: Arc<Core>,
    client: Rc<Client>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let started = Instant::now();
    let (parts, body) = request.into_parts();
    let body: Body = match Limited::new(body, LARGEST_BODY).collect().await {
        Ok(body) => Ok(body.to_bytes().to_vec()),
        Err(_) => Err(BodyError::TooLarge),
    };
    let door = Door { started, client: &client };
    let answered = core.answer(Request::from_parts(parts, body), &door).await;
    if let Some(entry) = answered.log {
        _ = std::io::stderr().write_all(entry.line(Utc::now(), started.elapsed()).as_bytes());
    }
    Ok(answered.response.map(|body| Bytes::from(body).into()))
}

struct Door<'a> {
    started: Instant,
    client: &'a Client,
}

impl Outbound for Door<'_> {
    async fn send(&self, request: Request<Vec<u8>>, bounds: Bounds) -> Answer {
        let left = bounds.call.min(bounds.delivery.saturating_sub(self.started.elapsed()));
        let exchange = exchange(self.client, request, bounds.answer);
        let answer = tokio::time::timeout(left.max(Duration::from_millis(1)), exchange).await;
        answer.unwrap_or(Err(NoAnswer::Late(left)))
    }
}

async fn exchange(client: &Client, request: Request<Vec<u8>>, largest: usize) -> Answer {
    let request = request.map(|body| Full::new(Bytes::from(body)));
    let response = client.request(request).await.map_err(|error| NoAnswer::Host(format!("{error:?}")))?;
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, largest).collect().await.map_err(|error| NoAnswer::Host(error.to_string()))?;
    Ok(Response::from_parts(parts, body.to_bytes().to_vec()))
}
