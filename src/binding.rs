//! The CloudEvents HTTP protocol binding, in both directions: headers and body ⇄ [`Event`].
//!
//! The event model and its builders are the SDK's. Its own HTTP binding isn't used, because it gets several rules wrong
//! (percent-encoding, media types, repeated attributes, `null`, extension values; each has a test here), and neither is
//! its JSON format, which reads every attribute a second time. Both content modes are brought into one shape first, a
//! JSON map of context attributes that obeys the specification, and of that the event is built. Source of the rules: CloudEvents 1.0.2, "HTTP
//! Protocol Binding" section 3 and "JSON Event Format" sections 2 and 3.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, Utc};
use cloudevents::event::{AttributeValue, AttributesWriter, Data, ExtensionValue};
use cloudevents::{Event, EventBuilder, EventBuilderV03, EventBuilderV10};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode, utf8_percent_encode};
use serde_json::{Map, Value};

use crate::fields::parse;

const HEADER_PREFIX: &str = "ce-";
const CLOUDEVENTS: &str = "application/cloudevents";
const STRUCTURED_JSON: &str = "application/cloudevents+json";
const REQUIRED: [&str; 3] = ["id", "source", "type"];
const DATA_MEMBERS: [&str; 3] = ["data", "data_base64", "datacontentencoding"];

/// How many headers there is room for before any is written: an answer has its attributes, and a length.
const USUAL_HEADERS: usize = 12;

/// What a header value can't hold as it is: all but printable ASCII, and of that the space, `"` and `%`.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// Why a request is not an event. The text says what to mend and is meant for the sender.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindingError {
    /// The request is not a CloudEvent, or not a valid one: 400.
    #[error("{0}")]
    NotAnEvent(String),
    /// The request holds CloudEvents in a format that isn't spoken here: 415.
    #[error("{0}")]
    UnsupportedFormat(String),
}

fn invalid(problem: impl Into<String>) -> BindingError {
    BindingError::NotAnEvent(problem.into())
}

/// Reads the event of a request in binary or structured content mode.
///
/// # Errors
/// [`BindingError`] for what is no CloudEvent, or one in a format other than JSON, or a batch.
pub fn read(headers: &HeaderMap, body: &[u8]) -> Result<Event, BindingError> {
    let content_type = single_header(headers, &CONTENT_TYPE)?;
    let media_type = content_type.as_deref().map(media_type).unwrap_or_default();
    if media_type == STRUCTURED_JSON {
        read_structured(body)
    } else if media_type.starts_with(CLOUDEVENTS) {
        let problem = format!("{media_type} is not supported: send one event, as {STRUCTURED_JSON} or in binary mode");
        Err(BindingError::UnsupportedFormat(problem))
    } else {
        read_binary(headers, content_type, body)
    }
}

fn read_structured(body: &[u8]) -> Result<Event, BindingError> {
    let mut members: Map<String, Value> = match parse(body) {
        Ok(Value::Object(members)) => members,
        Ok(_) => return Err(invalid("the body is not a JSON object")),
        Err(e) => return Err(invalid(format!("the body is not JSON: {e}"))),
    };
    // JSON Event Format, section 2.2: a null member is an attribute that is not set.
    members.retain(|_, value| !value.is_null());
    let data = structured_data(&mut members)?;
    assemble(members, data)
}

fn read_binary(headers: &HeaderMap, content_type: Option<String>, body: &[u8]) -> Result<Event, BindingError> {
    let mut members = Map::new();
    for name in headers.keys() {
        if let Some(attribute) = name.as_str().strip_prefix(HEADER_PREFIX) {
            let value = single_header(headers, name)?.unwrap_or_default();
            members.insert(attribute.to_owned(), Value::String(value));
        }
    }
    if members.is_empty() {
        let problem = format!("no CloudEvent: there is no ce- header, and the content type is not {STRUCTURED_JSON}");
        return Err(invalid(problem));
    }
    if members.contains_key("datacontenttype") {
        return Err(invalid("the header ce-datacontenttype must not be there: use Content-Type"));
    }
    for member in DATA_MEMBERS {
        members.remove(member);
    }
    let data = binary_data(content_type.as_deref(), body);
    members.extend(content_type.map(|value| ("datacontenttype".to_owned(), Value::String(value))));
    assemble(members, data)
}

/// The one value of a header, decoded, or `None` where it is missing.
fn single_header(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, BindingError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => decode(name, value).map(Some),
        _ => Err(invalid(format!("the header {name} is there more than once"))),
    }
}

