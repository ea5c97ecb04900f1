//! Where producers reach the broker.
//!
//! `POST /{namespace}/{broker}` with a CloudEvent: 202, before it is delivered. `OPTIONS` is the CloudEvents webhook
//! handshake, and `GET /events` is what has passed, as JSON. Statuses for anything else are Knative's, but for a format
//! that isn't spoken, such as a batch, which is a 415.

use super::PATH;
use super::dispatch::Dispatcher;
use super::event::{self, EventError};
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::middleware::map_response;
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
    let broker = post(take).options(handshake).fallback(async || StatusCode::METHOD_NOT_ALLOWED);
    let events = async |State(dispatcher): State<Arc<Dispatcher>>| Json(dispatcher.journal.events());
    let router = Router::new().route("/events", broker.clone().get(events)).fallback(broker);
    let router = router.layer(DefaultBodyLimit::max(BODY_LIMIT)).with_state(dispatcher);
    router.layer(map_response(async |response: Response| ([(ALLOW, "POST, OPTIONS")], response)))
}

async fn take(
    State(dispatcher): State<Arc<Dispatcher>>,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, (StatusCode, String)> {
    let path = uri.path().strip_suffix('/').unwrap_or(uri.path());
    match path.split('/').count() {
        1 => return Err((StatusCode::NOT_FOUND, "POST to /namespace/broker".to_owned())),
        3 => {}
        _ => return Err((StatusCode::BAD_REQUEST, "POST to /namespace/broker".to_owned())),
    }
    let too_large = |_| (StatusCode::PAYLOAD_TOO_LARGE, format!("an event may have at most {BODY_LIMIT} bytes"));
    let event = event::read(&headers, &body.map_err(too_large)?).map_err(|why| match &why {
        EventError::Read(read) if read.is_unsupported() => (StatusCode::UNSUPPORTED_MEDIA_TYPE, why.to_string()),
        _ => (StatusCode::BAD_REQUEST, why.to_string()),
    })?;
    if path != PATH {
        return Err((StatusCode::NOT_FOUND, format!("no broker {}: POST to {}", &path[1..], dispatcher.url())));
    }
    match dispatcher.publish(event) {
        true => Ok(StatusCode::ACCEPTED),
        false => Err((StatusCode::BAD_REQUEST, "its TTL is used up".to_owned())),
    }
}

async fn handshake() -> impl IntoResponse {
    [("webhook-allowed-origin", "*"), ("webhook-allowed-rate", "*")]
}

/// The answer to those that may not come in.
pub fn refuse(why: String) -> Response {
    (StatusCode::FORBIDDEN, why).into_response()
}
