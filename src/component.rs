//! The Spin adapter: WASI on one side, the core on the other. Nothing but input and output.
//!
//! Requests are read as a stream, so that the size limit holds while reading and repeated headers stay visible. Each
//! outbound call sets its own connect, first-byte and between-bytes timeout, because Spin's default is ten minutes,
//! and runs against a deadline besides, because none of the three bounds an answer that trickles in.

use std::future::{Future, poll_fn};
use std::io::Write;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use chrono::Utc;
use futures::future::{Either, select};
use futures::{SinkExt, StreamExt};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response};
use spin_executor::{CancelOnDropToken, push_waker_and_get_token};
use spin_sdk::http::{Fields, IncomingRequest, IncomingResponse, OutgoingRequest, OutgoingResponse, ResponseOutparam};
use spin_sdk::http::{Method as WasiMethod, Scheme};
use spin_sdk::http_component;
use spin_sdk::wit::wasi::http0_2_0::outgoing_handler;
use spin_sdk::wit::wasi::http0_2_0::types::{ErrorCode, FutureIncomingResponse, RequestOptions};
use wasi::clocks::monotonic_clock::subscribe_duration;
use wasi::io::poll::Pollable;

use crate::endpoint::{self, Body, BodyError, LARGEST_BODY, Surroundings};
use crate::outbound::{Answer, Bounds, NoAnswer, Outbound};

const TOKEN_FILE: &str = "/serviceaccount/token";

/// How long a request's body may take, where no configuration says otherwise.
const LONGEST_BODY: Duration = Duration::from_secs(30);

#[http_component]
async fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let started = Instant::now();
    let outbound = WasiHttp { started };
    let request = read_request(request).await;
    let surroundings = Surroundings { now: Utc::now(), variable: &variable, token: &token };
    let answered = endpoint::answer(request, &surroundings, &outbound).await;
    if let Some(entry) = answered.log {
        // One write of the whole line, so that parallel instances don't interleave.
        _ = std::io::stderr().write_all(entry.line(Utc::now(), started.elapsed()).as_bytes());
    }
    respond(answered.response, out).await;
}

fn variable(name: &str) -> Result<String, String> {
    spin_sdk::variables::get(name).map_err(|e| e.to_string())
}

fn token() -> Result<String, String> {
    std::fs::read_to_string(TOKEN_FILE).map_err(|e| format!("the token file {TOKEN_FILE} can't be read: {e}"))
}

async fn read_request(incoming: IncomingRequest) -> Request<Body> {
    let mut request = Request::new(Ok(Vec::new()));
    *request.method_mut() = method(incoming.method());
    *request.uri_mut() = incoming.path_with_query().unwrap_or_default().parse().unwrap_or_default();
    *request.headers_mut() = headers(&incoming.headers());
    if request.method() == Method::POST {
        let body = read_body(incoming.into_body_stream(), LARGEST_BODY);
        *request.body_mut() = match within(LONGEST_BODY, body).await {
            Some(Ok(bytes)) => Ok(bytes),
            Some(Err(Unread::TooLarge)) => Err(BodyError::TooLarge),
            Some(Err(Unread::CutOff)) | None => Err(BodyError::Incomplete),
        };
    }
    request
}

fn method(method: WasiMethod) -> Method {
    match method {
        WasiMethod::Get => Method::GET,
        WasiMethod::Post => Method::POST,
        WasiMethod::Options => Method::OPTIONS,
        // Nothing is done for any other method, so which one it is makes no difference.
        _ => Method::TRACE,
    }
}

fn headers(fields: &Fields) -> HeaderMap {
    let parsed = fields
        .entries()
        .into_iter()
        .filter_map(|(name, value)| Some((HeaderName::try_from(name).ok()?, HeaderValue::from_bytes(&value).ok()?)));
    parsed.fold(HeaderMap::new(), |mut headers, (name, value)| {
        headers.append(name, value);
        headers
    })
}

fn fields(headers: &HeaderMap) -> Option<Fields> {
    let list: Vec<_> = headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
    Fields::from_list(&list).ok()
}

async fn respond(response: Response<Vec<u8>>, out: ResponseOutparam) {
    let (parts, body) = response.into_parts();
    let outgoing = OutgoingResponse::new(fields(&parts.headers).unwrap_or_else(Fields::new));
    _ = outgoing.set_status_code(parts.status.as_u16());
    // When the other side has gone there is nobody left to tell; the delivery is in the log.
    _ = out.set_with_body(outgoing, body).await;
}

/// Why a body was not read to its end.
enum Unread {
    TooLarge,
    CutOff,
}

/// Reads a body chunk by chunk, and not one chunk further than `limit` bytes.
async fn read_body<E>(
    chunks: impl futures::Stream<Item = Result<Vec<u8>, E>>,
    limit: usize,
) -> Result<Vec<u8>, Unread> {
    let mut chunks = pin!(chunks);
    let mut body = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Unread::CutOff)?;
        if body.len() + chunk.len() > limit {
            return Err(Unread::TooLarge);
        }
        body.extend(chunk);
    }
    Ok(body)
}