/// HTTP Protocol Binding, section 3.1.3.2: unquote, decode percent-encoding once, and what comes out is UTF-8.
fn decode(name: &HeaderName, value: &HeaderValue) -> Result<String, BindingError> {
    let raw = value.as_bytes().trim_ascii();
    let unquoted = unquote(raw);
    let decoded = match name == CONTENT_TYPE {
        true => raw.to_vec(),
        false => percent_decode(unquoted.as_deref().unwrap_or(raw)).collect(),
    };
    String::from_utf8(decoded).map_err(|_| invalid(format!("the header {name} is not UTF-8")))
}

/// The content of a quoted string (RFC 9110, section 5.6.4), or `None` where `raw` is none.
fn unquote(raw: &[u8]) -> Option<Vec<u8>> {
    let inner = raw.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let mut unquoted = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(&byte) = bytes.next() {
        unquoted.push(if byte == b'\\' { *bytes.next()? } else { byte });
    }
    Some(unquoted)
}

/// Type and subtype of a media type, in lower case and without parameters.
fn media_type(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn is_json(content_type: &str) -> bool {
    let media_type = media_type(content_type);
    matches!(media_type.as_str(), "application/json" | "text/json") || media_type.ends_with("+json")
}

/// Bytes as data: JSON where they are declared to be and are, else what they are.
fn data_of_bytes(bytes: Vec<u8>, declared_json: bool) -> Data {
    let json = if declared_json { parse(&bytes).ok() } else { None };
    json.map_or(Data::Binary(bytes), Data::Json)
}

/// A body without a content type is tried as JSON: nothing says that it is something else.
fn binary_data(content_type: Option<&str>, body: &[u8]) -> Option<Data> {
    let declared_json = content_type.is_none_or(is_json);
    (!body.is_empty()).then(|| data_of_bytes(body.to_vec(), declared_json))
}

/// Takes the data out of a structured event's members (JSON Event Format, section 3.1).
fn structured_data(members: &mut Map<String, Value>) -> Result<Option<Data>, BindingError> {
    let content_type = members.get("datacontenttype").and_then(Value::as_str).map(str::to_owned);
    let [data, data_base64, encoding] = DATA_MEMBERS.map(|member| members.remove(member));
    let is_version_03 = members.get("specversion").is_some_and(|version| version == "0.3");
    let is_base64 = encoding.is_some_and(|e| e.as_str().is_some_and(|e| e.eq_ignore_ascii_case("base64")));
    match (data, data_base64) {
        (Some(_), Some(_)) => Err(invalid("both data and data_base64 are there: use one")),
        (Some(data), None) if is_version_03 && is_base64 => {
            Ok(Some(data_of_bytes(decode_base64("data", &data)?, content_type.as_deref().is_none_or(is_json))))
        }
        // Without a content type the bytes are not JSON: only the member `data` has that as its default.
        (None, Some(data)) => {
            Ok(Some(data_of_bytes(decode_base64("data_base64", &data)?, content_type.is_some_and(|t| is_json(&t)))))
        }
        (Some(Value::String(text)), None) if !content_type.as_deref().is_none_or(is_json) => {
            Ok(Some(Data::String(text)))
        }
        (data, None) => Ok(data.map(Data::Json)),
    }
}

fn decode_base64(member: &str, value: &Value) -> Result<Vec<u8>, BindingError> {
    use base64::prelude::{BASE64_STANDARD, Engine};
    let bytes = value.as_str().and_then(|text| BASE64_STANDARD.decode(text).ok());
    bytes.ok_or_else(|| invalid(format!("{member} is not a base64 string")))
}

/// Puts an event together from its context attributes and its data.
fn assemble(mut members: Map<String, Value>, data: Option<Data>) -> Result<Event, BindingError> {
    let is_version_03 = version(&members)? == "0.3";
    let [id, source, ty] = REQUIRED.map(|attribute| required(&mut members, attribute));
    let mut event = bare_event(is_version_03, id?, source?, ty?)?;
    for (name, value) in members {
        if is_attribute_name(&name) && name != "specversion" && value != "" {
            set_attribute(&mut event, &name, value)?;
        }
    }
    if let Some(data) = data {
        event.set_data_unchecked(data);
    }
    Ok(event)
}

fn bare_event(is_version_03: bool, id: String, source: String, ty: String) -> Result<Event, BindingError> {
    let built = match is_version_03 {
        true => EventBuilderV03::new().id(id).source(source).ty(ty).build(),
        false => EventBuilderV10::new().id(id).source(source).ty(ty).build(),
    };
    built.map_err(|_| invalid("the attributes id, source and type are not those of an event"))
}

/// Sets an optional attribute or an extension.
///
/// The SDK takes `dataschema` (`schemaurl` in version 0.3) as a URL, whose parser would be a tenth of the component.
/// Nobody here asks for the schema, so it stays the text that it came as, among the extensions.
fn set_attribute(event: &mut Event, name: &str, value: Value) -> Result<(), BindingError> {
    match name {
        "datacontenttype" => drop(event.set_datacontenttype(Some(text(name, value)?))),
        "subject" => drop(event.set_subject(Some(text(name, value)?))),
        "time" => drop(event.set_time(Some(time(name, value)?))),
        "dataschema" | "schemaurl" => event.set_extension(name, text(name, value)?),
        _ => event.set_extension(name, extension_value(value)),
    }
    Ok(())
}

fn text(attribute: &str, value: Value) -> Result<String, BindingError> {
    match value {
        Value::String(text) => Ok(text),
        value => Err(invalid(format!("an attribute can't be read: {attribute} is {value}, and not a string"))),
    }
}

fn time(attribute: &str, value: Value) -> Result<DateTime<Utc>, BindingError> {
    let text = text(attribute, value)?;
    let time = DateTime::parse_from_rfc3339(&text).map(|time| time.to_utc());
    time.map_err(|_| {
        invalid(format!("an attribute can't be read: {attribute} is {text:?}, and no timestamp (RFC 3339)"))
    })
}

/// What is neither a string, a boolean nor an integer, and so can be no attribute's value, becomes its JSON text: no
/// reason to lose an event.
fn extension_value(value: Value) -> ExtensionValue {
    match value {
        Value::String(text) => ExtensionValue::String(text),
        Value::Bool(flag) => ExtensionValue::Boolean(flag),
        value => value.as_i64().map_or_else(|| ExtensionValue::String(value.to_string()), ExtensionValue::Integer),
    }
}

fn version(members: &Map<String, Value>) -> Result<&str, BindingError> {
    match members.get("specversion").map(|version| (version, version.as_str())) {
        Some((_, Some(known @ ("1.0" | "0.3")))) => Ok(known),
        Some((version, _)) => Err(invalid(format!("specversion {version} is not supported: use \"1.0\""))),
        None => Err(invalid("specversion is missing: use \"1.0\"")),
    }
}

/// Takes a required attribute out of the members.
fn required(members: &mut Map<String, Value>, attribute: &str) -> Result<String, BindingError> {
    match members.remove(attribute) {
        Some(Value::String(value)) if !value.is_empty() => Ok(value),
        Some(Value::String(_)) => Err(invalid(format!("the attribute {attribute} is empty"))),
        Some(_) => Err(invalid(format!("the attribute {attribute} is not a string"))),
        None => Err(invalid(format!("the attribute {attribute} is missing"))),
    }
}

/// Whether `name` can be an attribute's: CloudEvents 1.0.2, "Naming Conventions". What is named otherwise is no attribute, and no reason to lose an event.
pub fn is_attribute_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
}

