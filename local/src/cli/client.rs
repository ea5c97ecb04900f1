//! The core's way out without a component around it: the same connections, the same trust, the same allowed hosts.

use std::time::Duration;

use bytes::Bytes;
use host::outbound::{Outbound, RequestOptions};
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use provisioner::outbound::{Answer, Bounds, NoAnswer, Outbound as CoreOutbound};

/// Sends the core's requests natively.
pub struct Client(pub Outbound);

impl CoreOutbound for Client {
    async fn send(&self, request: Request<Vec<u8>>, bounds: Bounds) -> Answer {
        let answer = tokio::time::timeout(bounds.call, self.exchange(request, bounds)).await;
        answer.unwrap_or(Err(NoAnswer::Late(bounds.call)))
    }
}

impl Client {
    async fn exchange(&self, request: Request<Vec<u8>>, bounds: Bounds) -> Answer {
        let request = request.map(|body| Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed_unsync());
        let response = self.0.send(request, options(bounds.call)).await;
        let (parts, body) = response.map_err(|code| NoAnswer::Host(format!("{code:?}")))?.into_parts();
        let body = Limited::new(body, bounds.answer).collect().await;
        let body = body.map_err(|_| NoAnswer::CutOff)?;
        Ok(Response::from_parts(parts, body.to_bytes().to_vec()))
    }
}

/// The same bound on each part of a call.
pub fn options(timeout: Duration) -> RequestOptions {
    RequestOptions {
        connect_timeout: Some(timeout),
        first_byte_timeout: Some(timeout),
        between_bytes_timeout: Some(timeout),
    }
}
