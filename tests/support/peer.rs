//! A scripted API server: which calls are expected, in which order, and what each is answered.
//!
//! A call that is not in the script, and one that is in it and never comes, both fail the test. Answers that depend on
//! the call (a Pod has the name that was asked for) are functions of it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use provisioner::testing::{self, released, routed, wanted};
use serde_json::Value;

use crate::fault::{Proxy, serving};
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
    /// The connection is closed without a byte.
    Close,
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

#[derive(Default)]
struct State {
    script: VecDeque<Step>,
    calls: Vec<Call>,
    posted: Value,
    unexpected: Vec<String>,
}

/// The scripted API server. It stops, and its script is checked, when [`Peer::finish`] is called.
pub struct Peer {
    server: Proxy,
    state: Arc<Mutex<State>>,
}

impl Peer {
    /// Listens on a free port.
    pub async fn start(script: Vec<Step>) -> Self {
        let state = Arc::new(Mutex::new(State { script: script.into(), ..State::default() }));
        let scripted = state.clone();
        let server = serving(move |request| {
            let answer = scripted.lock().expect("nobody panics here").answer(request);
            respond(answer)
        });
        Self { server: Proxy::serve(server, None), state }
    }

    /// Its address as `kube_api_url`.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Stops it and gives the calls that came.
    ///
    /// # Panics
    /// When a call came that is not in the script, one of the script did not come, or an event came that is not as its
    /// schema says.
    #[track_caller]
    pub fn finish(self) -> Vec<Call> {
        let state = self.state.lock().expect("nobody panics here");
        let missing: Vec<_> = state.script.iter().map(|(method, _)| *method).collect();
        assert!(state.unexpected.is_empty(), "calls that should not have come:\n{}", state.unexpected.join("\n"));
        assert!(missing.is_empty(), "calls that never came: {missing:?}");
        state.calls.clone()
    }
}

impl State {
    fn answer(&mut self, request: Request<Bytes>) -> Answer {
        let (parts, body) = request.into_parts();
        self.unexpected.extend(schema::check(&parts.headers, &body).err());
        let body = serde_json::from_slice(&body).unwrap_or_default();
        let call = Call { method: parts.method, path: parts.uri.to_string(), headers: parts.headers, body };
        // A sink gets its answers by POST too.
        if call.method == Method::POST && call.path.starts_with("/api/") {
            self.posted = call.body.clone();
        }
        self.calls.push(call.clone());
        match self.script.pop_front() {
            Some((method, script)) if method == call.method => script(&call, &self.posted),
            step => {
                let expected = step.map_or("nothing", |(method, _)| method);
                self.unexpected.push(format!("{} {} where {expected} was expected", call.method, call.path));
                Answer::Respond(599, Vec::new(), Bytes::new())
            }
        }
    }
}

/// The response, or why the connection is closed in its place.
async fn respond(answer: Answer) -> Result<Response<Bytes>, String> {
    match answer {
        Answer::Respond(code, headers, body) => {
            let response = Response::builder().status(code).header("content-type", "application/json");
            let response = headers.into_iter().fold(response, |response, (name, value)| response.header(name, value));
            Ok(response.body(body).expect("scripted headers are valid"))
        }
        Answer::Close => Err("closed by the script".to_owned()),
    }
}
