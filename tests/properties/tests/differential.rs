//! The component's reader against the SDK's own, where both have to agree: plain ASCII values, each header once,
//! media types in their usual form, and attributes that are texts.

use cloudevents::binding::http::to_event;
use cloudevents::event::SpecVersion;
use cloudevents::{AttributesReader, AttributesWriter, Event};
use http::{HeaderMap, HeaderName, HeaderValue};
use properties::targets::{is_common_ground, json_as_json};
use proptest::collection::btree_map;
use proptest::option;
use proptest::prelude::*;
use provisioner::binding;
use serde_json::{Map, Value, json};

/// A text that stands for itself in a header: printable ASCII without `%` and `"`, and no space at its ends.
fn plain() -> impl Strategy<Value = String> {
    "[!#$&-~]([ !#$&-~]{0,20}[!#$&-~])?"
}

/// The attributes of an event, by name.
fn attributes() -> impl Strategy<Value = Map<String, Value>> {
    let time = (0..4_000_000_000i64).prop_map(|seconds| chrono::DateTime::from_timestamp(seconds, 0));
    let time = option::of(time.prop_filter_map("a time", |time| Some(time?.to_rfc3339())));
    let schema = option::of("https://[a-z]{1,9}/[a-z/]{0,9}");
    let extensions = btree_map("ext[a-z0-9]{1,9}", plain(), 0..4);
    let version = prop_oneof![Just("1.0"), Just("0.3")];
    (version, [plain(), plain(), plain()], option::of(plain()), time, schema, extensions).prop_map(
        |(version, [id, source, ty], subject, time, schema, extensions)| {
            let schema_name = if version == "1.0" { "dataschema" } else { "schemaurl" };
            let optional = [("subject", subject), ("time", time), (schema_name, schema)];
            let required = [("specversion", version.to_owned()), ("id", id), ("source", source), ("type", ty)];
            let set = optional.into_iter().filter_map(|(name, value)| Some((name, value?)));
            let named = required.into_iter().chain(set).map(|(name, value)| (name.to_owned(), value));
            named.chain(extensions).map(|(name, value)| (name, value.into())).collect()
        },
    )
}

/// JSON of a few levels.
pub fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(json!(null)), any::<bool>().prop_map(Value::from), any::<i64>().prop_map(Value::from)];
    let leaf = prop_oneof![leaf, any::<String>().prop_map(Value::from)];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let list = proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from);
        prop_oneof![list, btree_map(".{0,5}", inner, 0..4).prop_map(|map| json!(map))]
    })
}

fn header(name: &str, value: &str) -> (HeaderName, HeaderValue) {
    (name.parse().unwrap(), value.parse().unwrap())
}

/// The SDK's event as ours is: the schema is the text that it came as, among the extensions.
fn with_schema_as_text(mut event: Event) -> Event {
    let name = match event.specversion() {
        SpecVersion::V03 => "schemaurl",
        SpecVersion::V10 => "dataschema",
    };
    let (content_type, schema, data) = event.take_data();
    event.set_datacontenttype(content_type);
    if let Some(data) = data {
        event.set_data_unchecked(data);
    }
    if let Some(schema) = schema {
        event.set_extension(name, schema.to_string());
    }
    event
}

/// Both readers on one request; it is a mistake of the generator when they needn't agree.
fn both(headers: &HeaderMap, body: &[u8]) -> (Event, Event) {
    assert!(is_common_ground(headers, body), "{headers:?}");
    let theirs = to_event(headers, body.to_vec()).unwrap();
    (binding::read(headers, body).unwrap(), with_schema_as_text(theirs))
}

proptest! {
    #[test]
    fn structured_mode_is_the_sdks_json_format(attributes in attributes(), data in option::of(json())) {
        let mut members = attributes;
        if let Some(data) = data.filter(|data| !data.is_null()) {
            members.insert("datacontenttype".into(), "application/json".into());
            members.insert("data".into(), data);
        }
        let body = Value::Object(members).to_string();
        let headers = HeaderMap::from_iter([header("content-type", "application/cloudevents+json")]);
        let (ours, theirs) = both(&headers, body.as_bytes());
        prop_assert_eq!(&ours, &with_schema_as_text(serde_json::from_str::<Event>(&body).unwrap()));
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn base64_of_bytes_is_read_alike(attributes in attributes(), bytes: Vec<u8>) {
        use base64::prelude::{BASE64_STANDARD, Engine};
        let mut members = attributes;
        // 0.3 has no such member: there it would be an attribute of no name.
        members.insert("specversion".into(), "1.0".into());
        members.remove("schemaurl");
        members.insert("datacontenttype".into(), "application/octet-stream".into());
        members.insert("data_base64".into(), BASE64_STANDARD.encode(bytes).into());
        let body = Value::Object(members).to_string();
        let headers = HeaderMap::from_iter([header("content-type", "application/cloudevents+json")]);
        let (ours, theirs) = both(&headers, body.as_bytes());
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn binary_mode_is_the_sdks(attributes in attributes(), data in option::of(json())) {
        let texts = attributes.iter().map(|(name, value)| header(&format!("ce-{name}"), value.as_str().unwrap()));
        let mut headers = HeaderMap::from_iter(texts);
        headers.extend([header("content-type", "application/json")]);
        let body = data.map(|data| data.to_string()).unwrap_or_default();
        let (ours, theirs) = both(&headers, body.as_bytes());
        prop_assert_eq!(json_as_json(&ours), json_as_json(&theirs));
        prop_assert_eq!(ours.datacontenttype(), theirs.datacontenttype());
        let all = |event: &Event| {
            let mut all: Vec<_> = event.iter().map(|(name, value)| (name.to_owned(), value.to_string())).collect();
            all.sort();
            all
        };
        prop_assert_eq!(all(&ours), all(&theirs));
    }
}
