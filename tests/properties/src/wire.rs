//! What is written, read as a consumer reads it.

use cloudevents::Event;
use http::HeaderMap;
use percent_encoding::percent_decode;
use provisioner::cloudevents::{Data, Mode, Received, read, write};
use provisioner::config::Verification;
use provisioner::reason::{Failure, Reason};
use provisioner::reply;
use provisioner::testing::now;
use serde_json::{Map, Value};

use crate::vectors;

/// An answer to an event repeats what was read of it: in either mode a consumer and its SDK read the same event, and so does
/// the component.
///
/// # Panics
/// When one of them reads another.
pub fn check_repeated(event: &Received) {
    let failure = Failure::new(Reason::PodRejected, "no");
    let answer = reply::scheduling(&event.context, None, &Err(failure), Verification::Required, now());
    for mode in [Mode::Binary, Mode::Structured] {
        let (headers, body) = write(&answer, mode);
        let ours = read(&headers, &body).expect("what is written can be read");
        assert!(ours.mode == mode || ours.mode == Mode::Structured, "{:?} in place of {mode:?}", ours.mode);
        let theirs = structured(&headers, &body).expect("it is an event");
        let Data::Json(data) = &ours.data else { panic!("{:?} is no data of a reply", ours.data) };
        assert_eq!(serde_json::from_slice::<Value>(data).ok().as_ref(), theirs.get("data"));
        for (name, text) in vectors::attributes(&ours) {
            assert_eq!(text.map(String::as_str), theirs[name].as_str(), "{name}");
        }
        assert_eq!(serde_json::from_value::<Event>(theirs).expect("the SDK reads it as well"), answer);
    }
}

/// The event of a request or an answer, in either mode, as structured mode writes it; `None` where there is none.
pub fn structured(headers: &HeaderMap, body: &[u8]) -> Option<Value> {
    let content_type = headers.get("content-type").map(|value| String::from_utf8_lossy(value.as_bytes()));
    if content_type.as_ref().is_some_and(|content_type| content_type.starts_with("application/cloudevents+json")) {
        return serde_json::from_slice(body).ok();
    }
    let mut event = Map::new();
    for (attribute, value) in attributes(headers) {
        event.insert(attribute.to_owned(), percent_decode(value).decode_utf8_lossy().into());
    }
    event.get("type")?;
    event.extend(content_type.map(|value| ("datacontenttype".to_owned(), value.into())));
    event.extend(serde_json::from_slice(body).ok().map(|data| ("data".to_owned(), data)));
    Some(event.into())
}

/// The attributes of an event in binary mode, as they are in the headers.
pub fn attributes(headers: &HeaderMap) -> impl Iterator<Item = (&str, &[u8])> {
    headers.iter().filter_map(|(name, value)| Some((name.as_str().strip_prefix("ce-")?, value.as_bytes())))
}
