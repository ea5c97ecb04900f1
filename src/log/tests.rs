use super::*;
use crate::testing::now;
use serde_json::{Value, json};

fn line(entry: &Entry) -> String {
    entry.line(now(), Duration::from_millis(12))
}

fn parsed(entry: &Entry) -> Value {
    let line = line(entry);
    assert!(line.ends_with("}\n") && line.matches('\n').count() == 1, "{line}");
    serde_json::from_str(&line).unwrap()
}

#[test]
fn a_line_is_one_json_object_of_what_is_known() {
    let entry = Entry {
        outcome: Kind::Failed,
        event_id: Some("a\nb".into()),
        reason: Some(Reason::PodRejected),
        status: 200,
        ..Entry::default()
    };
    let expected = json!({
        "time": "2026-02-02T02:02:02.000Z", "level": "warn", "outcome": "failed", "status": 200, "reason": "PodRejected",
        "event_id": "a\nb", "milliseconds": 12, "api_calls": 0,
    });
    assert_eq!(parsed(&entry), expected);
}

#[test]
fn a_whole_line_has_its_fields_in_the_order_in_which_they_are_read() {
    let text = |text: &str| Some(text.to_owned());
    let entry = Entry {
        outcome: Kind::Retry,
        event_source: text("/s"),
        event_id: text("1"),
        event_type: text("t"),
        gateway: text("foo"),
        pod: text("p"),
        namespace: text("n"),
        reason: Some(Reason::Forbidden),
        status: 503,
        api_calls: 2,
        trace_id: text("0af7"),
        message: text("m"),
        dead_letter: true,
        redactor: Redactor::default(),
    };
    let expected = r#"{"time":"2026-02-02T02:02:02.000Z","level":"warn","outcome":"retry","status":503,"#.to_owned()
        + r#""reason":"Forbidden","event_source":"/s","event_id":"1","event_type":"t","gateway":"foo","namespace":"n","#
        + r#""pod":"p","milliseconds":12,"api_calls":2,"trace_id":"0af7","message":"m","dead_letter":true}"#
        + "\n";
    assert_eq!(line(&entry), expected);
}

#[test]
fn what_went_well_is_information() {
    for outcome in Kind::ALL {
        let level = match outcome {
            Kind::Done | Kind::Running | Kind::Ended | Kind::Swept | Kind::Ignored => "info",
            Kind::Failed | Kind::Retry | Kind::Rejected => "warn",
        };
        let line = parsed(&Entry { outcome, ..Entry::default() });
        assert_eq!((&line["outcome"], &line["level"]), (&format!("{outcome:?}").to_lowercase().into(), &level.into()));
    }
}

/// The same text in every field that takes one.
fn filled(text: &str) -> Entry {
    let text = Some(text.to_owned());
    Entry {
        event_source: text.clone(),
        event_id: text.clone(),
        event_type: text.clone(),
        gateway: text.clone(),
        pod: text.clone(),
        namespace: text.clone(),
        trace_id: text.clone(),
        message: text,
        ..Entry::default()
    }
}

#[test]
fn a_line_stays_whole_however_long_its_texts() {
    for text in ["x", "ä", "\u{1}", "\"", "\u{1F600}"] {
        let line = line(&filled(&text.repeat(100_000)));
        assert!(line.len() > 500 && line.len() <= LONGEST_LINE, "{} bytes", line.len());
        assert!(serde_json::from_str::<Value>(&line).is_ok_and(|line| !line["message"].as_str().unwrap().is_empty()));
    }
}

/// Tokens are removed before anything is cut, because a part of a token must not be printed either.
#[test]
fn the_token_is_in_no_field_wherever_a_text_is_cut() {
    let token = "eyJhbGciOiJSUzI1NiJ9.".repeat(40);
    for before in [0, 15, 252, 1_020] {
        let text = "x".repeat(before) + &token;
        let message = Entry { message: Some(text.clone()), ..Entry::default() };
        for entry in [filled(&text), message] {
            let line = line(&Entry { redactor: Redactor::new([token.as_str()]), ..entry });
            assert!(!line.contains("eyJ") && line.len() <= LONGEST_LINE, "{line}");
        }
    }
}
