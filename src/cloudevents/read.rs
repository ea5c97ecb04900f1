//! Reads what is used of an event: identity, type, the extensions used, and the data, not yet parsed.
//!
//! Everything else is skipped without building it. So an event's memory doesn't depend on its content, and a malformed
//! `time` does no harm.
//!
//! A header's value is decoded once, as the HTTP protocol binding says. An event from Knative is the exception: its
//! data plane uses the Go SDK, which neither encodes nor decodes, so the value is taken verbatim, as every other
//! consumer there does. `docs/contract.md`, "Identity on the wire".

use std::borrow::Cow;

use base64::prelude::{BASE64_STANDARD, Engine};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{Mode, STRUCTURED_JSON};
use crate::context::Context;
use crate::text::cut;

const HEADER_PREFIX: &str = "ce-";
const CLOUDEVENTS: &str = "application/cloudevents";
/// What marks a delivery by Knative: an extension of the Broker's ingress, and a header of all its dispatchers, Kafka's
/// too.
const OF_KNATIVE: [HeaderName; 2] =
    [HeaderName::from_static("ce-knativearrivaltime"), HeaderName::from_static("kn-namespace")];
/// Not part of JSON, but some tools write it before JSON.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const GZIP: &[u8] = b"\x1f\x8b";

/// The longest quotation of a value in an error, in bytes.
const LONGEST_QUOTE: usize = 128;

/// What is read of an event.
#[derive(Clone, Debug)]
pub struct Received<'a> {
    /// Its `type`.
    pub ty: String,
    /// Its other context attributes that are used.
    pub context: Context,
    /// Its data.
    pub data: Data<'a>,
    /// Its content mode.
    pub mode: Mode,
}

/// An event's data, not yet parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data<'a> {
    /// There is none.
    Absent,
    /// Bytes declared as JSON.
    Json(Cow<'a, [u8]>),
    /// Bytes of another media type.
    Other(String),
    /// Bytes compressed with gzip, whatever their media type.
    Compressed,
}

/// Why a request is not an event. The text tells the sender what to correct.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It has nothing of an event.
    #[error("not a CloudEvent: there is no ce- header, and the content type is not {STRUCTURED_JSON}")]
    NoEvent,
    /// A structured event that isn't JSON.
    #[error("the body is not JSON: {0}")]
    NotJson(serde_json::Error),
    /// JSON that is not an event: not an object, or with an attribute of the wrong type.
    #[error("the body is JSON but not an event: {0}")]
    NoEnvelope(serde_json::Error),
    /// A list, which serde's derive would accept item by item, or a string, all of which its error would quote.
    #[error("the body is a list or a string: send one event, as a JSON object")]
    NoObject,
    /// A structured event that is compressed.
    #[error("the body is compressed with gzip: send it as it is")]
    Compressed,
    /// A header that is given twice.
    #[error("the header {0} is there more than once")]
    Repeated(HeaderName),
    /// A header that is not text.
    #[error("the header {0} is not UTF-8")]
    NotUtf8(HeaderName),
    /// A missing required attribute.
    #[error("the attribute {0} is missing")]
    Missing(&'static str),
    /// An empty required attribute.
    #[error("the attribute {0} is empty")]
    Empty(&'static str),
    /// An unsupported version of CloudEvents.
    #[error("specversion {0:?} is not supported: use \"1.0\"")]
    Version(String),
    /// Data in two places.
    #[error("both data and data_base64 are there: use one")]
    DataTwice,
    /// Data that can't be decoded.
    #[error("{0} is not a base64 string")]
    NotBase64(&'static str),
    /// An unsupported format, or a batch.
    #[error("{0} is not supported: send one event, as {STRUCTURED_JSON} or in binary mode")]
    Format(String),
    /// A content coding (RFC 9110, section 8.4).
    #[error("the content encoding {0:?} is not supported: send the body as it is")]
    Encoding(String),
}

impl ReadError {
    /// Whether the answer is 415 and not 400: it may be an event in an unsupported form.
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::Format(_) | Self::Encoding(_))
    }
}