/// The way out: wasi:http's outgoing handler.
struct WasiHttp {
    started: Instant,
}

impl Outbound for WasiHttp {
    async fn send(&self, request: Request<Vec<u8>>) -> Answer {
        let bounds = request.extensions().get::<Bounds>().copied().unwrap_or_default();
        let left = bounds.call.min(bounds.delivery.saturating_sub(self.started.elapsed()));
        if left.is_zero() {
            return Err(NoAnswer("the time for this delivery is up".into()));
        }
        let answer = within(left, exchange(request, left, bounds.answer)).await;
        answer.unwrap_or_else(|| Err(NoAnswer(format!("not within {left:?}"))))
    }
}

async fn exchange(request: Request<Vec<u8>>, timeout: Duration, largest: usize) -> Answer {
    let (request, body) = outgoing_request(request).ok_or_else(|| NoAnswer("the request can't be formed".into()))?;
    let sink = (!body.is_empty()).then(|| request.take_body());
    let handle = outgoing_handler::handle(request, Some(options(timeout))).map_err(no_answer)?;
    if let Some(mut sink) = sink {
        sink.send(body).await.map_err(|e| NoAnswer(format!("the request could not be sent: {e}")))?;
    }
    let response = Pending { token: None, handle }.await.map_err(no_answer)?;
    read_answer(response, largest).await
}

fn outgoing_request(request: Request<Vec<u8>>) -> Option<(OutgoingRequest, Vec<u8>)> {
    let (parts, body) = request.into_parts();
    let outgoing = OutgoingRequest::new(fields(&parts.headers)?);
    let scheme = match parts.uri.scheme_str()? {
        "https" => Scheme::Https,
        _ => Scheme::Http,
    };
    outgoing.set_method(&WasiMethod::Other(parts.method.to_string())).ok()?;
    outgoing.set_scheme(Some(&scheme)).ok()?;
    outgoing.set_authority(Some(parts.uri.authority()?.as_str())).ok()?;
    outgoing.set_path_with_query(Some(parts.uri.path_and_query()?.as_str())).ok()?;
    Some((outgoing, body))
}

fn options(timeout: Duration) -> RequestOptions {
    let nanoseconds = Some(timeout.as_nanos() as u64);
    let options = RequestOptions::new();
    // A host that knows no such timeout says so with an error; the deadline holds all the same.
    _ = options.set_connect_timeout(nanoseconds);
    _ = options.set_first_byte_timeout(nanoseconds);
    _ = options.set_between_bytes_timeout(nanoseconds);
    options
}

fn no_answer(error: ErrorCode) -> NoAnswer {
    NoAnswer(format!("{error:?}"))
}

async fn read_answer(incoming: IncomingResponse, largest: usize) -> Answer {
    let mut response = Response::new(Vec::new());
    *response.status_mut() =
        http::StatusCode::from_u16(incoming.status()).map_err(|_| NoAnswer("an impossible status".into()))?;
    *response.headers_mut() = headers(&incoming.headers());
    if largest == 0 {
        return Ok(response);
    }
    *response.body_mut() = match read_body(incoming.take_body_stream(), largest).await {
        Ok(body) => body,
        Err(Unread::TooLarge) => return Err(NoAnswer(format!("the answer is larger than {largest} bytes"))),
        Err(Unread::CutOff) => return Err(NoAnswer("the answer was cut off".into())),
    };
    Ok(response)
}

/// A response that is on its way.
///
/// The token comes first, so that the pollable is dropped before the resource that it belongs to: wasi:io traps
/// otherwise.
struct Pending {
    token: Option<CancelOnDropToken>,
    handle: FutureIncomingResponse,
}

impl Future for Pending {
    type Output = Result<IncomingResponse, ErrorCode>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.handle.get() {
            Some(response) => Poll::Ready(response.unwrap_or(Err(ErrorCode::InternalError(None)))),
            None => {
                self.token = Some(wake_on(self.handle.subscribe(), context));
                Poll::Pending
            }
        }
    }
}

/// What comes of `work`, or `None` when it takes longer than `timeout`.
async fn within<T>(timeout: Duration, work: impl Future<Output = T>) -> Option<T> {
    match select(pin!(work), pin!(sleep(timeout))).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => None,
    }
}

async fn sleep(duration: Duration) {
    let end = Instant::now() + duration;
    let mut token = None;
    poll_fn(|context| {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Poll::Ready(());
        }
        token = Some(wake_on(subscribe_duration(left.as_nanos() as u64), context));
        Poll::Pending
    })
    .await;
    drop(token);
}

fn wake_on(pollable: Pollable, context: &Context<'_>) -> CancelOnDropToken {
    push_waker_and_get_token(pollable, context.waker().clone()).into()
}
