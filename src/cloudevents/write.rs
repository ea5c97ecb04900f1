//! Writes an event as headers and body, in the requested mode if that is exact.
//!
//! Binary mode percent-encodes what a header can't hold, and the Go SDK, and so Knative's consumers, never decode it.
//! So an event goes out in structured mode if an attribute would have to be encoded or is too long for a header.
//! `docs/contract.md`, "Identity on the wire".

use std::io::{self, Write};

use chrono::SecondsFormat;
use cloudevents::Event;
use cloudevents::event::{AttributeValue, Data};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::{Mode, STRUCTURED_JSON};

/// The longest attribute in a header, in bytes. An answer repeats up to four of its event's attributes, and a host
/// accepts 128 KiB of headers.
const LONGEST_HEADER: usize = 8 << 10;

/// The number of headers for which space is reserved.
const USUAL_HEADERS: usize = 12;

/// The headers and body of a request or response that carries `event`.
pub fn write(event: &Event, mode: Mode) -> (HeaderMap, Vec<u8>) {
    match mode {
        Mode::Binary => binary(event, is_plain).unwrap_or_else(|| structured(event)),
        Mode::Structured => structured(event),
    }
}

/// The same in binary mode as the Go SDK writes it, without any encoding, for programs that stand in for Knative.
/// `None` if a header can't hold a value.
pub fn write_verbatim(event: &Event) -> Option<(HeaderMap, Vec<u8>)> {
    binary(event, |_| true)
}

fn structured(event: &Event) -> (HeaderMap, Vec<u8>) {
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(STRUCTURED_JSON))]);
    // Measured first, so that a long answer takes no more memory than its length.
    let mut length = Length(0);
    _ = serde_json::to_writer(&mut length, event);
    let mut body = Vec::with_capacity(length.0);
    _ = serde_json::to_writer(&mut body, event);
    (headers, body)
}

/// Counts the written bytes.
struct Length(usize);

impl Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `None` if a header can't hold an attribute as it is.
fn binary(event: &Event, is_plain: fn(&str) -> bool) -> Option<(HeaderMap, Vec<u8>)> {
    let mut headers = HeaderMap::with_capacity(USUAL_HEADERS);
    for (name, value) in event.iter() {
        let text = match value {
            AttributeValue::Time(time) => time.to_rfc3339_opts(SecondsFormat::AutoSi, true),
            value => value.to_string(),
        };
        match name {
            "datacontenttype" => headers.insert(CONTENT_TYPE, HeaderValue::try_from(text).ok()?),
            _ if !is_plain(&text) => return None,
            _ => headers.insert(HeaderName::try_from(format!("ce-{name}")).ok()?, HeaderValue::try_from(text).ok()?),
        };
    }
    let body = match event.data() {
        Some(Data::Binary(bytes)) => bytes.clone(),
        Some(Data::String(text)) => text.clone().into_bytes(),
        Some(Data::Json(value)) => serde_json::to_vec(value).unwrap_or_default(),
        None => Vec::new(),
    };
    Some((headers, body))
}

/// Whether a header can hold the text as it is: printable ASCII without the space, `"` and `%` (HTTP Protocol Binding,
/// section 3.1.3.2).
fn is_plain(text: &str) -> bool {
    text.len() <= LONGEST_HEADER && text.bytes().all(|c| c.is_ascii_graphic() && !matches!(c, b'"' | b'%'))
}