/// Reads the event of a request in binary or structured content mode.
///
/// ```
/// use http::HeaderMap;
/// use provisioner::cloudevents::{Data, Mode, read};
///
/// let mut headers = HeaderMap::new();
/// headers.insert("content-type", "application/cloudevents+json".parse().unwrap());
/// let body = br#"{"specversion":"1.0","id":"1","source":"/me","type":"t","data":{"x":1}}"#;
/// let event = read(&headers, body).unwrap();
/// assert_eq!((event.context.id.as_str(), event.mode), ("1", Mode::Structured));
/// assert_eq!(event.data, Data::Json(br#"{"x":1}"#.into()));
/// ```
///
/// # Errors
/// [`ReadError`] if it is not a CloudEvent, or one in an unsupported form.
pub fn read<'a>(headers: &HeaderMap, body: &'a [u8]) -> Result<Received<'a>, ReadError> {
    check_encoding(headers)?;
    let content_type = single(headers, &CONTENT_TYPE)?.map(|value| raw_text(&CONTENT_TYPE, value)).transpose()?;
    let content_type = content_type.filter(|content_type| !content_type.is_empty());
    let media_type = content_type.as_deref().map(media_type).unwrap_or_default();
    if media_type == STRUCTURED_JSON {
        read_structured(body)
    } else if media_type.starts_with(CLOUDEVENTS) {
        Err(ReadError::Format(quote(&media_type)))
    } else {
        read_binary(headers, content_type.as_deref(), body)
    }
}

fn check_encoding(headers: &HeaderMap) -> Result<(), ReadError> {
    let codings = headers.get_all(CONTENT_ENCODING).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let mut unknown = codings.filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"));
    unknown.next().map_or(Ok(()), |coding| Err(ReadError::Encoding(quote(&coding))))
}

fn read_binary<'a>(headers: &HeaderMap, content_type: Option<&str>, body: &'a [u8]) -> Result<Received<'a>, ReadError> {
    if !headers.keys().any(|name| name.as_str().starts_with(HEADER_PREFIX)) {
        return Err(ReadError::NoEvent);
    }
    let is_verbatim = OF_KNATIVE.iter().any(|name| headers.contains_key(name));
    let text = |attribute: &str| {
        let name = HeaderName::try_from(format!("{HEADER_PREFIX}{attribute}")).expect("an attribute makes a header");
        let read = if is_verbatim { raw_text } else { decoded_text };
        single(headers, &name)?.map(|value| read(&name, value)).transpose()
    };
    let extension = |attribute| Ok(text(attribute)?.map(Extension));
    let members = Members {
        specversion: text("specversion")?,
        id: text("id")?,
        source: text("source")?,
        r#type: text("type")?,
        correlationid: extension("correlationid")?,
        traceparent: extension("traceparent")?,
        tracestate: extension("tracestate")?,
        expirytime: extension("expirytime")?,
        knativeerrorcode: extension("knativeerrorcode")?,
        knativeerrordata: extension("knativeerrordata")?,
        ..Members::default()
    };
    let data = if body.is_empty() { Data::Absent } else { declared(body.into(), content_type, true) };
    members.received(data, Mode::Binary)
}

/// The value of a header that must not be repeated; `None` if it is missing.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, ReadError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(ReadError::Repeated(name.clone())),
        (value, None) => Ok(value),
    }
}

fn raw_text(name: &HeaderName, value: &HeaderValue) -> Result<String, ReadError> {
    let text = std::str::from_utf8(value.as_bytes().trim_ascii());
    text.map(str::to_owned).map_err(|_| ReadError::NotUtf8(name.clone()))
}

/// HTTP Protocol Binding, section 3.1.3.2: unquoted, then percent-decoded once. A value whose decoding is not UTF-8 was
/// not encoded, and is taken verbatim.
fn decoded_text(name: &HeaderName, value: &HeaderValue) -> Result<String, ReadError> {
    let raw = value.as_bytes().trim_ascii();
    let unquoted = unquote(raw);
    let decoded = percent_decode(unquoted.as_deref().unwrap_or(raw)).collect();
    String::from_utf8(decoded).or_else(|_| raw_text(name, value))
}

/// The content of a quoted string (RFC 9110, section 5.6.4); `None` if `raw` isn't one.
fn unquote(raw: &[u8]) -> Option<Vec<u8>> {
    let inner = raw.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let mut unquoted = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(&byte) = bytes.next() {
        unquoted.push(if byte == b'\\' { *bytes.next()? } else { byte });
    }
    Some(unquoted)
}

/// The attributes that are used, and in structured mode the data. The rest is skipped without building it.
#[derive(Default, Deserialize)]
#[serde(expecting = "a JSON object", default)]
struct Members<'a> {
    specversion: Option<String>,
    id: Option<String>,
    source: Option<String>,
    r#type: Option<String>,
    datacontenttype: Option<String>,
    datacontentencoding: Option<Extension>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    data_base64: Option<&'a RawValue>,
    correlationid: Option<Extension>,
    traceparent: Option<Extension>,
    tracestate: Option<Extension>,
    expirytime: Option<Extension>,
    knativeerrorcode: Option<Extension>,
    knativeerrordata: Option<Extension>,
}

