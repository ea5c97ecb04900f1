//! A subscriber for tests: it answers as its script says, and keeps what it
//! was sent.

use crate::{Server, listen};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, Uri};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

/// What a scripted answer says.
#[derive(Clone)]
pub enum Says {
    Status(u16),
    Text(u16, &'static str),
    Event(&'static str),
    Nothing,
}

#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Says>>,
    seen: Mutex<Vec<(HeaderMap, Bytes)>>,
}

/// Answers as the script says, and 202 when that has come to its end.
pub struct Subscriber {
    script: Arc<Script>,
    pub server: Server,
}

impl Subscriber {
    pub async fn new(answers: &[Says]) -> Self {
        let script = Arc::new(Script::default());
        script.answers.lock().unwrap().extend(answers.to_vec());
        let listener = listen(([127, 0, 0, 1], 0).into()).await.unwrap();
        let router = Router::new().fallback(serve).with_state(script.clone());
        let server = Server::start(listener, router);
        Self { script, server }
    }

    pub fn uri(&self) -> Uri {
        let uri = format!("http://{}/", self.server.local_addr);
        uri.parse().unwrap()
    }

    pub fn seen(&self) -> Vec<(HeaderMap, Bytes)> {
        self.script.seen.lock().unwrap().clone()
    }
}

async fn serve(State(script): State<Arc<Script>>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    script.seen.lock().unwrap().push((parts.headers, body));
    let says = script.answers.lock().unwrap().pop_front();
    let response = Response::builder();
    let response = match says.unwrap_or(Says::Status(202)) {
        Says::Status(code) => response.status(code).body(Body::empty()),
        Says::Text(code, text) => response.status(code).body(Body::from(text)),
        Says::Event(ty) => response
            .header("ce-specversion", "1.0")
            .header("ce-id", "reply")
            .header("ce-source", "/subscriber")
            .header("ce-type", ty)
            .body(Body::empty()),
        Says::Nothing => std::future::pending().await,
    };
    response.unwrap()
}
