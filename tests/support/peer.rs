//! A scripted API server: which calls are expected, in which order, and what each is answered.
//!
//! A call that is not in the script, and one that is in it and never comes, both fail the test. Answers that depend on
//! the call (a Pod has the name that was asked for) are functions of it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use provisioner::testing::{self, released, routed, wanted};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use tokio::task::JoinHandle;

use crate::schema;

/// A call as it came in.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its method.
    pub method: Method,
    /// Its path and query.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body as JSON, `null` where there is none.
    pub body: Value,
}

/// What a call is answered.
pub enum Answer {
    /// A status, headers and a body.
    Respond(u16, Vec<(&'static str, String)>, Bytes),
    /// A head and part of a body, and then the connection is closed.
    CutBody(u16),
    /// The connection is closed without a byte.
    Close,
    /// Nothing, until as many calls as the barrier is for wait here; then the connection is closed without a byte.
    Together(Arc<Barrier>),
}

/// Makes the answer of a call; the second argument is the Pod that was posted last. Fixtures are those of
/// [`provisioner::testing`].
pub type Script = Box<dyn Fn(&Call, &Value) -> Answer + Send + Sync>;

/// One expected call: its method and its answer.
pub type Step = (&'static str, Script);

/// A step whose answer is JSON, made of the Pod that was posted last.
pub fn json_step(method: &'static str, code: u16, body: impl Fn(Value) -> Value + Send + Sync + 'static) -> Step {
    (method, Box::new(move |_, posted| Answer::Respond(code, Vec::new(), body(posted.clone()).to_string().into())))
}

/// The API server says that it is ready: it is asked before a refusal of rights is believed.
pub fn ready() -> Step {
    json_step("GET", 200, |_| Value::from("ok"))
}

/// A step that fails with a `Status` object.
pub fn status(method: &'static str, code: u16, reason: &'static str, message: &'static str) -> Step {
    json_step(method, code, move |_| status_object(code, reason, message))
}

/// A `Status` object as an API server forms it.
pub fn status_object(code: u16, reason: &str, message: &str) -> Value {
    let answer = testing::status(code, reason, message).expect("a refusal is an answer");
    serde_json::from_slice(answer.body()).expect("a Status is JSON")
}

/// A step that answers with a page, as a proxy does in place of the API server.
pub fn page(method: &'static str, code: u16) -> Step {
    (method, Box::new(move |_, _| Answer::Respond(code, vec![("content-type", "text/html".into())], "<html>".into())))
}

/// A step of which there is no whole answer.
pub fn fault(method: &'static str, fault: fn() -> Answer) -> Step {
    (method, Box::new(move |_, _| fault()))
}

/// The Pod of the gateway `foo` once its gate is gone.
pub fn client(posted: Value) -> Value {
    released(routed(posted))
}

/// The conversation of an event that becomes a client: it is created, routed by the gateway `foo`, and released.
pub fn happy() -> Vec<Step> {
    vec![json_step("POST", 201, routed), json_step("PATCH", 200, client)]
}

/// A look at the Pod that finds none.
pub fn absent() -> Step {
    status("GET", 404, "NotFound", "pods \"x\" not found")
}

/// A create that finds its name taken.
pub fn exists() -> Step {
    status("POST", 409, "AlreadyExists", "pods \"x\" already exists")
}

/// A look that finds the Pod of the event (`/test`, `1`) in this state.
pub fn found(pod: fn(Value) -> Value) -> Step {
    json_step("GET", 200, move |_| pod(wanted(&[])))
}

/// A sink that takes what it is told.
pub fn accepts() -> Step {
    ("POST", Box::new(|_, _| Answer::Respond(202, Vec::new(), Bytes::new())))
}

struct State {
    script: VecDeque<Step>,
    calls: Vec<Call>,
    posted: Value,
    unexpected: Vec<String>,
}

/// The scripted API server. It stops, and its script is checked, when [`Peer::finish`] is called.
pub struct Peer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Peer {
    /// Listens on a free port.
    pub async fn start(script: Vec<Step>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let state = State { script: script.into(), calls: Vec::new(), posted: Value::Null, unexpected: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        let task = tokio::spawn(serve(listener, state.clone()));
        Self { address, state, task }
    }

    /// Its address as `kube_api_url`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops it and gives the calls that came.
    ///
    /// # Panics
    /// When a call came that is not in the script, one of the script did not come, or an event came that is not as its
    /// schema says.
    #[track_caller]
    pub fn finish(self) -> Vec<Call> {
        self.task.abort();
        let state = lock(&self.state);
        let missing: Vec<_> = state.script.iter().map(|(method, _)| *method).collect();
        assert!(state.unexpected.is_empty(), "calls that should not have come:\n{}", state.unexpected.join("\n"));
        assert!(missing.is_empty(), "calls that never came: {missing:?}");
        state.calls.clone()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("nobody panics here")
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let state = state.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| answer(request, state.clone()));
            // A connection that a script cuts ends in an error here, as it should.
            _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

type Body = UnsyncBoxBody<Bytes, &'static str>;

async fn answer(request: Request<Incoming>, state: Arc<Mutex<State>>) -> Result<Response<Body>, &'static str> {
    let answer = next_answer(&call(request, &state).await, &state);
    match answer {
        Answer::Respond(code, headers, body) => {
            let builder = headers.into_iter().fold(head(code), |builder, (name, value)| builder.header(name, value));
            Ok(builder
                .body(Full::new(body).map_err(|never| match never {}).boxed_unsync())
                .expect("scripted headers are valid"))
        }
        Answer::CutBody(code) => Ok(head(code).body(unfinished(b"{\"kind\":")).expect("a head is valid")),
        Answer::Close => Err("closed by the script"),
        Answer::Together(barrier) => {
            barrier.wait().await;
            Err("closed by the script")
        }
    }
}

fn head(code: u16) -> http::response::Builder {
    Response::builder().status(code).header("content-type", "application/json")
}

fn unfinished(beginning: &'static [u8]) -> Body {
    // The cut comes a moment later, so that what is before it is on its way and not thrown away with the rest.
    let cut = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Err("cut by the script")
    };
    let frames = futures::stream::iter([Ok(Frame::data(Bytes::from_static(beginning)))]);
    StreamBody::new(frames.chain(futures::stream::once(cut))).boxed_unsync()
}

async fn call(request: Request<Incoming>, state: &Mutex<State>) -> Call {
    let (parts, body) = request.into_parts();
    // A request that was cut off carries no event.
    let whole = body.collect().await.map(|body| body.to_bytes());
    let checked = whole.as_ref().map_or(Ok(()), |whole| schema::check(&parts.headers, whole));
    lock(state).unexpected.extend(checked.err());
    let body = whole.ok().and_then(|whole| serde_json::from_slice(&whole).ok()).unwrap_or_default();
    Call { method: parts.method, path: parts.uri.to_string(), headers: parts.headers, body }
}

fn next_answer(call: &Call, state: &Mutex<State>) -> Answer {
    let mut state = lock(state);
    state.calls.push(call.clone());
    // A sink gets its answers by POST too.
    if call.method == Method::POST && call.path.starts_with("/api/") {
        state.posted = call.body.clone();
    }
    match state.script.pop_front() {
        Some((method, script)) if method == call.method => script(call, &state.posted),
        step => {
            let expected = step.map_or("nothing", |(method, _)| method);
            state.unexpected.push(format!("{} {} where {expected} was expected", call.method, call.path));
            Answer::Respond(599, Vec::new(), Bytes::new())
        }
    }
}