/// Writes an event in binary content mode: the headers and the body of a request or of a response.
pub fn write(event: &Event) -> (HeaderMap, Vec<u8>) {
    let mut headers = HeaderMap::with_capacity(USUAL_HEADERS);
    for (name, value) in event.iter() {
        let text = match value {
            AttributeValue::Time(time) => time.to_rfc3339_opts(SecondsFormat::AutoSi, true),
            value => value.to_string(),
        };
        let (name, text) = match name {
            "datacontenttype" => (Ok(CONTENT_TYPE), text),
            _ => (HeaderName::try_from(format!("{HEADER_PREFIX}{name}")), encode(text)),
        };
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(text)) {
            headers.insert(name, value);
        }
    }
    let body = match event.data() {
        Some(Data::Binary(bytes)) => bytes.clone(),
        Some(Data::String(text)) => text.clone().into_bytes(),
        Some(Data::Json(value)) => serde_json::to_vec(value).unwrap_or_default(),
        None => Vec::new(),
    };
    (headers, body)
}

/// A text of a single encoded character is borrowed as well, so what is borrowed has to be the text itself.
fn encode(text: String) -> String {
    let encoded = match Cow::from(utf8_percent_encode(&text, ENCODED)) {
        Cow::Borrowed(same) if same == text => None,
        encoded => Some(encoded.into_owned()),
    };
    encoded.unwrap_or(text)
}

