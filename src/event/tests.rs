use super::*;
use crate::testing::{config, context, merged, now, routed, wanted};
use serde_json::json;

fn read(json: &str) -> Result<String, Failure> {
    requested_gateway(&Data::Json(json.as_bytes().into()))
}

#[track_caller]
fn check_invalid(data: &Data, expected: &str) {
    let failure = requested_gateway(data).unwrap_err();
    assert_eq!(failure.reason, Reason::InvalidEventData);
    let (problem, advice) = failure.message.split_once(": send ").expect("it says what to send");
    assert_eq!((problem, advice), (expected, r#"JSON such as {"gateway_name": "foo"} as application/json"#));
}

#[track_caller]
fn check_invalid_json(json: &str, expected: &str) {
    check_invalid(&Data::Json(json.as_bytes().into()), expected);
}

#[test]
fn a_pending_event_names_its_gateway_and_the_rest_is_ignored() {
    let deep = "[".repeat(200_000) + &"]".repeat(200_000);
    for json in [
        r#"{"gateway_name": "foo", "message": "hello", "more": 1}"#,
        r#" {"\u0067ateway_name": "f\u006fo"} "#,
        "\u{feff}{\"gateway_name\": \"foo\"}",
        r#"{"x": 1, "x": "\ud800", "gateway_name": "foo", "Gateway_name": null}"#,
        &format!(r#"{{"x": {deep}, "gateway_name": "foo"}}"#),
    ] {
        assert_eq!(read(json).as_deref(), Ok("foo"));
    }
    let no_text = b"{\"x\": \"\xff\", \"gateway_name\": \"foo\"}";
    assert_eq!(requested_gateway(&Data::Json(no_text.into())).as_deref(), Ok("foo"));
}

#[test]
fn data_that_names_no_gateway_says_what_stands_there_instead() {
    check_invalid(&Data::Absent, "the event has no data");
    check_invalid(&Data::Other("text/plain".into()), "the event's data is text/plain and not JSON");
    check_invalid(&Data::Compressed, "the event's data is compressed with gzip");
    check_invalid_json("{}", "the event's data has no gateway_name");
    check_invalid_json(r#"{"gateway_name": null}"#, "gateway_name is null");
    for value in ["7", "true", "[\"foo\"]", "{}", r#""\ud800""#] {
        check_invalid_json(&format!(r#"{{"gateway_name": {value}}}"#), "gateway_name is not a string");
    }
    for list in ["[]", r#" ["foo"]"#, r#"[{"gateway_name": "foo"}]"#] {
        check_invalid_json(list, "the event's data is a list and not an object");
    }
    for other in ["7", "true", "null"] {
        let message = read(other).unwrap_err().message;
        assert!(message.starts_with("the event's data can't be read (invalid type: "), "{message}");
        assert!(message.contains(", expected an object at line 1 "), "{message}");
    }
}

/// Several bindings and tools encode twice, for example dapr.
#[test]
fn data_that_was_encoded_twice_is_told_from_any_string() {
    let once = serde_json::to_string(r#" {"gateway_name": "foo"}"#).unwrap();
    for encoded in [serde_json::to_string(&once).unwrap(), format!("\u{feff}{once}"), once] {
        check_invalid_json(&encoded, "the event's data is a string that holds JSON, so it was encoded twice");
    }
    check_invalid_json("\"foo\"", "the event's data is a string and not an object");
}

#[test]
fn data_that_cannot_be_read_says_where() {
    for json in ["", "{", "gateway_name=foo", r#"{"gateway_name": "foo"} x"#] {
        let message = read(json).unwrap_err().message;
        assert!(message.starts_with("the event's data is not JSON (") && message.contains(" at line 1 "), "{message}");
    }
    let twice = read(r#"{"gateway_name": "foo", "gateway_name": "bar"}"#).unwrap_err().message;
    assert!(twice.starts_with("the event's data can't be read (duplicate field `gateway_name`"), "{twice}");
}

#[track_caller]
fn check_refused(gateway: &str, changes: &[(&str, &str)], reason: Reason, expected: &str) {
    let failure = Pending::new(&context("/test", "1"), gateway, &config(changes)).unwrap_err();
    assert_eq!(failure.reason, reason);
    assert!(failure.message.contains(expected), "{}", failure.message);
}

#[test]
fn a_client_may_be_had_of_an_allowed_gateway() {
    let context = context("/test", "1");
    let pending = Pending::new(&context, "foo", &config(&[("gateways", "bar, foo")])).unwrap();
    assert_eq!((pending.context, pending.gateway, pending.pod_name), (&context, "foo", context.pod_name()));
    check_refused(
        "baz",
        &[("gateways", "foo, bar")],
        Reason::GatewayNotAllowed,
        "baz is not allowed here: ask for one of foo, bar",
    );
}

#[test]
fn a_name_that_is_no_label_value_is_an_invalid_gateway_name() {
    for name in ["", "a/b", " foo", "-a", "ü", &"a".repeat(64)] {
        check_refused(name, &[], Reason::InvalidGatewayName, "use 1 to 63 of A-Z, a-z, 0-9, '.', '_' and '-'");
    }
}

#[test]
fn a_gateway_name_is_repeated_up_to_a_length() {
    assert_eq!(repeated("no label value"), Some("no label value"));
    assert!(repeated(&"x".repeat(1_024)).is_some() && repeated(&"x".repeat(1_025)).is_none());
}

#[test]
fn an_expiry_time_is_a_timestamp_and_passes() {
    let is_expired = |time: &str| is_expired(&Context { expirytime: Some(time.into()), ..Context::default() }, now());
    for (time, expected) in [
        ("2026-02-02T02:02:01Z", true),
        ("2026-02-02T03:02:01+01:00", true),
        ("2026-02-02T02:02:02Z", false),
        ("2026-02-02T02:02:02.5Z", false),
    ] {
        assert_eq!(is_expired(time), Ok(expected), "{time}");
    }
    for broken in ["tomorrow", "2026-02-02", "2026-02-02T02:02:02"] {
        let failure = is_expired(broken).unwrap_err();
        assert_eq!(failure.reason, Reason::InvalidEventData);
        assert!(failure.message.contains("expirytime is not a timestamp: use RFC 3339"), "{}", failure.message);
    }
    assert_eq!(super::is_expired(&Context::default(), now()), Ok(false));
    assert_eq!(expired().reason, Reason::EventExpired);
}

#[test]
fn a_dead_letter_says_why_the_broker_gave_up() {
    let message = |code: &str, data: &str| {
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let (knativeerrorcode, knativeerrordata) = (given(code), given(data));
        let failure = undeliverable(&Context { knativeerrorcode, knativeerrordata, ..Context::default() });
        assert_eq!(failure.reason, Reason::Undeliverable);
        failure.message
    };
    let expected = |how: &str| format!("the broker gave up on the event{how}; it has no Pod: send a new event");
    // Only Knative says how the last delivery ended.
    assert_eq!(message("", ""), expected(""));
    let expected = |how: &str| expected(&format!(": its last delivery ended{how}"));
    assert_eq!(message("503", "bm8="), expected(" with 503: no"));
    assert_eq!(message("", "no base64"), expected(": no base64"));
    // Bytes that are not text, and a text that is too long.
    assert_eq!(message("500", "/w=="), expected(" with 500: \u{fffd}"));
    assert_eq!(message("", &"!".repeat(1_000)), expected(&format!(": {}", "!".repeat(512))));
}

#[test]
fn a_termination_names_the_pending_event_as_every_answer_does() {
    let read = |json: &str| pending_event(&Data::Json(json.as_bytes().into()));
    for json in [
        r#"{"pending_event": {"source": "/test", "id": "1"}}"#,
        "\u{feff} {\"message\": \"done\", \"pending_event\": {\"id\": \"1\", \"source\": \"/test\", \"more\": 1}, \"x\": []}",
    ] {
        assert_eq!(read(json), Ok(context("/test", "1")));
    }
    for (json, expected) in [
        ("{}", "the event's data can't be read (missing field `pending_event`"),
        (r#"{"pending_event": null}"#, "pending_event can't be read (invalid type: null, expected an object"),
        (r#"{"pending_event": "1"}"#, "pending_event is a string and not an object"),
        (
            r#"{"pending_event": "{\"source\": \"/test\"}"}"#,
            "pending_event is a string that holds JSON, so it was encoded",
        ),
        (r#"{"pending_event": ["/test", "1"]}"#, "pending_event is a list and not an object"),
        (r#"{"pending_event": {"source": "/test"}}"#, "pending_event can't be read (missing field `id`"),
        (
            r#"{"pending_event": {"source": "/test", "id": 1}}"#,
            "pending_event can't be read (invalid type: integer `1`",
        ),
        (r#"[{"source": "/test", "id": "1"}]"#, "the event's data is a list and not an object"),
        (r#""{\"pending_event\": {}}""#, "the event's data is a string that holds JSON, so it was encoded twice"),
        ("7", "the event's data can't be read (invalid type: integer `7`, expected an object"),
        ("", "the event's data is not JSON (EOF while parsing"),
    ] {
        let failure = read(json).unwrap_err();
        assert_eq!(failure.reason, Reason::InvalidEventData);
        assert!(failure.message.starts_with(expected), "{}", failure.message);
        assert!(
            failure
                .message
                .ends_with(r#"send JSON such as {"pending_event": {"source": "/me", "id": "1"}} as application/json"#)
        );
    }
    let failure = pending_event(&Data::Absent).unwrap_err();
    assert!(failure.message.starts_with("the event has no data: send JSON"), "{}", failure.message);
}

#[test]
fn what_a_source_says_of_a_pod_is_read_and_nothing_else_is() {
    let pod = routed(wanted(&[]));
    let read = observed(&Data::Json(pod.to_string().as_bytes().into())).unwrap();
    assert_eq!((read.metadata.context(), read.is_gated()), (Some(context("/test", "1")), true));
    let nobody = merged(pod, &json!({"metadata": {"uid": ""}})).to_string();
    for json in ["{}", &nobody] {
        assert!(observed(&Data::Json(json.as_bytes().into())).is_none());
    }
    for data in [Data::Absent, Data::Compressed, Data::Other("text/plain".into())] {
        assert!(observed(&data).is_none());
    }
}

#[test]
fn an_event_that_the_broker_has_forgotten_may_be_sent_anew() {
    assert_eq!(forgotten().reason, Reason::Undeliverable);
    assert!(forgotten().message.ends_with("it has no Pod: send a new event"));
}
