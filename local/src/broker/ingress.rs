//! Where producers reach the broker.
//!
//! `POST /{namespace}/{broker}` with a CloudEvent: 202, before it is
//! delivered. `OPTIONS` is the CloudEvents webhook handshake, and
//! `GET /events` is what has passed, as JSON. Statuses for anything else are
//! Knative's, but for a format that isn't spoken, such as a batch, which is a 415.

use super::dispatch::Dispatcher;
use super::event::{self, EventError};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use std::sync::Arc;

/// The largest event that is taken in.
const BODY_LIMIT: usize = 4 * 1024 * 1024;

/// The routes of the ingress.
pub fn router(dispatcher: Arc<Dispatcher>) -> Router {
    Router::new().fallback(serve).with_state(dispatcher)
}

async fn serve(State(dispatcher): State<Arc<Dispatcher>>, request: Request<Body>) -> Response<Body> {
    if request.uri().path() == "/events" && request.method() == Method::GET {
        return events(&dispatcher);
    }
    match *request.method() {
        Method::OPTIONS => handshake(),
        Method::POST => match receive(&dispatcher, request).await {
            Ok(()) => answer(StatusCode::ACCEPTED, ""),
            Err((code, why)) => answer(code, &why),
        },
        _ => answer(StatusCode::METHOD_NOT_ALLOWED, ""),
    }
}

type Refusal = (StatusCode, String);

async fn receive(dispatcher: &Arc<Dispatcher>, request: Request<Body>) -> Result<(), Refusal> {
    let (namespace, name) = broker(request.uri())?;
    let (parts, body) = request.into_parts();
    let too_large = |_| {
        let why = format!("an event may have at most {BODY_LIMIT} bytes");
        (StatusCode::PAYLOAD_TOO_LARGE, why)
    };
    let body = to_bytes(body, BODY_LIMIT).await.map_err(too_large)?;
    let event = event::read(&parts.headers, &body).map_err(refusal)?;
    if !dispatcher.serves(&namespace, &name) {
        let why = format!("no broker {namespace}/{name}: POST to {}", dispatcher.url());
        return Err((StatusCode::NOT_FOUND, why));
    }
    match dispatcher.accept(event) {
        true => Ok(()),
        false => Err((StatusCode::BAD_REQUEST, "its TTL is used up".to_owned())),
    }
}

fn broker(uri: &Uri) -> Result<(String, String), Refusal> {
    let path = uri.path().strip_suffix('/').unwrap_or(uri.path());
    match path.split('/').collect::<Vec<_>>()[..] {
        [""] => Err((StatusCode::NOT_FOUND, "POST to /namespace/broker".to_owned())),
        ["", namespace, name] => Ok((namespace.to_owned(), name.to_owned())),
        _ => Err((StatusCode::BAD_REQUEST, "POST to /namespace/broker".to_owned())),
    }
}

fn refusal(error: EventError) -> Refusal {
    let code = match error {
        EventError::Read(ref why) if why.is_unsupported() => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        _ => StatusCode::BAD_REQUEST,
    };
    (code, error.to_string())
}

fn answer(code: StatusCode, why: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(why.to_owned()));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static("POST, OPTIONS"));
    response
}

/// The answer to those that may not come in.
pub fn refuse(why: String) -> Response<Body> {
    answer(StatusCode::FORBIDDEN, &why)
}

fn handshake() -> Response<Body> {
    let mut response = answer(StatusCode::OK, "");
    for name in ["webhook-allowed-origin", "webhook-allowed-rate"] {
        let any = HeaderValue::from_static("*");
        response.headers_mut().insert(name, any);
    }
    response
}

fn events(dispatcher: &Dispatcher) -> Response<Body> {
    let events = dispatcher.journal().events();
    let body = serde_json::to_string(&events).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
