//! The component's reader against the SDK's own, where both have to agree: plain ASCII values, each header once,
//! media types in their usual form, and attributes that are texts.

use base64::prelude::{BASE64_STANDARD, Engine};
use http::{HeaderMap, HeaderName, HeaderValue};
use properties::sdk::{check_read, is_common_ground};
use proptest::option;
use proptest::prelude::*;
use provisioner::cloudevents::read;
use serde_json::{Map, Value};

use crate::generators::{attributes, json};

fn header(name: &str, value: &str) -> (HeaderName, HeaderValue) {
    (name.parse().unwrap(), value.parse().unwrap())
}

/// Both readers on one request; it is a mistake of the generator when they needn't agree.
fn check(headers: &HeaderMap, body: &[u8]) {
    assert!(is_common_ground(headers, body), "{headers:?}");
    check_read(&read(headers, body).unwrap(), headers, body);
}

fn check_structured(members: Map<String, Value>) {
    let headers = HeaderMap::from_iter([header("content-type", "application/cloudevents+json")]);
    check(&headers, Value::Object(members).to_string().as_bytes());
}

proptest! {
    #[test]
    fn structured_mode_is_the_sdks_json_format(attributes in attributes(), data in option::of(json())) {
        let mut members = attributes;
        if let Some(data) = data.filter(|data| !data.is_null()) {
            members.insert("datacontenttype".into(), "application/json".into());
            members.insert("data".into(), data);
        }
        check_structured(members);
    }

    #[test]
    fn base64_of_bytes_is_read_alike(
        attributes in attributes(), bytes: Vec<u8>, data in json(), ty in "application/(json|octet-stream)",
    ) {
        let bytes = if ty == "application/json" { data.to_string().into_bytes() } else { bytes };
        let mut members = attributes;
        // 0.3 has no such member: there it would be an attribute of no name.
        members.insert("specversion".into(), "1.0".into());
        members.remove("schemaurl");
        members.insert("datacontenttype".into(), ty.into());
        members.insert("data_base64".into(), BASE64_STANDARD.encode(bytes).into());
        check_structured(members);
    }

    #[test]
    fn binary_mode_is_the_sdks(attributes in attributes(), data in option::of(json())) {
        let texts = attributes.iter().map(|(name, value)| header(&format!("ce-{name}"), value.as_str().unwrap()));
        let mut headers = HeaderMap::from_iter(texts);
        headers.extend([header("content-type", "application/json")]);
        check(&headers, data.map(|data| data.to_string()).unwrap_or_default().as_bytes());
    }
}
