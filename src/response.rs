//! HTTP responses: an event, a problem, or only a status.

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use serde::Serialize;

use crate::kubernetes::Retry;

const PROBLEM_JSON: &str = "application/problem+json";

/// A response with these headers, this body and its length.
pub fn respond(status: StatusCode, (mut headers, body): (HeaderMap, Vec<u8>)) -> Response<Vec<u8>> {
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// A response without a body.
pub fn empty(status: StatusCode) -> Response<Vec<u8>> {
    respond(status, Default::default())
}

/// The response that makes the broker redeliver: 429 or 503, with the delay that was asked for.
pub fn retry(retry: &Retry) -> Response<Vec<u8>> {
    let mut response = empty(match retry.too_many_requests {
        true => StatusCode::TOO_MANY_REQUESTS,
        false => StatusCode::SERVICE_UNAVAILABLE,
    });
    if let Some(seconds) = retry.retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// A problem document (RFC 9457) without a type of its own.
pub fn problem(status: StatusCode, detail: &str) -> Response<Vec<u8>> {
    #[derive(Serialize)]
    struct Problem<'a> {
        r#type: &'a str,
        title: &'a str,
        status: u16,
        detail: &'a str,
    }
    let title = status.canonical_reason().unwrap_or_default();
    let problem = Problem { r#type: "about:blank", title, status: status.as_u16(), detail };
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON))]);
    respond(status, (headers, serde_json::to_vec(&problem).unwrap_or_default()))
}

#[cfg(test)]
mod tests;
