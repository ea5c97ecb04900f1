use cloudevents::{Event, EventBuilder, EventBuilderV10};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::*;

const BINARY: [(&str, &str); 4] = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "t")];
const JSON: (&str, &str) = ("content-type", "application/json");

/// The headers `base`, and after them `more`.
fn headers<V: AsRef<[u8]>>(base: &[(&str, &str)], more: &[(&str, V)]) -> HeaderMap {
    let base = base.iter().map(|(name, value)| (*name, value.as_bytes()));
    let all = base.chain(more.iter().map(|(name, value)| (*name, value.as_ref())));
    let parse = |(name, value): (&str, &[u8])| (name.parse::<HeaderName>(), HeaderValue::from_bytes(value));
    let mut headers = HeaderMap::new();
    for (name, value) in all.map(parse) {
        headers.append(name.unwrap(), value.unwrap());
    }
    headers
}

/// A binary event with further headers.
fn binary<'a>(more: &[(&str, &str)], body: &'a [u8]) -> Result<Received<'a>, ReadError> {
    read(&headers(&BINARY, more), body)
}

fn structured(body: &[u8]) -> Result<Received<'_>, ReadError> {
    read(&headers(&[("content-type", STRUCTURED_JSON)], &[] as &[(&str, &str)]), body)
}

/// A structured event with further members, given as text.
fn envelope(more: &str) -> String {
    format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t"{more}}}"#)
}

/// A structured event with this value of a member, which may be `null`.
fn envelope_with(member: &str, value: &Value) -> Vec<u8> {
    let mut envelope: Value = serde_json::from_str(&envelope("")).unwrap();
    envelope[member] = value.clone();
    envelope.to_string().into_bytes()
}

#[track_caller]
fn check_refused(result: Result<Received, ReadError>, expected: &str) {
    let error = result.expect_err("it is no event");
    assert!(!error.is_unsupported() && error.to_string().contains(expected), "{error}");
}

#[track_caller]
fn check_unsupported(result: Result<Received, ReadError>, expected: &str) {
    let error = result.expect_err("it is not spoken here");
    assert!(error.is_unsupported() && error.to_string().contains(expected), "{error}");
}

#[track_caller]
fn check_json(result: Result<Received, ReadError>, expected: &str) {
    let data = result.expect("it is an event").data;
    assert_eq!(data, Data::Json(expected.as_bytes().into()));
}

// Events and others.

