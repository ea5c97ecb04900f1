//! The SDK's own HTTP binding, which the component doesn't use: what it reads is what most consumers do.

use cloudevents::binding::http::to_event;
use cloudevents::event::Data as SdkData;
use cloudevents::{AttributesReader, Event};
use http::HeaderValue;
use provisioner::cloudevents::{Data, Mode, Received, read, write};
use provisioner::config::Verification;
use provisioner::reason::{Failure, Reason};
use provisioner::reply;
use provisioner::testing::now;
use serde_json::Value;

use crate::vectors::attributes;

/// An event, written in both modes: the SDK reads the same event in either, and so does the component.
///
/// # Panics
/// When one of them reads another.
pub fn check_written(event: &Event) {
    for mode in [Mode::Binary, Mode::Structured] {
        let (headers, body) = write(event, mode);
        let ours = read(&headers, &body).expect("what is written can be read");
        assert!(ours.mode == mode || ours.mode == Mode::Structured, "{:?} in place of {mode:?}", ours.mode);
        if ours.mode == Mode::Binary {
            // Nobody has to decode anything.
            assert!(headers.values().all(is_plain), "{headers:?}");
        }
        let theirs = to_event(&headers, body.clone()).expect("the SDK reads it as well");
        assert_eq!(texts(&theirs), texts(event));
        assert_eq!(json_of(&theirs), json_of(event));
        check_alike(&ours, event);
    }
}

/// An answer to an event repeats what was read of it, in both modes.
pub fn check_repeated(event: &Received) {
    let failure = Failure::new(Reason::PodRejected, "no");
    check_written(&reply::scheduling(&event.context, None, &Err(failure), Verification::Required, now()));
}

/// What the component reads is what the event holds.
fn check_alike(ours: &Received, theirs: &Event) {
    let theirs_text = |name: &str| match name {
        "id" => Some(theirs.id().to_owned()),
        "source" => Some(theirs.source().to_string()),
        "type" => Some(theirs.ty().to_owned()),
        _ => theirs.extension(name).map(ToString::to_string).filter(|text| !text.is_empty()),
    };
    for (name, text) in attributes(ours) {
        assert_eq!(text, theirs_text(name).as_ref(), "{name}");
    }
    let data = match &ours.data {
        Data::Json(bytes) => serde_json::from_slice(bytes).ok(),
        Data::Absent | Data::Other(_) | Data::Compressed => None,
    };
    assert_eq!(data, json_of(theirs));
}

/// The attributes as text, without those that say nothing and the one that binary mode leaves to HTTP.
fn texts(event: &Event) -> Vec<(String, String)> {
    let texts = event.iter().map(|(name, value)| (name.to_owned(), value.to_string()));
    let mut texts: Vec<_> = texts.filter(|(name, value)| name != "datacontenttype" && !value.is_empty()).collect();
    texts.sort();
    texts
}

/// The data, where they are JSON: the SDK keeps JSON data in binary mode as the bytes it came in.
fn json_of(event: &Event) -> Option<Value> {
    let is_json = event.datacontenttype().is_none_or(|content_type| content_type == "application/json");
    match event.data().filter(|_| is_json)? {
        SdkData::Json(value) => Some(value.clone()),
        SdkData::Binary(bytes) => serde_json::from_slice(bytes).ok(),
        SdkData::String(text) => serde_json::from_str(text).ok(),
    }
}

/// Whether a header stands for itself: printable ASCII without the space, `"` and `%`.
fn is_plain(value: &HeaderValue) -> bool {
    value.as_bytes().iter().all(|&c| c.is_ascii_graphic() && !matches!(c, b'"' | b'%'))
}
