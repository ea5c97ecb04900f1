//! The sink that a SinkBinding injects: `K_SINK` and `K_CE_OVERRIDES` in, requests with reply events out.
//!
//! With a sink, a reply is POSTed there instead of being the answer to the delivery. A sink has taken an event when it
//! says 2xx; what else is in its answer is nobody's business and isn't read. Source of the two variables: Knative
//! Eventing, "SinkBinding"; design, section 7.

use std::collections::BTreeMap;

use cloudevents::Event;
use http::header::{CONTENT_LENGTH, HeaderMap};
use http::uri::{Authority, Scheme};
use http::{Request, Uri};

use crate::binding;
use crate::fields::{Json, Problem, optional, parse_fields, texts};
use crate::outbound::{Answer, Bounds, NoAnswer};

/// The context attributes of the specification, which no override may touch.
const CORE_ATTRIBUTES: [&str; 11] = [
    "id",
    "source",
    "specversion",
    "type",
    "datacontenttype",
    "dataschema",
    "schemaurl",
    "subject",
    "time",
    "data",
    "datacontentencoding",
];

/// Where replies go, and what is written on each of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sink {
    url: Uri,
    overrides: BTreeMap<String, String>,
}

/// What is wrong with one of the three variables: its name, and the problem as the end of a sentence about it.
pub type SinkError = (&'static str, String);

impl Sink {
    /// Reads the variables `k_sink`, `k_ce_overrides` and `sink_origin`; there is no sink where `k_sink` is empty.
    ///
    /// # Errors
    /// The variable that can't be used, and why. Overrides are checked even without a sink.
    pub fn parse(k_sink: &str, k_ce_overrides: &str, sink_origin: &str) -> Result<Option<Self>, SinkError> {
        let overrides = overrides(k_ce_overrides).map_err(|problem| ("k_ce_overrides", problem))?;
        if k_sink.is_empty() {
            return Ok(None);
        }
        let url = url(k_sink).map_err(|problem| ("k_sink", problem))?;
        check_origin(&url, sink_origin).map_err(|problem| ("sink_origin", problem))?;
        Ok(Some(Self { url, overrides }))
    }

    /// The request that hands `event` to the sink, in binary mode, with the overrides' extensions on it.
    pub fn request(&self, event: &Event, trace: &HeaderMap, bounds: Bounds) -> Request<Vec<u8>> {
        let mut event = event.clone();
        for (name, value) in &self.overrides {
            event.set_extension(name, value.as_str());
        }
        let (headers, body) = binding::write(&event);
        let mut request = Request::new(body);
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.url.clone();
        *request.headers_mut() = headers;
        request.headers_mut().extend(trace.clone());
        let length = request.body().len();
        request.headers_mut().insert(CONTENT_LENGTH, length.into());
        request.extensions_mut().insert(Bounds { answer: 0, ..bounds });
        request
    }

    /// Whether the sink has taken the event.
    ///
    /// # Errors
    /// What it did instead, for the log.
    pub fn read_answer(answer: Answer) -> Result<(), String> {
        match answer {
            Ok(response) if response.status().is_success() => Ok(()),
            Ok(response) => Err(format!("the sink answered {}", response.status().as_u16())),
            Err(NoAnswer(problem)) => Err(format!("no answer from the sink: {problem}")),
        }
    }
}

fn url(text: &str) -> Result<Uri, String> {
    let parsed: Option<Uri> = text.parse().ok();
    let usable = |uri: &Uri| {
        let authority = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        matches!(uri.scheme_str(), Some("http" | "https")) && authority
    };
    parsed.filter(usable).ok_or_else(|| format!("is {text:?}: use an http:// or https:// URL with a host"))
}

fn overrides(text: &str) -> Result<BTreeMap<String, String>, String> {
    if text.is_empty() {
        return Ok(BTreeMap::new());
    }
    let extensions = parse_fields(text.as_bytes()).map_err(|e| e.to_string()).and_then(extensions);
    let extensions =
        extensions.map_err(|e| format!(r#"is not JSON such as {{"extensions":{{"name":"value"}}}}: {e}"#))?;
    for name in extensions.keys() {
        if !binding::is_attribute_name(name) {
            return Err(format!("sets {name:?}, which is no attribute's name: use lower-case letters and digits"));
        }
        if CORE_ATTRIBUTES.contains(&name.as_str()) {
            return Err(format!("sets {name}, which is not an extension: leave it out"));
        }
    }
    Ok(extensions)
}

/// The one member that Knative's `CloudEventOverrides` have.
fn extensions(mut overrides: Json<'_>) -> Result<BTreeMap<String, String>, Problem> {
    let extensions = optional(&mut overrides, "extensions", texts)?;
    match overrides {
        Json::Object(members) => match members.iter().find(|(name, _)| name != "extensions") {
            Some((name, _)) => Err(format!("{name} is unknown")),
            None => Ok(extensions.unwrap_or_default()),
        },
        _ => Err("it is not an object".to_owned()),
    }
}

/// Spin lets requests go to `sink_origin` and nowhere else, so a sink at another place would never be reached.
fn check_origin(url: &Uri, sink_origin: &str) -> Result<(), String> {
    let allowed: Option<Uri> = sink_origin.parse().ok();
    match allowed.as_ref().and_then(origin) {
        Some(allowed) if !sink_origin.contains('*') && Some(&allowed) != origin(url).as_ref() => {
            let (scheme, authority) = (url.scheme_str().unwrap_or_default(), url.authority().map(Authority::as_str));
            let wanted = format!("{scheme}://{}", authority.unwrap_or_default());
            Err(format!("is {sink_origin:?}, but k_sink is elsewhere, where Spin lets no reply go: set it to {wanted}"))
        }
        // A pattern, or something that Spin refuses by itself.
        _ => Ok(()),
    }
}

fn origin(uri: &Uri) -> Option<(Scheme, String, u16)> {
    let scheme = uri.scheme()?.clone();
    let default = if scheme == Scheme::HTTPS { 443 } else { 80 };
    Some((scheme, uri.host()?.to_ascii_lowercase(), uri.port_u16().unwrap_or(default)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::tests::pending;
    use cloudevents::EventBuilder;
    use serde_json::json;

    const URL: &str = "http://broker-ingress.knative-eventing.svc.cluster.local/client-system/default";
    const ORIGIN: &str = "http://broker-ingress.knative-eventing.svc.cluster.local";

    #[track_caller]
    fn check_error(k_sink: &str, overrides: &str, origin: &str, variable: &str, problem: &str) {
        let error = Sink::parse(k_sink, overrides, origin).unwrap_err();
        assert!(error.0 == variable && error.1.contains(problem), "{error:?}");
    }

    #[test]
    fn there_is_no_sink_without_k_sink() {
        assert_eq!(Sink::parse("", "", ORIGIN), Ok(None));
        assert!(Sink::parse(URL, "", ORIGIN).unwrap().is_some());
    }

    #[test]
    fn a_sink_is_an_absolute_http_url() {
        for url in ["/path", "broker", "ftp://h/x", "http://u@h/", "http://", "not a url"] {
            check_error(url, "", ORIGIN, "k_sink", "use an http:// or https:// URL");
        }
    }

    #[test]
    fn a_sink_outside_the_allowed_origin_is_said() {
        check_error("http://elsewhere:8080/x", "", ORIGIN, "sink_origin", "set it to http://elsewhere:8080");
        check_error(&URL.replace("http:", "https:"), "", ORIGIN, "sink_origin", "https://broker-ingress");
        for origin in ["http://Broker-Ingress.knative-eventing.svc.cluster.local:80/", "http://*.svc.cluster.local"] {
            assert!(Sink::parse(URL, "", origin).is_ok(), "{origin}");
        }
    }

    #[test]
    fn overrides_are_extensions_and_strings() {
        for overrides in ["", "{}", r#"{"extensions":null}"#, r#"{"extensions":{"k":"v"}}"#] {
            assert!(Sink::parse(URL, overrides, ORIGIN).is_ok(), "{overrides}");
        }
        check_error(URL, "{", ORIGIN, "k_ce_overrides", "is not JSON");
        check_error(URL, r#"{"extensions":{"k":1}}"#, ORIGIN, "k_ce_overrides", "is not JSON");
        check_error(URL, r#"{"extension":{}}"#, ORIGIN, "k_ce_overrides", "is not JSON");
        check_error(URL, r#"{"extensions":{"A-b":"c"}}"#, ORIGIN, "k_ce_overrides", "lower-case");
        for name in CORE_ATTRIBUTES {
            check_error("", &json!({"extensions": {name: "x"}}).to_string(), ORIGIN, "k_ce_overrides", name);
        }
    }

    #[test]
    fn a_reply_carries_the_overrides_and_the_trace() {
        let sink = Sink::parse(URL, r#"{"extensions":{"cluster":"a b"}}"#, ORIGIN).unwrap().unwrap();
        let trace = HeaderMap::from_iter([("traceparent".parse().unwrap(), "00-a-b-01".parse().unwrap())]);
        let request = sink.request(&pending(json!({"a": 1})).build().unwrap(), &trace, Bounds::default());
        assert_eq!((request.method().as_str(), request.uri().to_string().as_str()), ("POST", URL));
        assert_eq!(request.headers()["ce-cluster"], "a%20b");
        assert_eq!(request.headers()["traceparent"], "00-a-b-01");
        assert_eq!(request.headers()["content-type"], "application/json");
        assert_eq!(request.headers()[CONTENT_LENGTH], request.body().len().to_string());
    }

    #[test]
    fn only_a_success_is_an_acceptance() {
        let answer = |code: u16| Ok(http::Response::builder().status(code).body(b"garbage".to_vec()).unwrap());
        assert_eq!(Sink::read_answer(answer(202)), Ok(()));
        for code in [301, 307, 400, 404, 429, 500] {
            assert!(Sink::read_answer(answer(code)).is_err(), "{code}");
        }
        assert!(Sink::read_answer(Err(NoAnswer("refused".into()))).unwrap_err().contains("refused"));
    }
}
