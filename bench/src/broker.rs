//! A burst by way of the in-memory broker: each event is delivered to the provisioner, and its answer to whoever waits.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use http::header::HOST;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use local::broker::{Broker, BrokerConfig, Filter, Trigger};
use provisioner::event::PENDING;
use provisioner::reply::DONE;
use tests::events::pending;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::client::client;
use crate::load::{Sample, Seen};
use crate::roles::ANY_PORT;

/// When each answer came, by the event that it answers.
type Answers = Arc<Mutex<HashMap<String, Instant>>>;

/// Sends so many events at once to a broker in front of the provisioner at `url`, and waits until nothing is left in it.
/// An event takes until its answer was delivered.
///
/// # Panics
/// When the broker doesn't take an event, or gives one up.
pub async fn burst(url: &str, events: usize) -> Sample {
    let answers = Answers::default();
    let waiting = TcpListener::bind(SocketAddr::from(ANY_PORT)).await.expect("a port is free");
    let address = waiting.local_addr().expect("a listener has an address");
    let waits = tokio::spawn(wait(waiting, answers.clone()));
    let uri = |text: String| text.parse().expect("it is a URL");
    let mut config = BrokerConfig::new(uri(format!("{url}/")), PENDING);
    config.triggers.push(Trigger::new(uri(format!("http://{address}/")), Filter::of_type(DONE)));
    let broker = Broker::bind(config).await.expect("a port is free");
    let begin = Instant::now();
    publish(broker.url(), events).await;
    broker.wait_idle().await;
    let elapsed = begin.elapsed();
    waits.abort();
    assert_eq!(broker.journal.look(|_, totals| totals.dead_letters), 0, "the broker gave up");
    let answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
    let mut seen = Seen::default();
    for came in answers.values() {
        seen.note(came.duration_since(begin));
    }
    seen.sample(elapsed)
}

async fn publish(url: &str, events: usize) {
    let client = Arc::new(client(None));
    let mut sent = JoinSet::new();
    for number in 0..events {
        let mut request = pending(&format!("burst-{number}"), "foo");
        *request.uri_mut() = url.parse().expect("the broker has a URL");
        // The broker answers to its own name alone.
        request.headers_mut().remove(HOST);
        let client = client.clone();
        sent.spawn(async move { client.request(request).await.map(|response| response.status().as_u16()) });
    }
    while let Some(taken) = sent.join_next().await {
        assert_eq!(taken.expect("nobody panics").expect("the broker answers"), 202);
    }
}

/// Takes answers, until it is aborted. Where it can't take one, the broker gives it up in the end, which is an error.
async fn wait(listener: TcpListener, answers: Answers) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(take(stream, answers.clone()));
    }
}

async fn take(stream: TcpStream, answers: Answers) {
    let service = service_fn(move |request: Request<Incoming>| {
        let id = request.headers().get("ce-causationid").and_then(|id| id.to_str().ok()).unwrap_or_default();
        answers.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), Instant::now());
        async { Ok::<_, Infallible>(Response::new(Full::new(Bytes::new()))) }
    });
    _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
