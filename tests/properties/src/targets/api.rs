//! Answers of the Kubernetes API become the outcome of a delivery.

use http::header::RETRY_AFTER;
use http::{HeaderValue, Request, StatusCode};
use provisioner::endpoint::Body;
use provisioner::event::PENDING;
use provisioner::outbound::{Answer, NoAnswer};
use provisioner::testing;

use super::first_line;
use crate::answers::{self, SINK};

const IDENTITY: (&str, &str) = ("/fuzz", "1");

/// A line of settings, then the answers, each between lines of `---`: the status in one line, the body after it.
///
/// The settings are any of the words `template`, `sink`, `off`, `expired` and `dead-letter`. The status is `none`
/// for a call that got no answer; what follows it in its line is a `Retry-After`. `NAME` in a body is the Pod's name.
pub fn api_answer_to_outcome(data: &[u8]) {
    let (settings, script) = first_line(data);
    let words: Vec<&[u8]> = settings.split(|&byte| byte == b' ').collect();
    let has = |word: &str| words.contains(&word.as_bytes());
    let path = if has("dead-letter") { "/dead-letter" } else { "/" };
    let changes = [
        ("client_pod_template", "crawler", has("template")),
        ("k_sink", SINK, has("sink")),
        ("sink_origin", "http://sink", has("sink")),
        ("gateway_verification", "off", has("off")),
    ];
    let changes: Vec<_> = changes.into_iter().filter(|change| change.2).map(|(name, value, _)| (name, value)).collect();
    let script = String::from_utf8_lossy(script);
    let script = script.replace("NAME", &testing::context(IDENTITY.0, IDENTITY.1).pod_name());
    answers::check(request(path, has("expired")), &changes, script.split("---\n").map(answer).collect());
}

fn request(path: &str, is_expired: bool) -> Request<Body> {
    let mut request = testing::event(path, PENDING, r#"{"gateway_name":"foo"}"#).map(Ok);
    let expired = is_expired.then_some(("ce-expirytime", "1969-12-31T00:00:00Z"));
    for (name, value) in [("ce-source", IDENTITY.0)].into_iter().chain(expired) {
        request.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    request
}

fn answer(text: &str) -> Answer {
    let (status, body) = text.split_once('\n').unwrap_or((text, ""));
    let (code, retry_after) = status.split_once(' ').unwrap_or((status, ""));
    let code: StatusCode = code.parse().map_err(|_| NoAnswer::Host(code.to_owned()))?;
    let mut answer = testing::answer(code.as_u16(), body)?;
    if let Ok(value) = retry_after.parse() {
        answer.headers_mut().insert(RETRY_AFTER, value);
    }
    Ok(answer)
}