/// An extension as a string. In JSON, a value of another type becomes its JSON text.
struct Extension(String);

impl<'de> Deserialize<'de> for Extension {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        Ok(Self(serde_json::from_str(raw).unwrap_or_else(|_| raw.to_owned())))
    }
}

fn read_structured(body: &[u8]) -> Result<Received<'_>, ReadError> {
    if body.starts_with(GZIP) {
        return Err(ReadError::Compressed);
    }
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    if matches!(body.trim_ascii_start().first(), Some(b'[' | b'"')) {
        return Err(ReadError::NoObject);
    }
    let members: Members = serde_json::from_slice(body).map_err(|error| match error.is_data() {
        true => ReadError::NoEnvelope(error),
        false => ReadError::NotJson(error),
    })?;
    let data = members.data()?;
    members.received(data, Mode::Structured)
}

impl<'a> Members<'a> {
    /// JSON Event Format, section 3.1. The member `data` is JSON unless something else is said, and base64 is bytes.
    fn data(&self) -> Result<Data<'a>, ReadError> {
        let content_type = self.datacontenttype.as_deref().filter(|content_type| !content_type.is_empty());
        let is_base64 = self.datacontentencoding.as_ref().is_some_and(|coding| coding.0.eq_ignore_ascii_case("base64"));
        match (self.data, self.data_base64) {
            (Some(_), Some(_)) => Err(ReadError::DataTwice),
            (Some(data), None) if is_base64 && self.specversion.as_deref() == Some("0.3") => {
                Ok(declared(decode_base64("data", data)?.into(), content_type, true))
            }
            (Some(data), None) if data.get().starts_with('"') => {
                Ok(declared(data.get().as_bytes().into(), content_type, true))
            }
            (Some(data), None) => Ok(Data::Json(data.get().as_bytes().into())),
            (None, Some(data)) => Ok(declared(decode_base64("data_base64", data)?.into(), content_type, false)),
            (None, None) => Ok(Data::Absent),
        }
    }

    /// Makes the result. An empty attribute counts as absent.
    fn received(self, data: Data<'a>, mode: Mode) -> Result<Received<'a>, ReadError> {
        let optional = |text: Option<Extension>| text.map(|text| text.0).filter(|text| !text.is_empty());
        let required = |name, text: Option<String>| match text {
            Some(text) if text.is_empty() => Err(ReadError::Empty(name)),
            text => text.ok_or(ReadError::Missing(name)),
        };
        let version = required("specversion", self.specversion)?;
        if !["1.0", "0.3"].contains(&version.as_str()) {
            return Err(ReadError::Version(quote(&version)));
        }
        let context = Context {
            source: required("source", self.source)?,
            id: required("id", self.id)?,
            correlation_id: optional(self.correlationid),
            traceparent: optional(self.traceparent),
            tracestate: optional(self.tracestate),
            expirytime: optional(self.expirytime),
            knativeerrorcode: optional(self.knativeerrorcode),
            knativeerrordata: optional(self.knativeerrordata),
        };
        Ok(Received { ty: required("type", self.r#type)?, context, data, mode })
    }
}

fn decode_base64(member: &'static str, raw: &RawValue) -> Result<Vec<u8>, ReadError> {
    let text: Result<Cow<str>, _> = serde_json::from_str(raw.get());
    let bytes = text.ok().and_then(|text| BASE64_STANDARD.decode(text.as_bytes()).ok());
    bytes.ok_or(ReadError::NotBase64(member))
}

/// Data with this content type. Without one, `default` says whether it is JSON.
fn declared<'a>(bytes: Cow<'a, [u8]>, content_type: Option<&str>, default: bool) -> Data<'a> {
    if bytes.starts_with(GZIP) {
        return Data::Compressed;
    }
    match content_type {
        Some(content_type) if !is_json(content_type) => Data::Other(quote(content_type)),
        None if !default => Data::Other("application/octet-stream".to_owned()),
        _ => Data::Json(bytes),
    }
}

/// A media type in lower case, without parameters.
fn media_type(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// JSON Event Format, section 3.1.1: `*/json` or `*/*+json`.
fn is_json(content_type: &str) -> bool {
    let media_type = media_type(content_type);
    media_type.ends_with("/json") || media_type.ends_with("+json")
}

fn quote(text: &str) -> String {
    cut(text, LONGEST_QUOTE).to_owned()
}
