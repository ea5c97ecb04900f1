//! Requests become events: in both modes, from Knative and from anybody else; and answers become requests again.

use cloudevents::{Event, EventBuilder, EventBuilderV10};
use http::{HeaderMap, HeaderName, HeaderValue};
use properties::sdk::{check_repeated, check_written};
use properties::vectors::attributes;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use provisioner::cloudevents::read;
use provisioner::context::name_based_uuid;
use provisioner::event::PENDING;
use provisioner::testing;
use serde_json::{Value, json};

use crate::generators::{json, text};

/// The attributes of which the reader gives the text.
const USED: [&str; 9] = [
    "id",
    "source",
    "type",
    "correlationid",
    "traceparent",
    "tracestate",
    "expirytime",
    "knativeerrorcode",
    "knativeerrordata",
];
fn event() -> impl Strategy<Value = Event> {
    let names = prop_oneof!["ext[a-z0-9]{0,10}", "correlationid|traceparent|tracestate|expirytime|knativeerrorcode"];
    let value = prop_oneof![2 => "[!#$&-~]{1,20}", 1 => text()];
    let texts = [value.clone(), value.clone(), value.clone(), value.clone()];
    (texts, btree_map(names, value, 0..4), option::of(json())).prop_map(|([id, source, ty, subject], more, data)| {
        let mut event = EventBuilderV10::new().id(id).source(source).ty(ty).subject(subject);
        for (name, value) in &more {
            event = event.extension(name, value.as_str());
        }
        // Data that are null are none, as far as structured mode can say it.
        match data.filter(|data| !data.is_null()) {
            Some(data) => event.data("application/json", data).build().unwrap(),
            None => event.build().unwrap(),
        }
    })
}

pub fn headers() -> impl Strategy<Value = HeaderMap> {
    let names = [
        "ce-id",
        "ce-source",
        "ce-type",
        "ce-specversion",
        "ce-time",
        "ce-data",
        "ce-x",
        "ce-datacontenttype",
        "ce-knativearrivaltime",
        "content-type",
        "content-encoding",
    ];
    let name = select(names.to_vec()).prop_map(|name| name.parse::<HeaderName>().unwrap());
    let usual =
        ["1.0", "0.3", "application/json", "application/cloudevents+json", "identity", PENDING, "\"", "%", "%41", ""];
    let usual = select(usual.to_vec()).prop_map(HeaderValue::from_static);
    vec((name, prop_oneof![usual, value()]), 0..12).prop_map(|list| {
        list.into_iter().fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        })
    })
}

/// Any bytes that a header may hold.
fn value() -> impl Strategy<Value = HeaderValue> {
    let byte = prop_oneof![b' '..=b'~', 128..=255u8, Just(b'\t')];
    vec(byte, 0..20).prop_map(|bytes| HeaderValue::from_bytes(&bytes).unwrap())
}

/// An event with nothing but what it has to have, and with these headers instead or besides.
fn binary(changes: &[(&str, HeaderValue)]) -> HeaderMap {
    let mut headers = testing::event("/", "t", "").into_parts().0.headers;
    for (name, value) in changes {
        headers.insert(format!("ce-{name}").parse::<HeaderName>().unwrap(), value.clone());
    }
    headers
}

fn structured() -> HeaderMap {
    let structured = HeaderValue::from_static("application/cloudevents+json");
    HeaderMap::from_iter([(http::header::CONTENT_TYPE, structured)])
}

fn envelope() -> Value {
    json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "t"})
}

/// The text that is read for an attribute.
fn attribute(headers: &HeaderMap, body: &Value, name: &str) -> Option<String> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let event = read(headers, body.as_bytes()).unwrap();
    attributes(&event).into_iter().find(|(read, _)| *read == name).unwrap().1.cloned()
}

/// Every byte of a text percent-encoded, as any encoder may do.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(event in event()) {
        check_written(&event);
    }

    #[test]
    fn reading_ends_in_an_event_or_in_a_refusal(headers in headers(), body: Vec<u8>) {
        if let Ok(event) = read(&headers, &body) {
            check_repeated(&event);
        }
    }

    #[test]
    fn envelopes_of_any_json_end_in_an_event_or_in_a_refusal(
        members in btree_map(select(vec!["id", "source", "type", "specversion", "time", "subject", "data", "ext",
            "data_base64", "datacontenttype", "datacontentencoding", "dataschema", "correlationid"]), json(), 0..12),
        is_whole: bool,
    ) {
        let mut members = json!(members);
        if is_whole {
            crate::generators::lay(&mut members, &envelope());
        }
        if let Ok(event) = read(&structured(), members.to_string().as_bytes()) {
            check_repeated(&event);
        }
    }

    #[test]
    fn a_header_is_decoded_once_and_verbatim_where_knative_delivers_it(name in select(USED.to_vec()), text in text()) {
        let read = |value: &str, is_by_knative: bool| {
            let mut changes = vec![(name, HeaderValue::from_str(value).unwrap())];
            let arrival = HeaderValue::from_static("2026-01-31T12:00:00Z");
            changes.extend(is_by_knative.then_some(("knativearrivaltime", arrival)));
            attribute(&binary(&changes), &json!(null), name).unwrap()
        };
        let encoded = encoded(&text);
        prop_assert_eq!(read(&encoded, false), text);
        // What was not encoded by the rules stays as it stands.
        let odd = format!("{encoded}%ff");
        prop_assert_eq!(read(&odd, false), odd);
        // Quotes, spaces and the percent signs of others: nothing of it means anything to Knative.
        for odd in [encoded.clone(), format!("{encoded} %{encoded}%ff"), format!("\"{encoded}\"")] {
            prop_assert_eq!(read(&odd, true), odd);
        }
    }

    #[test]
    fn structured_mode_says_every_text_exactly(name in select(USED.to_vec()), text in text(), is_by_knative: bool) {
        let mut envelope = envelope();
        envelope[name] = json!(text);
        if is_by_knative {
            envelope["knativearrivaltime"] = json!("2026-01-31T12:00:00Z");
        }
        prop_assert_eq!(attribute(&structured(), &envelope, name), Some(text));
    }

    #[test]
    fn names_know_where_one_part_ends(parts in vec(".{0,6}", 1..4), others in vec(".{0,6}", 1..4)) {
        let uuid = |parts: &[String]| name_based_uuid(&parts.iter().map(String::as_str).collect::<Vec<_>>());
        prop_assert_eq!(uuid(&parts) == uuid(&others), parts == others);
        let whole = parts.concat();
        for border in (0..=whole.len()).filter(|&border| whole.is_char_boundary(border)) {
            let moved = [whole[..border].to_owned(), whole[border..].to_owned()];
            prop_assert_eq!(uuid(&parts) == uuid(&moved), parts == moved);
        }
    }
}
