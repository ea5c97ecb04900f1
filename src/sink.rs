//! The sink that a SinkBinding injects: reads `K_SINK` and `K_CE_OVERRIDES`, and makes requests that carry events.
//!
//! With a sink, an answer is POSTed there instead of being the HTTP response. The sink has taken an event if it answers
//! 2xx; the rest of its answer isn't read. Source of the two variables: Knative Eventing, "SinkBinding".

use std::collections::BTreeMap;

use cloudevents::Event;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderValue};
use http::uri::Authority;
use http::{Method, Request, Uri};
use serde::Deserialize;

use crate::cloudevents::is_attribute_name;
use crate::outbound::{Answer, NoAnswer};
use crate::url::{check_origin, http_url, origin};

/// The specification's context attributes, which no override may set.
#[rustfmt::skip]
const CORE_ATTRIBUTES: [&str; 11] = [
    "id", "source", "specversion", "type", "datacontenttype", "dataschema", "schemaurl", "subject", "time", "data",
    "datacontentencoding",
];

/// What is wrong with an origin that Spin can't read.
const NO_ORIGIN: &str = ", with which Spin allows no call at all: use an origin without a path, as in \
                         http://broker-ingress.knative-eventing.svc.cluster.local";

/// Where events go, and the extensions that are added to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sink {
    url: Uri,
    overrides: BTreeMap<String, String>,
}

/// Why the sink did not take an event, for the log.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// It answered with this status.
    #[error("the sink answered {0}")]
    Refused(u16),
    /// There was no answer.
    #[error("no answer from the sink: {0}")]
    NoAnswer(NoAnswer),
}

/// An invalid variable: its name, and the end of a sentence about it.
pub type SinkError = (&'static str, String);

impl Sink {
    /// Reads the variables `k_sink`, `k_ce_overrides` and `sink_origin`. `None` if `k_sink` is empty.
    ///
    /// # Errors
    /// The invalid variable, and why. Overrides and the origin are checked even without a sink.
    pub fn parse(k_sink: &str, k_ce_overrides: &str, sink_origin: &str) -> Result<Option<Self>, SinkError> {
        let overrides = overrides(k_ce_overrides).map_err(|problem| ("k_ce_overrides", problem))?;
        let is_usable = is_allowed_host(sink_origin);
        check_origin(sink_origin, is_usable, NO_ORIGIN).map_err(|problem| ("sink_origin", problem))?;
        if k_sink.is_empty() {
            return Ok(None);
        }
        let url = http_url(k_sink).map_err(|problem| ("k_sink", problem))?;
        check_place(&url, sink_origin).map_err(|problem| ("sink_origin", problem))?;
        Ok(Some(Self { url, overrides }))
    }

    /// The event with the extensions of the overrides.
    pub fn overridden(&self, mut event: Event) -> Event {
        for (name, value) in &self.overrides {
            event.set_extension(name, value.as_str());
        }
        event
    }

    /// The request that carries an event (headers and body) to the sink, with a token if the sink wants one.
    pub fn request(
        &self,
        (headers, body): (HeaderMap, Vec<u8>),
        trace: HeaderMap,
        token: Option<&HeaderValue>,
    ) -> Request<Vec<u8>> {
        let length = body.len();
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        *request.headers_mut() = headers;
        request.headers_mut().extend(trace);
        request.headers_mut().extend(token.map(|token| (AUTHORIZATION, token.clone())));
        request.headers_mut().insert(CONTENT_LENGTH, length.into());
        request
    }

    /// Whether the sink has taken the event.
    ///
    /// # Errors
    /// What it did instead.
    pub fn read_answer(answer: Answer) -> Result<(), NotTaken> {
        match answer {
            Ok(response) if response.status().is_success() => Ok(()),
            Ok(response) => Err(NotTaken::Refused(response.status().as_u16())),
            Err(problem) => Err(NotTaken::NoAnswer(problem)),
        }
    }
}

/// Knative's `CloudEventOverrides`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Overrides {
    extensions: Option<BTreeMap<String, String>>,
}

fn overrides(text: &str) -> Result<BTreeMap<String, String>, String> {
    if text.is_empty() {
        return Ok(BTreeMap::new());
    }
    let overrides: Overrides = serde_json::from_str(text)
        .map_err(|e| format!(r#"is not JSON such as {{"extensions":{{"name":"value"}}}}: {e}"#))?;
    let extensions = overrides.extensions.unwrap_or_default();
    for name in extensions.keys() {
        if !is_attribute_name(name) {
            return Err(format!("sets {name:?}, which is not an attribute name: use lower-case letters and digits"));
        }
        if CORE_ATTRIBUTES.contains(&name.as_str()) {
            return Err(format!("sets {name}, which is not an extension: leave it out"));
        }
    }
    Ok(extensions)
}

/// Whether Spin reads this as one of its `allowed_outbound_hosts`; if not, it denies every call, even to the API server.
/// The host may be `*` or begin with `*.`, and any scheme needs its port.
fn is_allowed_host(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let rest = rest.trim_end_matches('/');
    let (host, port) = rest.rsplit_once(':').unwrap_or((rest, if scheme == "*" { "" } else { "*" }));
    let name = if host == "*" { "any" } else { host.strip_prefix("*.").unwrap_or(host) };
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    ["http", "https", "*"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
        && (!name.is_empty() && name.bytes().all(is_of_name))
        && (port == "*" || port.parse::<u16>().is_ok())
}

/// Spin allows requests to `sink_origin` only, so a sink elsewhere could never be reached.
fn check_place(url: &Uri, sink_origin: &str) -> Result<(), String> {
    let allowed: Option<Uri> = sink_origin.parse().ok();
    match allowed.as_ref().and_then(origin) {
        Some(allowed) if !sink_origin.contains('*') && Some(&allowed) != origin(url).as_ref() => {
            let (scheme, authority) = (url.scheme_str().unwrap_or_default(), url.authority().map(Authority::as_str));
            let wanted = format!("{scheme}://{}", authority.unwrap_or_default());
            Err(format!("is {sink_origin:?}, but k_sink is elsewhere, where Spin lets no reply go: set it to {wanted}"))
        }
        // A pattern, or something that Spin itself refuses.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
