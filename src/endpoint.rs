//! The HTTP surface: the response and the log entry of each request.
//!
//! Everything that the core needs is an argument ([`Surroundings`], [`Outbound`]). A delivery has one end, from which
//! response, event and log line are made. The configuration is only read if an event needs it: an event of another type
//! is acknowledged even if the configuration is invalid. `docs/contract.md`, "From event to answer".

mod delivery;

#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use http::header::{ALLOW, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Method, Request, Response, StatusCode};

use self::delivery::{Delivery, Route};
use crate::cloudevents::read;
use crate::cluster::Cluster;
use crate::config::Config;
use crate::kubernetes::{Api, Retry, Token};
use crate::log::{Entry, Kind};
use crate::outbound::Outbound;
use crate::response;
use crate::sender::{self, Refused};
use crate::text::Redactor;

/// The largest body of a request, in bytes.
pub const LARGEST_BODY: usize = 1 << 20;

const DEAD_LETTER: &str = "/dead-letter";
const EVENT_METHODS: &str = "POST, OPTIONS";
const PROBE_METHODS: &str = "GET, HEAD";
const REQUEST_ORIGIN: HeaderName = HeaderName::from_static("webhook-request-origin");
const ALLOWED_ORIGIN: HeaderName = HeaderName::from_static("webhook-allowed-origin");
const ALLOWED_RATE: HeaderName = HeaderName::from_static("webhook-allowed-rate");

/// A request's body, or why there is none.
pub type Body = Result<Vec<u8>, BodyError>;

/// Why a request's body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// It is larger than [`LARGEST_BODY`].
    TooLarge,
    /// It was cut off, or too slow.
    Incomplete,
}

/// What the core may not read itself.
pub struct Surroundings<'a> {
    /// The time of the delivery.
    pub now: DateTime<Utc>,
    /// The value of a Spin variable, or why there is none.
    pub variable: &'a dyn Fn(&str) -> Result<String, String>,
    /// The content of the token file, or why there is none. Read again for every event.
    pub token: &'a dyn Fn() -> Result<String, String>,
    /// The content of the file with the sink's token, if there is such a file, or why it can't be read.
    pub sink_token: &'a dyn Fn() -> Result<Option<String>, String>,
}

impl Surroundings<'_> {
    fn config(&self) -> Result<Config, String> {
        Config::from_variables(self.variable).map_err(|error| error.to_string())
    }

    fn token(&self, config: &Config) -> Result<Token, String> {
        Token::parse(&(self.token)()?, &config.kube_api_url).map_err(|error| error.to_string())
    }

    fn sink_token(&self) -> Result<Option<Token>, String> {
        let token = (self.sink_token)()?.map(|content| Token::bearer(&content)).transpose();
        token.map_err(|error| format!("for the sink, {error}"))
    }
}

/// A response and its log entry. Probes are only logged when they fail.
pub struct Answered {
    /// The response.
    pub response: Response<Vec<u8>>,
    /// The log entry.
    pub log: Option<Entry>,
}

impl Answered {
    fn silent(response: Response<Vec<u8>>) -> Self {
        Self { response, log: None }
    }

    fn logged(response: Response<Vec<u8>>, entry: Entry) -> Self {
        let status = response.status().as_u16();
        Self { response, log: Some(Entry { status, ..entry }) }
    }

    fn problem(status: StatusCode, outcome: Kind, detail: &str) -> Self {
        let entry = Entry { outcome, message: Some(detail.to_owned()), ..Entry::default() };
        Self::logged(response::problem(status, detail), entry)
    }

    /// Counts the review of the sender's token.
    fn reviewed(mut self, token: Option<&str>) -> Self {
        self.log.iter_mut().for_each(|entry| entry.api_calls = token.is_some().into());
        self
    }
}

