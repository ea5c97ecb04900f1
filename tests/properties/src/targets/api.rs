//! Answers of the Kubernetes API become the outcome of a delivery.

use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use provisioner::event::{DELETED, PENDING, PING, TERMINATION, UPDATED};
use provisioner::outbound::{Answer, NoAnswer};
use provisioner::testing;

use super::first_line;
use crate::answers::{self, SINK};

/// The words for other events than a pending one.
const EVENTS: [(&str, &str); 4] = [("update", UPDATED), ("delete", DELETED), ("ping", PING), ("end", TERMINATION)];

/// A line of settings, then the answers, each between lines of `---`: the status in one line, the body after it.
///
/// The settings are any of the words `template`, `sink`, `off`, `expired` and `dead-letter`. With a word of [`EVENTS`] it
/// is that event, and what comes before the first answer is its data. The status is `none` for a call that got no answer;
/// what follows it in its line is a `Retry-After`. `NAME` is the Pod's name.
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
    let script = script.replace("NAME", &testing::context("/test", "1").pod_name());
    let mut parts = script.split("---\n");
    let mut request = match EVENTS.into_iter().find(|(word, _)| has(word)) {
        Some((_, ty)) => testing::event(path, ty, parts.next().unwrap_or_default()),
        None => testing::event(path, PENDING, r#"{"gateway_name":"foo"}"#),
    };
    if has("expired") {
        request.headers_mut().insert("ce-expirytime", HeaderValue::from_static("1969-12-31T00:00:00Z"));
    }
    answers::check(request, &changes, parts.map(answer).collect());
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
