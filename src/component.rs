//! The Spin adapter: connects WASI and the core, and does nothing but input and output.
//!
//! An instance serves one request, so it may block: no future here is ever pending. Bodies are read as streams, so that
//! the size limit holds while reading, and repeated headers stay visible. Each outbound call sets its own connect,
//! first-byte and between-bytes timeout, because Spin's default is ten minutes. It also has a deadline, because these
//! three don't limit an answer that comes byte by byte.

use std::cell::OnceCell;
use std::io::{ErrorKind, Write};
use std::time::{Duration, Instant};

use chrono::Utc;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};
use spin_sdk::http::{Fields, IncomingRequest, IncomingResponse, OutgoingBody, OutgoingRequest, OutgoingResponse};
use spin_sdk::http::{ResponseOutparam, Scheme};

use spin_sdk::http_component;
use spin_sdk::wit::wasi::http0_2_0::outgoing_handler;
use spin_sdk::wit::wasi::http0_2_0::types::{ErrorCode, FutureIncomingResponse, IncomingBody, RequestOptions};
use wasi::clocks::monotonic_clock::subscribe_duration;
use wasi::io::poll::{Pollable, poll};
use wasi::io::streams::{OutputStream, StreamError};

use crate::endpoint::{self, Body, BodyError, LARGEST_BODY, Surroundings};
use crate::outbound::{Answer, Bounds, NoAnswer, Outbound};

const TOKEN_FILE: &str = "/serviceaccount/token";
const SINK_TOKEN_FILE: &str = "/oidc/token";

/// How long a request's body may take if no configuration says otherwise.
const LONGEST_BODY: Duration = Duration::from_secs(30);

#[http_component]
async fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let started = Instant::now();
    let outbound = WasiHttp { started };
    let request = read_request(request);
    let surroundings = Surroundings { now: Utc::now(), variable: &variable, token: &token, sink_token: &sink_token };
    let answered = endpoint::answer(request, &surroundings, &outbound).await;
    if let Some(entry) = answered.log {
        // One write for the whole line, so that parallel instances don't interleave.
        _ = std::io::stderr().write_all(entry.line(Utc::now(), started.elapsed()).as_bytes());
    }
    respond(answered.response, out);
}

fn variable(name: &str) -> Result<String, String> {
    spin_sdk::variables::get(name).map_err(|e| e.to_string())
}

fn token() -> Result<String, String> {
    let content = std::fs::read_to_string(TOKEN_FILE);
    content.map_err(|problem| format!("the token file {TOKEN_FILE} can't be read: {problem}"))
}

/// A SinkBinding mounts a token if its sink needs one.
fn sink_token() -> Result<Option<String>, String> {
    match std::fs::read_to_string(SINK_TOKEN_FILE) {
        Ok(content) => Ok(Some(content)),
        Err(problem) if problem.kind() == ErrorKind::NotFound => Ok(None),
        Err(problem) => Err(format!("the token file {SINK_TOKEN_FILE} can't be read: {problem}")),
    }
}

fn read_request(incoming: IncomingRequest) -> Request<Body> {
    let mut request = Request::new(Ok(Vec::new()));
    // Every unknown method gets the same answer.
    *request.method_mut() = incoming.method().to_string().parse().unwrap_or(Method::TRACE);
    // An invalid path is as good as an unknown one.
    *request.uri_mut() = incoming.path_with_query().unwrap_or_default().parse().unwrap_or(Uri::from_static("*"));
    *request.headers_mut() = headers(&incoming.headers());
    if request.method() == Method::POST {
        let body = incoming.consume().map_err(|()| NoAnswer::CutOff);
        let bytes = body.and_then(|body| read_body(&body, LARGEST_BODY, &Deadline::after(LONGEST_BODY)));
        *request.body_mut() = bytes.map_err(|why| match why {
            NoAnswer::TooLarge(_) => BodyError::TooLarge,
            _ => BodyError::Incomplete,
        });
    }
    request
}

fn headers(fields: &Fields) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields.entries() {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    }
    headers
}

fn fields(headers: &HeaderMap) -> Option<Fields> {
    let list: Vec<_> = headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
    Fields::from_list(&list).ok()
}

fn respond(response: Response<Vec<u8>>, out: ResponseOutparam) {
    let (parts, bytes) = response.into_parts();
    let outgoing = OutgoingResponse::new(fields(&parts.headers).unwrap_or_else(Fields::new));
    _ = outgoing.set_status_code(parts.status.as_u16());
    // If the other side has gone, nobody is left to tell; the log has the delivery.
    send_body(outgoing.body().ok(), &bytes, &Deadline::after(LONGEST_BODY), || out.set(outgoing));
}

/// A deadline, counted from the first wait. Nothing takes time before that.
struct Deadline {
    time: Duration,
    end: OnceCell<Pollable>,
}

impl Deadline {
    fn after(time: Duration) -> Self {
        Self { time, end: OnceCell::new() }
    }

    /// Waits until `awaited` is ready.
    fn wait_for(&self, awaited: &Pollable) -> Result<(), NoAnswer> {
        let end = self.end.get_or_init(|| subscribe_duration(self.time.as_nanos() as u64));
        if poll(&[awaited, end]).contains(&0) { Ok(()) } else { Err(NoAnswer::Late(self.time)) }
    }
}