/// The value of an event's extension as text, or `None` where it isn't set.
pub fn extension(event: &Event, name: &str) -> Option<String> {
    event.extension(name).map(ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudevents::AttributesReader;
    use serde_json::json;

    const BINARY: [(&str, &str); 4] =
        [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "t")];

    fn read_with(base: &[(&str, &str)], more: &[(&str, &[u8])], body: &[u8]) -> Result<Event, BindingError> {
        let mut headers = HeaderMap::new();
        for (name, value) in base {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        for (name, value) in more {
            headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value).unwrap());
        }
        read(&headers, body)
    }

    fn binary(more: &[(&str, &[u8])], body: &[u8]) -> Result<Event, BindingError> {
        read_with(&BINARY, more, body)
    }

    fn structured(body: &Value) -> Result<Event, BindingError> {
        read_with(&[("content-type", STRUCTURED_JSON)], &[], body.to_string().as_bytes())
    }

    /// A valid structured event with `changes` laid over it.
    fn envelope(changes: Value) -> Value {
        let mut envelope = json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "t"});
        envelope.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        envelope
    }

    #[track_caller]
    fn check_invalid(result: Result<Event, BindingError>, expected: &str) {
        match result {
            Err(BindingError::NotAnEvent(problem)) => assert!(problem.contains(expected), "{problem}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn both_content_modes_with_and_without_parameters_are_read() {
        for content_type in ["application/json", "application/json; charset=utf-8"] {
            let event = binary(&[("content-type", content_type.as_bytes())], b"{\"a\":1}").unwrap();
            assert_eq!((event.id(), event.data()), ("1", Some(&Data::Json(json!({"a": 1})))));
        }
        for content_type in [STRUCTURED_JSON, "Application/CloudEvents+JSON; charset=utf-8"] {
            let body = envelope(json!({"data": {"a": 1}})).to_string();
            let event = read_with(&[("content-type", content_type)], &[], body.as_bytes()).unwrap();
            assert_eq!((event.id(), event.data()), ("1", Some(&Data::Json(json!({"a": 1})))));
        }
        let old = envelope(json!({"specversion": "0.3", "data": "e30=", "datacontentencoding": "base64"}));
        assert_eq!(structured(&old).unwrap().data(), Some(&Data::Json(json!({}))));
    }

    #[test]
    fn header_values_are_unquoted_and_decoded_once() {
        let subject = |value: &[u8]| {
            let event = binary(&[("ce-subject", value)], b"")?;
            Ok(event.subject().unwrap_or_default().to_owned())
        };
        let rows: [(&[u8], &str); 9] = [
            (b"plain", "plain"),
            (b"Euro%20%E2%82%AC", "Euro \u{20ac}"),
            (b"100%", "100%"),
            (b"%zz%4", "%zz%4"),
            (b"%2541", "%41"),
            (b"\"a \\\"b\\\" %41\"", "a \"b\" A"),
            (b"\"", "\""),
            (b"  padded ", "padded"),
            ("Grüße".as_bytes(), "Grüße"),
        ];
        for (value, expected) in rows {
            assert_eq!(subject(value), Ok::<_, BindingError>(expected.to_owned()));
        }
        assert!(matches!(subject(b"%FF"), Err(BindingError::NotAnEvent(_))));
        assert!(matches!(subject(b"\xFF"), Err(BindingError::NotAnEvent(_))));
    }

    #[test]
    fn media_types_are_compared_without_case_and_parameters() {
        for content_type in ["application/vnd.x+json; charset=utf-8", "Application/JSON", "text/json"] {
            let event = binary(&[("content-type", content_type.as_bytes())], b"{}").unwrap();
            assert_eq!(event.data(), Some(&Data::Json(json!({}))), "{content_type}");
        }
        let event = binary(&[("content-type", b"application/jsonx")], b"{}").unwrap();
        assert_eq!(event.data(), Some(&Data::Binary(b"{}".to_vec())));
    }

    #[test]
    fn other_formats_and_batches_are_unsupported() {
        let formats = ["application/cloudevents", "application/cloudevents+xml", "application/cloudevents+jsonx"];
        for format in formats.into_iter().chain(["application/cloudevents-batch+json", "application/CloudEvents+Avro"])
        {
            let result = read_with(&[("content-type", format)], &[], b"[]");
            assert!(matches!(result, Err(BindingError::UnsupportedFormat(_))), "{format}");
        }
    }

    #[test]
    fn what_is_no_event_says_what_is_missing() {
        check_invalid(read_with(&[], &[], b"{}"), "there is no ce- header");
        check_invalid(structured(&json!([])), "not a JSON object");
        check_invalid(read_with(&[("content-type", STRUCTURED_JSON)], &[], b"{"), "not JSON");
        for attribute in REQUIRED {
            let headers: Vec<_> = BINARY.into_iter().filter(|(name, _)| *name != format!("ce-{attribute}")).collect();
            check_invalid(read_with(&headers, &[], b""), &format!("{attribute} is missing"));
            check_invalid(structured(&envelope(json!({attribute: ""}))), &format!("{attribute} is empty"));
            check_invalid(structured(&envelope(json!({attribute: null}))), &format!("{attribute} is missing"));
            check_invalid(structured(&envelope(json!({attribute: 1}))), &format!("{attribute} is not a string"));
        }
        check_invalid(structured(&envelope(json!({"specversion": "2.0"}))), "specversion \"2.0\" is not supported");
        check_invalid(structured(&envelope(json!({"specversion": 1.0}))), "specversion 1.0 is not supported");
        check_invalid(read_with(&BINARY[1..], &[], b""), "specversion is missing");
        check_invalid(binary(&[("ce-time", b"yesterday")], b""), "an attribute can't be read");
    }

    #[test]
    fn a_header_stands_once_or_is_an_error() {
        for name in ["ce-id", "ce-extension", "content-type"] {
            check_invalid(read_with(&BINARY, &[(name, b"a"), (name, b"b")], b""), "more than once");
        }
        check_invalid(binary(&[("ce-datacontenttype", b"application/json")], b"{}"), "ce-datacontenttype");
    }

    #[test]
    fn null_members_are_not_set() {
        let event = structured(&envelope(json!({"subject": null, "time": null, "more": null, "data": null}))).unwrap();
        assert_eq!((event.subject(), event.time(), event.data()), (None, None, None));
        assert_eq!(event.iter_extensions().count(), 0);
    }

    #[test]
    fn base64_data_is_json_only_where_it_is_declared_to_be() {
        let data = |changes| structured(&envelope(changes)).map(|event| event.data().cloned());
        assert_eq!(data(json!({"data_base64": "e30="})), Ok(Some(Data::Binary(b"{}".to_vec()))));
        let declared = json!({"data_base64": "e30=", "datacontenttype": "application/json"});
        assert_eq!(data(declared), Ok(Some(Data::Json(json!({})))));
        let broken = json!({"data_base64": "ew==", "datacontenttype": "application/json"});
        assert_eq!(data(broken), Ok(Some(Data::Binary(b"{".to_vec()))));
        check_invalid(structured(&envelope(json!({"data_base64": "?"}))), "data_base64 is not a base64 string");
        check_invalid(structured(&envelope(json!({"data": 1, "data_base64": "e30="}))), "both data and data_base64");
    }

    #[test]
    fn extensions_that_no_attribute_can_be_do_not_cost_the_event() {
        let event =
            structured(&envelope(json!({"a": 1.5, "b": {"c": 1}, "d": 7, "e": true, "not_a_name": 1}))).unwrap();
        let value = |name| extension(&event, name).unwrap();
        assert_eq!([value("a"), value("b"), value("d"), value("e")], ["1.5", "{\"c\":1}", "7", "true"]);
        assert_eq!(extension(&event, "not_a_name"), None);
    }

    #[test]
    fn content_type_is_written_as_it_is() {
        let content_type = "application/json; charset=utf-8";
        let event = EventBuilderV10::new().id("1").source("/s").ty("t").data(content_type, json!({})).build().unwrap();
        assert_eq!(write(&event).0["content-type"], content_type);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let event = EventBuilderV10::new()
            .id("a \"b\" 100%\n")
            .source("/straße")
            .ty("%")
            .time("2026-01-01T00:00:00Z")
            .extension("causationid", "€")
            .data("application/json", json!({"ä": 1}))
            .build()
            .unwrap();
        let (headers, body) = write(&event);
        assert_eq!(headers["ce-id"], "a%20%22b%22%20100%25%0A");
        assert_eq!(headers["ce-type"], "%25");
        assert_eq!(headers["ce-time"], "2026-01-01T00:00:00Z");
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!(read(&headers, &body).unwrap(), event);
    }
}