#[test]
fn both_content_modes_are_read_with_and_without_parameters() {
    for content_type in ["application/json", "application/json; charset=utf-8"] {
        let event = binary(&[("content-type", content_type)], b"{\"a\":1}").unwrap();
        assert_eq!((event.context.id.as_str(), event.ty.as_str(), event.mode), ("1", "t", Mode::Binary));
        check_json(Ok(event), r#"{"a":1}"#);
    }
    for content_type in [STRUCTURED_JSON, "Application/CloudEvents+JSON ; charset=utf-8"] {
        let body = envelope(r#","data":{"a": 1}"#);
        let event = read(&headers(&[("content-type", content_type)], &[("ce-id", "2")]), body.as_bytes()).unwrap();
        assert_eq!(
            (event.context.id.as_str(), event.context.source.as_str(), event.mode),
            ("1", "/s", Mode::Structured)
        );
        check_json(Ok(event), r#"{"a": 1}"#);
    }
}

#[test]
fn what_is_no_event_says_what_is_missing() {
    check_refused(read(&HeaderMap::new(), b"{}"), "there is no ce- header");
    for body in ["", "{", "{\"id\":}", "{1: 2}"] {
        check_refused(structured(body.as_bytes()), "not JSON");
    }
    for body in ["null", "7"] {
        check_refused(structured(body.as_bytes()), "expected a JSON object");
    }
    check_refused(structured(b" \"x\""), "is a list or a string: send one event");
    check_refused(structured((envelope("") + " x").as_bytes()), "not JSON");
    for attribute in ["specversion", "id", "source", "type"] {
        let mut others = BINARY.to_vec();
        others.retain(|(name, _)| *name != format!("ce-{attribute}"));
        let name = format!("ce-{attribute}");
        check_refused(read(&headers(&others, &[(&name, "")]), b""), &format!("{attribute} is empty"));
        check_refused(read(&headers::<&str>(&others, &[]), b""), &format!("{attribute} is missing"));
        check_refused(structured(&envelope_with(attribute, &json!(""))), &format!("{attribute} is empty"));
        check_refused(structured(&envelope_with(attribute, &json!(null))), &format!("{attribute} is missing"));
        for other in [json!(1), json!(1.0), json!(true), json!([]), json!({})] {
            check_refused(structured(&envelope_with(attribute, &other)), "");
        }
    }
    check_refused(structured(&envelope_with("specversion", &json!("2.0"))), "specversion \"2.0\" is not supported");
}

/// A reader that goes by order could take an array for an event.
#[test]
fn an_array_of_the_right_length_is_no_event() {
    let members = json!(["1.0", "1", "/s", "t", null, null, null, null, null, null, null, null, null, null]);
    let members = members.as_array().unwrap();
    for length in 0..=members.len() {
        let body = json!(members[..length]).to_string();
        check_refused(structured(body.as_bytes()), "");
    }
}

#[test]
fn other_formats_and_batches_are_unsupported() {
    let formats = ["application/cloudevents", "application/cloudevents+xml", "application/cloudevents+jsonx"];
    for format in formats.iter().chain(&["application/cloudevents-batch+json", "Application/CloudEvents+Avro; x=1"]) {
        let media_type = format.split(';').next().unwrap().to_ascii_lowercase();
        check_unsupported(read(&headers(&[("content-type", format)], &BINARY), b"[]"), &media_type);
    }
}

#[test]
fn a_content_encoding_is_unsupported_and_named() {
    for encoding in ["gzip", "br", "GZIP, identity"] {
        check_unsupported(binary(&[JSON, ("content-encoding", encoding)], b"\x1f\x8b"), encoding);
    }
    check_unsupported(binary(&[("content-encoding", "identity"), ("content-encoding", "zstd")], b""), "zstd");
    for none in ["", "identity", "Identity"] {
        check_json(binary(&[JSON, ("content-encoding", none)], b"{}"), "{}");
    }
}

#[test]
fn compressed_bytes_are_told_without_the_header_too() {
    assert_eq!(binary(&[JSON], b"\x1f\x8b\x08").unwrap().data, Data::Compressed);
    check_refused(structured(b"\x1f\x8b\x08"), "compressed with gzip");
}

#[test]
fn a_byte_order_mark_is_skipped() {
    let body = ["\u{feff}", &envelope(r#","data":{}"#)].concat();
    check_json(structured(body.as_bytes()), "{}");
    // In binary mode it is part of the data, and skipped by its reader.
    check_json(binary(&[JSON], b"\xef\xbb\xbf{}"), "\u{feff}{}");
}

// Identity.

#[test]
fn header_values_are_unquoted_and_decoded_once() {
    let rows: [(&[u8], &str); 12] = [
        (b"plain", "plain"),
        (b"Euro%20%E2%82%AC", "Euro \u{20ac}"),
        (b"100%", "100%"),
        (b"%zz%4", "%zz%4"),
        (b"%2541", "%41"),
        (b"\"a \\\"b\\\" %41\"", "a \"b\" A"),
        (b"\"", "\""),
        (b"\"a\\\"", "\"a\\\""),
        (b"  padded ", "padded"),
        ("Grüße".as_bytes(), "Grüße"),
        // A value whose decoding is not UTF-8 was not encoded.
        (b"50%ff", "50%ff"),
        (b"\"50%ff\"", "\"50%ff\""),
    ];
    for (value, expected) in rows {
        let event = read(&headers(&BINARY, &[("ce-correlationid", value)]), b"").unwrap();
        assert_eq!(event.context.correlation_id.as_deref(), Some(expected));
    }
    check_refused(read(&headers(&BINARY, &[("ce-correlationid", b"\xFF")]), b""), "ce-correlationid is not UTF-8");
}

/// Knative's header shows that the value came through the Go SDK, which neither encodes nor decodes.
#[test]
fn a_delivery_by_knative_is_taken_verbatim() {
    let id = |id: &str, more: &[(&str, &str)]| {
        let event = read(&headers(&[BINARY[0], BINARY[2], BINARY[3], ("ce-id", id)], more), b"");
        event.unwrap().context.id
    };
    // The Broker for Apache Kafka and a Channel's Subscription mark it by the second alone.
    for by_knative in [("ce-knativearrivaltime", "2026-01-01T00:00:00Z"), ("kn-namespace", "client-system")] {
        for value in ["a%20b", "a b", "100%25", "100%", "50%ff", "\"quoted\"", "/orders/a%2Fb", "ü"] {
            assert_eq!(id(value, &[by_knative]), value);
        }
    }
    assert_eq!([id("a%20b", &[]), id("100%25", &[]), id("50%ff", &[])], ["a b", "100%", "50%ff"]);
}

#[test]
fn an_event_has_one_identity_in_both_modes_of_knative() {
    let knative = [BINARY[0], BINARY[1], BINARY[3], ("ce-knativearrivaltime", "x")];
    let delivered = read(&headers(&knative, &[("ce-source", "/orders/a%2Fb")]), b"").unwrap();
    let sent = envelope_with("source", &json!("/orders/a%2Fb"));
    assert_eq!(structured(&sent).unwrap().context, delivered.context);
}

#[test]
fn a_header_that_is_used_stands_once() {
    for name in ["ce-correlationid", "ce-expirytime", "ce-knativeerrorcode", "content-type"] {
        check_refused(binary(&[(name, "a"), (name, "b")], b""), &format!("{name} is there more than once"));
    }
    check_refused(binary(&[("ce-id", "1")], b""), "ce-id is there more than once");
}

#[test]
fn a_member_that_is_used_stands_once() {
    let used = ["specversion", "id", "source", "type", "datacontenttype", "data", "data_base64", "correlationid"];
    for member in
        used.iter().chain(&["traceparent", "tracestate", "expirytime", "knativeerrorcode", "knativeerrordata"])
    {
        let mut members = format!(r#","{member}":"1.0""#);
        if !envelope("").contains(&format!(r#""{member}":"#)) {
            members = members.repeat(2);
        }
        check_refused(structured(envelope(&members).as_bytes()), "duplicate field");
        // An escaped name is the same name.
        let first = member.as_bytes()[0];
        let escaped = members.replacen(&format!(r#""{member}""#), &format!(r#""\u{first:04x}{}""#, &member[1..]), 1);
        check_refused(structured(envelope(&escaped).as_bytes()), "duplicate field");
    }
}

// What is not used is not judged.

#[test]
fn what_is_not_used_costs_nobody_an_event() {
    let times = ["2023-01-19T22:30:24.860213GMT", "2023-01-19T22:30:24+0000", "2023-01-19T22:30:24", "yesterday", ""];
    let zoned = "2023-01-19T22:30:24+11:00[Australia/Sydney]";
    for time in times.into_iter().chain([zoned]) {
        binary(&[("ce-time", time)], b"").unwrap();
        structured(&envelope_with("time", &json!(time))).unwrap();
    }
    for (name, value) in [
        ("ce-time", &b"\xff"[..]),
        ("ce-subject", b"%ff"),
        ("ce-dataschema", b"no uri"),
        ("ce-datacontenttype", b"application/json"),
        ("ce-not_a_name", b"\xff"),
        ("ce-", b"x"),
    ] {
        let event = read(&headers(&BINARY, &[(name, value), (name, value), (JSON.0, JSON.1.as_bytes())]), b"{}");
        check_json(event, "{}");
    }
}

#[test]
fn every_other_member_is_skipped_whatever_it_holds() {
    let values = [
        "null",
        "true",
        "-1.5e3",
        "\"text\"",
        "\"\\ud800\"",
        "\"\\udc00 \\ud800x\"",
        "[]",
        "{}",
        "[1,[2,{\"id\":\"9\"}]]",
        "{\"data\":1,\"data\":2}",
        "1e999999",
        "123456789012345678901234567890",
    ];
    for member in ["time", "subject", "dataschema", "schemaurl", "datacontentencoding2", "Id", "not a name", "", "\\n"]
    {
        for value in values {
            // Given twice, which only matters for what is used.
            let body = envelope(&format!(r#","{member}":{value},"{member}":{value},"data":{{}}"#));
            let event = structured(body.as_bytes()).unwrap_or_else(|error| panic!("{body}: {error}"));
            assert_eq!(event.context.id, "1", "{body}");
            check_json(Ok(event), "{}");
        }
    }
    let mut broken = envelope(r#","subject":"?""#).into_bytes();
    let at = broken.len() - 3;
    broken[at] = b'\xff';
    structured(&broken).expect("bytes that are no text are skipped as well");
}

#[test]
fn what_is_nested_deeply_is_skipped_and_not_built() {
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(200_000), close.repeat(200_000));
    for deep in [deep("[", "]"), deep(r#"{"":"#, "}")] {
        structured(envelope(&format!(r#","subject":{deep}"#)).as_bytes()).unwrap();
        check_json(structured(envelope(&format!(r#","data":{deep}"#)).as_bytes()), &deep);
    }
}

#[test]
fn null_members_and_empty_extensions_are_not_set() {
    let members = ["datacontenttype", "data", "data_base64", "correlationid", "traceparent", "expirytime"];
    for value in ["null", "\"\""] {
        let list = members.map(|member| format!(r#","{member}":{value}"#));
        let unset = if value == "null" { &list[..] } else { &list[3..] };
        let body = envelope(&unset.concat());
        let event = structured(body.as_bytes()).unwrap();
        assert_eq!((event.data, event.context.expirytime), (Data::Absent, None));
        assert_eq!((event.context.correlation_id, event.context.traceparent), (None, None));
    }
    let event = binary(&[("ce-correlationid", ""), ("ce-expirytime", " ")], b"").unwrap();
    assert_eq!((event.context.correlation_id, event.context.expirytime), (None, None));
}

#[test]
fn extensions_of_any_type_are_texts() {
    for (value, expected) in
        [("7", "7"), ("1.50", "1.50"), ("true", "true"), ("{\"c\": 1}", "{\"c\": 1}"), ("\"\\u0041\"", "A")]
    {
        let body = envelope(&format!(r#","correlationid":{value},"knativeerrorcode":{value}"#));
        let event = structured(body.as_bytes()).unwrap();
        assert_eq!(event.context.correlation_id.as_deref(), Some(expected));
        assert_eq!(event.context.knativeerrorcode.as_deref(), Some(expected));
    }
}

#[test]
fn what_is_used_comes_through_in_both_modes() {
    let names = ["correlationid", "traceparent", "tracestate", "expirytime", "knativeerrorcode", "knativeerrordata"];
    let prefixed = names.map(|name| format!("ce-{name}"));
    let as_headers: Vec<_> = prefixed.iter().zip(names).map(|(header, name)| (header.as_str(), name)).collect();
    let body = envelope(&names.map(|name| format!(r#","{name}":"{name}""#)).concat());
    for event in [binary(&as_headers, b"").unwrap(), structured(body.as_bytes()).unwrap()] {
        let context = event.context;
        let read = [
            context.correlation_id,
            context.traceparent,
            context.tracestate,
            context.expirytime,
            context.knativeerrorcode,
            context.knativeerrordata,
        ];
        assert_eq!(read.map(Option::unwrap), names);
    }
}

// Data.

#[test]
fn data_is_json_where_its_content_type_says_so_or_nothing() {
    for content_type in ["application/vnd.x+json; charset=utf-8", "Application/JSON", "text/json", "model/json"] {
        check_json(binary(&[("content-type", content_type)], b"{}"), "{}");
    }
    check_json(binary(&[], b"{}"), "{}");
    for content_type in ["application/jsonx", "text/plain; charset=utf-8", "json"] {
        let data = binary(&[("content-type", content_type)], b"{}").unwrap().data;
        assert_eq!(data, Data::Other(content_type.to_owned()));
    }
    assert_eq!(binary(&[JSON], b"").unwrap().data, Data::Absent);
}

#[test]
fn a_member_of_data_is_json_and_one_of_base64_is_bytes() {
    let data = |more: &str| structured(envelope(more).as_bytes()).map(|event| format!("{:?}", event.data));
    let json = format!("{:?}", Data::Json(b"{}".into()));
    assert_eq!(data(r#","data":{}"#).unwrap(), json);
    // A JSON value stays JSON, whatever its content type.
    assert_eq!(data(r#","data":{},"datacontenttype":"text/plain""#).unwrap(), json);
    assert_eq!(data(r#","data":"{}","datacontenttype":"text/plain""#).unwrap(), r#"Other("text/plain")"#);
    assert_eq!(data(r#","data_base64":"e30=""#).unwrap(), r#"Other("application/octet-stream")"#);
    assert_eq!(data(r#","data_base64":"e30=","datacontenttype":"application/json""#).unwrap(), json);
    assert_eq!(data(r#","data_base64":"\u00653\u0030=","datacontenttype":"text/json""#).unwrap(), json);
    assert_eq!(data(r#","data_base64":"H4sI","datacontenttype":"application/json""#).unwrap(), "Compressed");
    for broken in ["\"?\"", "7", "{}", "\"e30\""] {
        let result = data(&format!(r#","data_base64":{broken}"#));
        assert!(result.unwrap_err().to_string().contains("data_base64 is not a base64 string"), "{broken}");
    }
    let both = data(r#","data":1,"data_base64":"e30=""#);
    assert!(both.unwrap_err().to_string().contains("both data and data_base64"));
}

#[test]
fn the_older_version_says_by_an_encoding_what_the_newer_says_by_a_member() {
    let body = envelope(r#","data":"e30=","datacontentencoding":"Base64""#);
    check_json(structured(body.replace("1.0", "0.3").as_bytes()), "{}");
    check_json(structured(body.as_bytes()), "\"e30=\"");
    check_json(structured(envelope(r#","data":{},"datacontentencoding":7"#).as_bytes()), "{}");
    read(&headers(&[("ce-specversion", "0.3")], &BINARY[1..]), b"").unwrap();
}

// Writing.

fn event(change: impl FnOnce(EventBuilderV10) -> EventBuilderV10) -> Event {
    let event = EventBuilderV10::new().id("1").ty("t").source("/s").time("2026-01-01T00:00:00Z");
    change(event.data("application/json", json!({"ä": 1}))).build().unwrap()
}

#[test]
fn a_plain_event_is_written_in_the_mode_that_is_asked_for() {
    let event = event(|event| event.subject("a/b").extension("causationid", "!#~"));
    let (written, body) = write(&event, Mode::Binary);
    let expected = [
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-type", "t"),
        ("ce-source", "/s"),
        ("ce-subject", "a/b"),
        ("ce-time", "2026-01-01T00:00:00Z"),
        ("ce-causationid", "!#~"),
        ("content-type", "application/json"),
    ];
    assert_eq!(written, headers::<&str>(&expected, &[]));
    assert_eq!(body, r#"{"ä":1}"#.as_bytes());

    let (written, body) = write(&event, Mode::Structured);
    assert_eq!(written, headers::<&str>(&[("content-type", STRUCTURED_JSON)], &[]));
    let expected = json!({
        "specversion": "1.0", "id": "1", "type": "t", "source": "/s", "subject": "a/b", "time": "2026-01-01T00:00:00Z",
        "causationid": "!#~", "datacontenttype": "application/json", "data": {"ä": 1},
    });
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), expected);
}

/// The Go SDK decodes nothing, so its users would read an encoded value as another one.
#[test]
fn what_a_header_cannot_hold_as_it_is_makes_an_event_structured() {
    let longest = "x".repeat(8 << 10);
    let is_binary = |value: &str| {
        let event = event(|event| event.extension("causationid", value));
        let (written, body) = write(&event, Mode::Binary);
        let read = read(&written, &body).expect("what is written can be read");
        assert_eq!(read.context.id, "1");
        if read.mode == Mode::Structured {
            assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["causationid"], value);
        }
        read.mode == Mode::Binary
    };
    assert!(is_binary("plain") && is_binary(&longest));
    for value in ["a b", " ", "\"a\"", "100%", "a%20b", "ü", "\u{20ac}", "a\nb", "\u{7f}", &format!("{longest}x")] {
        assert!(!is_binary(value), "{value:?}");
    }
}

#[test]
fn any_attribute_can_make_an_event_structured() {
    let rows: [fn(EventBuilderV10) -> EventBuilderV10; 4] = [
        |event| event.id("a b"),
        |event| event.ty("a b"),
        |event| event.source("/stra\u{df}e"),
        |event| event.subject("a b"),
    ];
    for change in rows {
        assert_eq!(write(&event(change), Mode::Binary).0["content-type"], STRUCTURED_JSON);
    }
}

#[test]
fn what_is_written_verbatim_is_never_encoded() {
    let verbatim = |value: &str| write_verbatim(&event(|event| event.extension("causationid", value)));
    for value in ["a b", "100%", "a%20b", "\u{20ac}", "\"a\""] {
        assert_eq!(verbatim(value).unwrap().0["ce-causationid"].as_bytes(), value.as_bytes());
    }
    assert!(verbatim("a\nb").is_none());
}

#[test]
fn a_content_type_is_written_as_it_is() {
    let event = event(|event| event.data("application/json; charset=utf-8", json!({})));
    assert_eq!(write(&event, Mode::Binary).0["content-type"], "application/json; charset=utf-8");
}

#[test]
fn attributes_have_lower_case_names() {
    assert!(is_attribute_name("a1") && is_attribute_name("1"));
    for name in ["", "A", "a-b", "a_b", "\u{e4}"] {
        assert!(!is_attribute_name(name), "{name:?}");
    }
}

#[test]
fn an_empty_content_type_is_not_set() {
    check_json(binary(&[("content-type", "")], b"{\"a\":1}"), r#"{"a":1}"#);
    let body = envelope(r#","datacontenttype":"","data":"x""#);
    check_json(structured(body.as_bytes()), r#""x""#);
}
