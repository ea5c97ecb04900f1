use super::*;

/// Long enough to be cut in the middle of its payload.
const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL2t1YmVybmV0ZXMifQ.c2lnbmF0dXJl";

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(Redactor::new([TOKEN]).text(text), expected, "of {text:?}");
}

#[test]
fn a_text_is_cut_between_characters() {
    assert_eq!((cut("ab", 1), cut("ab", 9), cut("ä", 1)), ("a", "ab", ""));
}

#[test]
fn the_token_leaves_in_no_text() {
    check("no token", "no token");
    check(&format!("a {TOKEN}, and {TOKEN}"), "a [redacted], and [redacted]");
    check(&format!("{TOKEN}{TOKEN}"), "[redacted]");
    check(&format!("{TOKEN}ä{TOKEN}"), "[redacted]ä[redacted]");
}

#[test]
fn nor_does_another_token_of_the_same_issuer() {
    // They have their header in common, which is longer than what is looked for.
    let header = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEyMzQ1Njc4OTAifQ";
    let (own, other) = (format!("{header}.b3du.c2ln"), format!("{header}.b3RoZXI.bmF0dXJl"));
    for tokens in [[own.as_str(), other.as_str()], [&other, &own]] {
        let redacted = Redactor::new(tokens);
        assert_eq!(redacted.text(&format!("{own}, \"{other}\"")), "[redacted], \"[redacted]\"");
    }
}

#[test]
fn nor_does_the_beginning_of_one_that_was_cut_off() {
    for length in [40, 41, TOKEN.len() - 1] {
        let beginning = &TOKEN[..length];
        check(beginning, "[redacted]");
        check(&format!("ä {TOKEN} ä {beginning}"), "ä [redacted] ä [redacted]");
        // A cut quotation within a longer sentence.
        check(&format!("from \"1\" to \"{beginning}\"; check"), "from \"1\" to \"[redacted]\"; check");
    }
}

#[test]
fn what_is_too_short_to_be_a_token_is_a_word() {
    // The part that all service account tokens share is not secret.
    for common in ["eyJhb", "an id eyJhbGciOiJSUzI1NiJ9.x"] {
        check(common, common);
    }
    for short in ["", "short"] {
        assert_eq!(Redactor::new([short]).text("in short"), "in short");
    }
}

#[test]
fn headers_and_bodies_are_texts_where_they_can_be() {
    let redactor = Redactor::new([TOKEN]);
    let header = |value: &str| redactor.header(&HeaderValue::from_str(value).unwrap());
    assert_eq!(header(&format!("id-{TOKEN}")), Some(HeaderValue::from_static("id-[redacted]")));
    assert_eq!(header("id-1"), None, "there is nothing to take out");
    let body = |bytes: &[u8]| redactor.bytes(bytes.to_vec());
    assert_eq!(body(format!(r#"{{"x":"{TOKEN}"}}"#).as_bytes()), br#"{"x":"[redacted]"}"#);
    assert_eq!(body(b"\xff"), b"\xff");
}