/// Answers a request.
pub async fn answer(request: Request<Body>, surroundings: &Surroundings<'_>, outbound: &impl Outbound) -> Answered {
    let (parts, body) = request.into_parts();
    let route = if parts.uri.path() == DEAD_LETTER { Route::DeadLetter } else { Route::Subscriber };
    match (parts.uri.path(), &parts.method) {
        ("/" | DEAD_LETTER, &Method::POST) => match admit(&parts.headers, surroundings, outbound).await {
            Err(refused) => refused,
            Ok(sender) => match read_event(route, &parts.headers, body, sender) {
                Ok(delivery) => delivery.end(surroundings, outbound).await,
                Err((status, detail)) => Answered::problem(status, Kind::Rejected, &detail).reviewed(sender),
            },
        },
        ("/" | DEAD_LETTER, &Method::OPTIONS) => Answered::silent(handshake(&parts.headers)),
        ("/" | DEAD_LETTER, _) => method_not_allowed(EVENT_METHODS),
        ("/healthz", &Method::GET | &Method::HEAD) => Answered::silent(response::empty(StatusCode::OK)),
        ("/readyz", &Method::GET | &Method::HEAD) => readiness(surroundings),
        ("/healthz" | "/readyz", _) => method_not_allowed(PROBE_METHODS),
        (path, _) => {
            let detail = format!("there is no {path}: POST events to /");
            Answered::problem(StatusCode::NOT_FOUND, Kind::Rejected, &detail)
        }
    }
}

/// Checks the sender, if senders need a token. Its token is then removed from everything that leaves, like our own
/// tokens.
async fn admit<'a>(
    headers: &'a HeaderMap,
    surroundings: &Surroundings<'_>,
    outbound: &impl Outbound,
) -> Result<Option<&'a str>, Answered> {
    if (surroundings.variable)("sender_audience").is_ok_and(|audience| audience.trim().is_empty()) {
        return Ok(None);
    }
    let unready = |problem: String| Answered::problem(StatusCode::SERVICE_UNAVAILABLE, Kind::Retry, &problem);
    let config = surroundings.config().map_err(unready)?;
    let own = surroundings.token(&config).map_err(unready)?;
    let token = sender::token(headers);
    let cluster = Cluster { config: &config, api: Api::new(&config, &own, HeaderMap::new()), outbound };
    let Err(refused) = sender::admit(token, &cluster).await else { return Ok(token) };
    let (status, outcome) = match &refused {
        Refused::Unknown(_) => (StatusCode::UNAUTHORIZED, Kind::Rejected),
        Refused::Forbidden(_) => (StatusCode::FORBIDDEN, Kind::Rejected),
        Refused::Unreviewed(_) => (StatusCode::SERVICE_UNAVAILABLE, Kind::Retry),
    };
    let redactor = Redactor::new([own.secret()].into_iter().chain(token));
    let mut answered = Answered::problem(status, outcome, &redactor.text(&refused.to_string())).reviewed(token);
    let headers = answered.response.headers_mut();
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Refused::Unreviewed(Retry { retry_after: Some(seconds), .. }) = refused {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    Err(answered)
}

fn method_not_allowed(allowed: &'static str) -> Answered {
    let detail = format!("this method is not allowed here: use {allowed}");
    let mut answered = Answered::problem(StatusCode::METHOD_NOT_ALLOWED, Kind::Rejected, &detail);
    answered.response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    answered
}

/// The handshake of "HTTP 1.1 Web Hooks for Event Delivery", section 4.
fn handshake(headers: &HeaderMap) -> Response<Vec<u8>> {
    let mut response = response::empty(StatusCode::OK);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(EVENT_METHODS));
    if let Some(origin) = headers.get(REQUEST_ORIGIN) {
        response.headers_mut().insert(ALLOWED_ORIGIN, origin.clone());
        response.headers_mut().insert(ALLOWED_RATE, HeaderValue::from_static("*"));
    }
    response
}

fn readiness(surroundings: &Surroundings<'_>) -> Answered {
    let ready = surroundings.config().and_then(|config| surroundings.token(&config));
    match ready {
        Ok(_) => Answered::silent(response::empty(StatusCode::OK)),
        Err(missing) => Answered::problem(StatusCode::SERVICE_UNAVAILABLE, Kind::Rejected, &missing),
    }
}

/// Reads the event, or returns the problem. The body isn't needed after that.
fn read_event<'a>(
    route: Route,
    headers: &HeaderMap,
    body: Body,
    sender: Option<&'a str>,
) -> Result<Delivery<'a>, (StatusCode, String)> {
    let body = body.map_err(|error| match error {
        BodyError::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "an event may have up to 1 MiB".to_owned()),
        BodyError::Incomplete => (StatusCode::REQUEST_TIMEOUT, "the body did not arrive whole: send again".to_owned()),
    })?;
    let received = read(headers, &body).map_err(|error| {
        let status = match error.is_unsupported() {
            true => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            false => StatusCode::BAD_REQUEST,
        };
        (status, Redactor::new(sender).text(&error.to_string()).into_owned())
    })?;
    Ok(Delivery::new(route, sender, received))
}