/// Reads a body, up to one byte more than `limit`.
fn read_body(body: &IncomingBody, limit: usize, deadline: &Deadline) -> Result<Vec<u8>, NoAnswer> {
    let stream = body.stream().map_err(|()| NoAnswer::CutOff)?;
    let mut bytes = Vec::new();
    while bytes.len() <= limit {
        match stream.read((limit + 1 - bytes.len()) as u64) {
            Ok(chunk) if chunk.is_empty() => deadline.wait_for(&stream.subscribe())?,
            Ok(chunk) if bytes.is_empty() => bytes = chunk,
            Ok(chunk) => bytes.extend(chunk),
            Err(StreamError::Closed) => return Ok(bytes),
            Err(_) => return Err(NoAnswer::CutOff),
        }
    }
    Err(NoAnswer::TooLarge(limit))
}

/// Sends a body with its message, which `hand_over` gives to the host.
///
/// A body that the host takes at once is written first: if the head leaves alone, its body waits until the peer has
/// acknowledged the head, which can take 40 ms. A larger body follows the head, because nobody reads from a body that
/// was not handed over. A body that can't be sent is left unfinished, and the host reports why.
fn send_body<T>(body: Option<OutgoingBody>, bytes: &[u8], deadline: &Deadline, hand_over: impl FnOnce() -> T) -> T {
    let body = body.and_then(|body| Some((body.write().ok()?, body)));
    let Some((stream, body)) = body else { return hand_over() };
    if stream.check_write().is_ok_and(|room| room >= bytes.len() as u64) {
        write(body, stream, bytes, deadline);
        return hand_over();
    }
    let handed_over = hand_over();
    write(body, stream, bytes, deadline);
    handed_over
}

/// Writes the whole body and finishes it, or leaves it unfinished. The stream is always dropped before its body:
/// arguments are dropped from the last to the first.
fn write(body: OutgoingBody, stream: OutputStream, mut bytes: &[u8], deadline: &Deadline) {
    while !bytes.is_empty() {
        let Ok(room) = stream.check_write() else { return };
        let (now, later) = bytes.split_at(bytes.len().min(room as usize));
        let is_written = match now.is_empty() {
            true => deadline.wait_for(&stream.subscribe()).is_ok(),
            false => stream.write(now).is_ok(),
        };
        if !is_written {
            return;
        }
        bytes = later;
    }
    if stream.flush().is_ok() {
        drop(stream);
        _ = OutgoingBody::finish(body, None);
    }
}

/// Sends requests with wasi:http's outgoing handler.
struct WasiHttp {
    started: Instant,
}

impl Outbound for WasiHttp {
    async fn send(&self, request: Request<Vec<u8>>, bounds: Bounds) -> Answer {
        let left = bounds.call.min(bounds.delivery.saturating_sub(self.started.elapsed()));
        if left.is_zero() {
            return Err(NoAnswer::NoTimeLeft);
        }
        exchange(request, left, bounds.answer)
    }
}

fn exchange(request: Request<Vec<u8>>, timeout: Duration, largest: usize) -> Answer {
    let deadline = Deadline::after(timeout);
    let (request, bytes) = outgoing_request(request).ok_or_else(|| host("the request can't be formed"))?;
    let body = if bytes.is_empty() { None } else { request.body().ok() };
    let handle = || outgoing_handler::handle(request, Some(options(timeout)));
    let pending = send_body(body, &bytes, &deadline, handle)?;
    read_answer(&await_head(&pending, &deadline)?, largest, &deadline)
}

fn await_head(pending: &FutureIncomingResponse, deadline: &Deadline) -> Result<IncomingResponse, NoAnswer> {
    loop {
        deadline.wait_for(&pending.subscribe())?;
        if let Some(response) = pending.get() {
            return Ok(response.unwrap_or(Err(ErrorCode::InternalError(None)))?);
        }
    }
}

fn read_answer(incoming: &IncomingResponse, largest: usize, deadline: &Deadline) -> Answer {
    let mut response = Response::new(Vec::new());
    *response.status_mut() = StatusCode::from_u16(incoming.status()).map_err(|_| host("an impossible status"))?;
    if !response.status().is_success() {
        *response.headers_mut() = headers(&incoming.headers());
    }
    if largest > 0 {
        let body = incoming.consume().map_err(|()| host("the answer has no body"))?;
        *response.body_mut() = read_body(&body, largest, deadline)?;
    }
    Ok(response)
}

impl From<ErrorCode> for NoAnswer {
    fn from(error: ErrorCode) -> Self {
        Self::Host(format!("{error:?}"))
    }
}

fn host(problem: &str) -> NoAnswer {
    NoAnswer::Host(problem.to_owned())
}

fn outgoing_request(request: Request<Vec<u8>>) -> Option<(OutgoingRequest, Vec<u8>)> {
    let (parts, body) = request.into_parts();
    let outgoing = OutgoingRequest::new(fields(&parts.headers)?);
    let scheme = match parts.uri.scheme_str()? {
        "https" => Scheme::Https,
        _ => Scheme::Http,
    };
    outgoing.set_method(&parts.method.into()).ok()?;
    outgoing.set_scheme(Some(&scheme)).ok()?;
    outgoing.set_authority(Some(parts.uri.authority()?.as_str())).ok()?;
    outgoing.set_path_with_query(Some(parts.uri.path_and_query()?.as_str())).ok()?;
    Some((outgoing, body))
}

fn options(timeout: Duration) -> RequestOptions {
    let nanoseconds = Some(timeout.as_nanos() as u64);
    let options = RequestOptions::new();
    // A host without such a timeout returns an error; the deadline still holds.
    _ = options.set_connect_timeout(nanoseconds);
    _ = options.set_first_byte_timeout(nanoseconds);
    _ = options.set_between_bytes_timeout(nanoseconds);
    options
}
