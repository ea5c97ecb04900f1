use super::*;
use crate::testing::{answer, cut};
use cloudevents::{EventBuilder, EventBuilderV10};
use http::header::HeaderValue;
use serde_json::json;

const URL: &str = "http://broker-ingress.knative-eventing.svc.cluster.local/client-system/default";
const ORIGIN: &str = "http://broker-ingress.knative-eventing.svc.cluster.local";

#[track_caller]
fn check_error(k_sink: &str, overrides: &str, origin: &str, variable: &str, problem: &str) {
    let error = Sink::parse(k_sink, overrides, origin).unwrap_err();
    assert!(error.0 == variable && error.1.contains(problem), "{error:?}");
}

fn sink(overrides: &str) -> Sink {
    Sink::parse(URL, overrides, ORIGIN).unwrap().unwrap()
}

#[test]
fn there_is_no_sink_without_k_sink() {
    assert_eq!(Sink::parse("", "", ORIGIN), Ok(None));
    assert!(Sink::parse(URL, "", ORIGIN).unwrap().is_some());
}

#[test]
fn a_sink_is_an_absolute_http_url() {
    for url in ["/path", "broker", "ftp://h/x", "http://", "http://:80/", "http://h:x/", "http://h:/", "not a url"] {
        check_error(url, "", ORIGIN, "k_sink", "use an http:// or https:// URL");
    }
    // A password is not repeated.
    let problem = "contains an @, as after a user or a password: leave both out";
    check_error("http://u:secret@h/", "", ORIGIN, "k_sink", problem);
    check_error(URL, "", "http://u:secret@h", "sink_origin", problem);
}

#[test]
fn a_sink_outside_the_allowed_origin_is_said() {
    check_error("http://elsewhere:8080/x", "", ORIGIN, "sink_origin", "set it to http://elsewhere:8080");
    check_error(&URL.replace("http:", "https:"), "", ORIGIN, "sink_origin", "https://broker-ingress");
    for origin in
        ["http://broker-ingress.knative-eventing.svc.cluster.local:80/", "http://*.svc.cluster.local", "*://*:*"]
    {
        assert!(Sink::parse(URL, "", origin).is_ok(), "{origin}");
    }
}

/// Spin then allows no call at all, the API server's neither.
#[test]
fn an_origin_that_spin_cannot_read_is_said_even_without_a_sink() {
    for origin in [
        "",
        "broker",
        "http://",
        "http://broker/default",
        "https://broker:8443/a/b",
        "http://a:x",
        "http://:80",
        "*://a:{1,2}",
        "http://a:1..",
        "http://a#b",
        "http://a b",
        "*://a",
        "http://a/8",
        "http://10.0.0.0/8",
        "http://a:80..90",
        "http://*.*.a",
        "http://b*",
        "ws1://a",
        "ftp://a",
    ] {
        check_error(
            "",
            "",
            origin,
            "sink_origin",
            "with which Spin allows no call at all: use an origin without a path",
        );
    }
    for origin in
        ["http://broker/", "http://*:*", "https://*", "http://*.example:8080", "*://a:80", "http://[fd00::1]:80"]
    {
        assert_eq!(Sink::parse("", "", origin), Ok(None), "{origin}");
    }
}

#[test]
fn an_origin_is_written_in_lower_case() {
    for origin in ["http://Broker", "HTTP://broker", "http://*.Example"] {
        check_error("", "", origin, "sink_origin", "Spin needs scheme and host in lower case");
    }
    assert!(Sink::parse("http://Broker/x", "", "http://broker").is_ok());
}

#[test]
fn an_ipv6_origin_needs_its_port() {
    for k_sink in ["", "http://[fd00::1]:80/x"] {
        check_error(k_sink, "", "http://[fd00::1]", "sink_origin", "needs the port after an IPv6 address");
    }
    assert!(Sink::parse("http://[fd00::1]/x", "", "http://[fd00::1]:80").is_ok());
}

#[test]
fn overrides_are_extensions_and_strings() {
    for overrides in ["", "{}", r#"{"extensions":null}"#, r#"{"extensions":{"k":"v"}}"#] {
        assert!(Sink::parse(URL, overrides, ORIGIN).is_ok(), "{overrides}");
    }
    for overrides in ["{", r#"{"extensions":{"k":1}}"#, r#"{"extension":{}}"#] {
        check_error(URL, overrides, ORIGIN, "k_ce_overrides", "is not JSON");
    }
    check_error(URL, "null", ORIGIN, "k_ce_overrides", "invalid type: null, expected an object");
    check_error(URL, r#"{"extensions":{"A-b":"c"}}"#, ORIGIN, "k_ce_overrides", "lower-case");
    // Even without a sink, which may come later.
    for name in ["id", "source", "specversion", "type", "datacontenttype", "subject", "time", "data"] {
        check_error("", &json!({"extensions": {name: "x"}}).to_string(), ORIGIN, "k_ce_overrides", name);
    }
}

#[test]
fn the_overrides_are_laid_over_an_event() {
    let event = EventBuilderV10::new().id("1").ty("t").source("/s").extension("cluster", "old").extension("a", "b");
    let event = sink(r#"{"extensions":{"cluster":"a b","zone":"z"}}"#).overridden(event.build().unwrap());
    let event = json!(event);
    assert_eq!((&event["cluster"], &event["zone"], &event["a"]), (&json!("a b"), &json!("z"), &json!("b")));
}

#[test]
fn an_event_is_posted_with_its_trace_and_its_length() {
    let headers = |name: &'static str| HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static("x"))]);
    let request = sink("").request((headers("ce-id"), b"{}".to_vec()), headers("traceparent"), None);
    assert_eq!((request.method(), request.uri().to_string().as_str()), (&Method::POST, URL));
    let length = HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from_static("2"))]);
    let expected: HeaderMap = headers("ce-id")
        .into_iter()
        .chain(headers("traceparent"))
        .chain(length)
        .map(|(name, value)| (name.unwrap(), value))
        .collect();
    assert_eq!((request.headers(), request.body().as_slice()), (&expected, &b"{}"[..]));
}

#[test]
fn only_a_success_is_an_acceptance() {
    for code in [200, 202, 204] {
        assert!(Sink::read_answer(answer(code, "garbage")).is_ok(), "{code}");
    }
    for code in [301, 307, 400, 404, 429, 500] {
        let refusal = Sink::read_answer(answer(code, "garbage")).unwrap_err();
        assert_eq!(refusal.to_string(), format!("the sink answered {code}"));
    }
    let silence = Sink::read_answer(cut()).unwrap_err();
    assert_eq!(silence.to_string(), "no answer from the sink: the answer was cut off");
}
