//! Requests with events, and the answers to them.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

/// A request as a test sends it.
pub type Delivery = Request<Full<Bytes>>;

/// A pending event for `gateway` in binary mode, whose identity is (`/test`, `id`).
pub fn pending(id: &str, gateway: &str) -> Delivery {
    pending_with(id, &json!({ "gateway_name": gateway }).to_string())
}

/// A pending event with these bytes for data.
pub fn pending_with(id: &str, data: &str) -> Delivery {
    binary(id, provisioner::event::PENDING, data)
}

/// An event of any type in binary mode.
pub fn binary(id: &str, ty: &str, data: &str) -> Delivery {
    post()
        .header("ce-specversion", "1.0")
        .header("ce-id", id)
        .header("ce-source", "/test")
        .header("ce-type", ty)
        .header("content-type", "application/json")
        .body(Bytes::from(data.to_owned()).into())
        .expect("the headers are valid")
}

/// A request with a body of this media type and no attribute in its headers.
pub fn body(content_type: &str, body: impl Into<Bytes>) -> Delivery {
    post().header("content-type", content_type).body(body.into().into()).expect("the media type is valid")
}

/// An event in structured mode.
pub fn structured(event: &Value) -> Delivery {
    body("application/cloudevents+json; charset=utf-8", event.to_string())
}

/// A request with one header more.
pub fn with_header(mut request: Delivery, name: &'static str, value: impl AsRef<[u8]>) -> Delivery {
    request.headers_mut().append(name, HeaderValue::from_bytes(value.as_ref()).expect("the value is valid"));
    request
}

/// A request without a body.
pub fn bare(method: &str, path: &str) -> Delivery {
    post().method(method).uri(path).body(Full::default()).expect("the path is valid")
}

fn post() -> http::request::Builder {
    Request::builder().method("POST").uri("/").header("host", "provisioner.test")
}

/// What came back.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The event in it, in either mode, as structured mode writes it: `null` where there is none.
    pub event: Value,
}

impl Reply {
    /// An answer, or what a sink was given, as if it had been an answer.
    pub fn new(status: StatusCode, headers: HeaderMap, body: Bytes) -> Self {
        let event = properties::wire::structured(&headers, &body).unwrap_or_default();
        Self { status, headers, body, event }
    }

    /// Sends a request to this URL, whatever its own says, over a connection of its own.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn from(url: &str, mut request: Delivery) -> Self {
        *request.uri_mut() = url.parse().expect("it is a URL");
        request.headers_mut().remove("host");
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self::read(client.request(request).await.expect("there is an answer")).await
    }

    /// Reads a response to its end.
    ///
    /// # Panics
    /// When it is cut off, or there is an event in it that is not as its schema says.
    pub async fn read<B>(response: Response<B>) -> Self
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: std::fmt::Debug,
    {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("the answer arrives whole").to_bytes();
        crate::schema::check(&parts.headers, &body).unwrap_or_else(|complaint| panic!("the answer is {complaint}"));
        Self::new(parts.status, parts.headers, body)
    }

    /// A context attribute of the event in it, or the empty text.
    pub fn attribute(&self, name: &str) -> &str {
        self.event[name].as_str().unwrap_or_default()
    }

    /// A header, or the empty text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("headers are ASCII"))
    }

    /// The data of the event in it, or else the body as JSON; `null` where it is none.
    pub fn json(&self) -> Value {
        self.event.get("data").cloned().unwrap_or_else(|| serde_json::from_slice(&self.body).unwrap_or_default())
    }

    /// The last word of the event's type, `done` or `failed`, or nothing.
    pub fn outcome(&self) -> &str {
        self.attribute("type").rsplit('.').next().unwrap_or_default()
    }
}
