//! One attempt to deliver an event, over HTTP.
//!
//! In: an event and where it goes. Out: an answer, with the reply where there
//! is one, or a failure with what Knative says of it. How often to try is
//! `dispatch`'s part.

use super::NAMESPACE;
use super::event::{self, EventError};
use bytes::Bytes;
use cloudevents::Event;
use http::{HeaderValue, Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use provisioner::cloudevents::{Mode, ReadError, write, write_verbatim};

/// The largest answer that is read.
const ANSWER_LIMIT: usize = 4 * 1024 * 1024;

/// An answer that counts as delivered.
pub struct Answer {
    /// The subscriber's status.
    pub status: u16,
    /// The event that it replied with.
    pub reply: Option<Event>,
}

/// An answer, or none, that does not.
#[derive(Debug)]
pub struct Failure {
    /// The status, or what Knative makes of the answer.
    pub status: Option<u16>,
    /// What `knativeerrorcode` and `knativeerrordata` say of it. Knative says
    /// nothing of a body that is no CloudEvent.
    pub error: Option<(u16, Bytes)>,
    /// Why, for a person.
    pub why: String,
}

impl Failure {
    /// What Knative makes of it where there is no status.
    pub fn no_answer(why: &str) -> Self {
        let body = Bytes::from(format!("dispatch error: {why}"));
        Self { status: None, error: Some((500, body)), why: format!("no answer: {why}") }
    }

    /// A status that is no success.
    pub fn status(status: u16, body: Bytes) -> Self {
        Self { status: Some(status), error: Some((status, body)), why: format!("status {status}") }
    }
}

/// Sends events.
#[derive(Debug)]
pub struct Sender {
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Sender {
    /// A sender that has no connections yet.
    pub fn new() -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http() }
    }

    /// Delivers an event once, however long it takes: in binary mode, or as JSON where no header can hold an attribute.
    pub async fn attempt(&self, destination: &Uri, event: &Event) -> Result<Answer, Failure> {
        let response = self.client.request(request(destination, event)).await;
        // With all its sources.
        let response = response.map_err(|error| Failure::no_answer(&format!("{:#}", anyhow::Error::from(error))))?;
        let (parts, body) = response.into_parts();
        let status = parts.status.as_u16();
        let body = Limited::new(body, ANSWER_LIMIT).collect().await;
        let body = body.map_err(|error| Failure::no_answer(&error.to_string()))?.to_bytes();
        if !parts.status.is_success() {
            return Err(Failure::status(status, body));
        }
        match event::read(&parts.headers, &body) {
            Ok(reply) => Ok(Answer { status, reply: Some(reply) }),
            Err(EventError::Read(ReadError::NoEvent)) if body.is_empty() => Ok(Answer { status, reply: None }),
            Err(_) => {
                let why = format!("a body that is no CloudEvent, with status {status}");
                Err(Failure { status: Some(502), error: None, why })
            }
        }
    }
}

fn request(destination: &Uri, event: &Event) -> Request<Full<Bytes>> {
    let (mut headers, body) = write_verbatim(event).unwrap_or_else(|| write(event, Mode::Structured));
    headers.insert("prefer", HeaderValue::from_static("reply"));
    headers.insert("kn-namespace", HeaderValue::from_static(NAMESPACE));
    let mut request = Request::post(destination).body(Full::new(body.into())).expect("the URI was parsed");
    *request.headers_mut() = headers;
    request
}
