//! Where producers reach the broker.
//!
//! `POST /{namespace}/{broker}` with a CloudEvent: 202, before it is delivered. `OPTIONS` is the CloudEvents webhook
//! handshake, and `GET /events` is what has passed, as JSON. Statuses for anything else are Knative's, but for a format
//! that isn't spoken, such as a batch, which is a 415.

use super::dispatch::Dispatcher;
use super::event::{self, EventError};
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use bytes::Bytes;
use http::header::ALLOW;
use http::{HeaderMap, StatusCode, Uri};
use std::sync::Arc;

/// The largest event that is taken in.
const BODY_LIMIT: usize = 4 * 1024 * 1024;

/// The routes of the ingress.
pub fn router(dispatcher: Arc<Dispatcher>) -> Router {
    let broker = post(take).options(handshake).fallback(async || answer(StatusCode::METHOD_NOT_ALLOWED, String::new()));
    let events = async |State(dispatcher): State<Arc<Dispatcher>>| Json(dispatcher.journal.events());
    let router = Router::new().route("/events", broker.clone().get(events)).fallback(broker);
    router.layer(DefaultBodyLimit::max(BODY_LIMIT)).with_state(dispatcher)
}

async fn take(
    State(dispatcher): State<Arc<Dispatcher>>,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let refused = receive(&dispatcher, uri.path(), &headers, body).err();
    let (code, why) = refused.unwrap_or((StatusCode::ACCEPTED, String::new()));
    answer(code, why)
}

fn receive(
    dispatcher: &Arc<Dispatcher>,
    path: &str,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<(), (StatusCode, String)> {
    let path = path.strip_suffix('/').unwrap_or(path);
    match path.split('/').count() {
        1 => return Err((StatusCode::NOT_FOUND, "POST to /namespace/broker".to_owned())),
        3 => {}
        _ => return Err((StatusCode::BAD_REQUEST, "POST to /namespace/broker".to_owned())),
    }
    let too_large = |_| (StatusCode::PAYLOAD_TOO_LARGE, format!("an event may have at most {BODY_LIMIT} bytes"));
    let event = event::read(headers, &body.map_err(too_large)?).map_err(|why| match &why {
        EventError::Read(read) if read.is_unsupported() => (StatusCode::UNSUPPORTED_MEDIA_TYPE, why.to_string()),
        _ => (StatusCode::BAD_REQUEST, why.to_string()),
    })?;
    if path != dispatcher.path {
        return Err((StatusCode::NOT_FOUND, format!("no broker {}: POST to {}", &path[1..], dispatcher.url())));
    }
    let is_taken = dispatcher.publish(event);
    is_taken.then_some(()).ok_or_else(|| (StatusCode::BAD_REQUEST, "its TTL is used up".to_owned()))
}

fn answer(code: StatusCode, why: String) -> Response {
    (code, [(ALLOW, "POST, OPTIONS")], why).into_response()
}

/// The answer to those that may not come in.
pub fn refuse(why: String) -> Response {
    answer(StatusCode::FORBIDDEN, why)
}

async fn handshake() -> Response {
    let granted = [("webhook-allowed-origin", "*"), ("webhook-allowed-rate", "*")];
    (granted, answer(StatusCode::OK, String::new())).into_response()
}
