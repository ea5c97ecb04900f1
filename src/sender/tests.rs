use http::HeaderValue;
use serde_json::{Value, json};

use super::*;
use crate::kubernetes::{Api, Token};
use crate::outbound::Answer;
use crate::testing::{Script, answer, config, cut, object, run, status};

const AUDIENCE: &str = "provisioner";
const TRIGGER: &str = "system:serviceaccount:client-system:trigger";
const REVIEW: &str = "POST /apis/authentication.k8s.io/v1/tokenreviews";

fn headers(authorization: &str) -> HeaderMap {
    HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(authorization).unwrap())])
}

/// An API server's answer with this status.
fn answered(status: Value) -> Value {
    json!({
        "kind": "TokenReview",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {},
        "spec": {"token": "of the sender", "audiences": [AUDIENCE]},
        "status": status,
    })
}

/// What it says of a token of this user for these audiences.
fn reviewed(user: &str, audiences: &[&str]) -> Value {
    answered(json!({"authenticated": true, "user": {"username": user, "uid": "u"}, "audiences": audiences}))
}

fn admitted(subjects: &str, token: Option<&str>, calls: Vec<(&'static str, Answer)>) -> Result<(), Refused> {
    let config = config(&[("sender_audience", AUDIENCE), ("sender_subjects", subjects)]);
    let own = Token::bearer("own").ok().unwrap();
    let script = Script::new(calls);
    let cluster = Cluster { config: &config, api: Api::new(&config, &own, HeaderMap::new()), outbound: &script };
    run(admit(token, &cluster))
}

fn review(subjects: &str, answer: Answer) -> Result<(), Refused> {
    admitted(subjects, Some("of the sender"), vec![(REVIEW, answer)])
}

#[test]
fn a_bearer_token_is_read_in_any_case_of_its_scheme_and_nothing_else_is() {
    assert_eq!(token(&headers("Bearer a.b.c")), Some("a.b.c"));
    assert_eq!(token(&headers("bearer  a.b.c ")), Some("a.b.c"));
    for other in ["Basic a", "Bearer", "Bearer ", "a.b.c", "Bearer\u{e4}"] {
        assert_eq!(token(&headers(other)), None, "{other}");
    }
    assert_eq!(token(&HeaderMap::new()), None);
}

#[test]
fn nobody_is_asked_for_a_token_without_an_audience() {
    let (config, own) = (config(&[]), Token::bearer("own").ok().unwrap());
    let script = Script::new(Vec::new());
    let cluster = Cluster { config: &config, api: Api::new(&config, &own, HeaderMap::new()), outbound: &script };
    assert_eq!(run(admit(None, &cluster)), Ok(()));
}

#[test]
fn who_sends_a_token_for_us_is_let_in_and_only_they_where_there_is_a_list() {
    assert_eq!(review("", object(201, &reviewed("anybody", &[AUDIENCE]))), Ok(()));
    assert_eq!(review(TRIGGER, object(201, &reviewed(TRIGGER, &["other", AUDIENCE]))), Ok(()));
    let two = format!("a, {TRIGGER}");
    assert_eq!(review(&two, object(201, &reviewed(TRIGGER, &[AUDIENCE]))), Ok(()));
    let expected = Refused::Forbidden(format!("a, {TRIGGER}"));
    for other in ["system:serviceaccount:client-system:trigge", "", "a,", "system:anonymous"] {
        assert_eq!(review(&two, object(201, &reviewed(other, &[AUDIENCE]))), Err(expected.clone()), "{other}");
    }
    assert_eq!(expected.to_string(), format!("only a, {TRIGGER} may deliver here"));
}

#[test]
fn a_token_that_is_nobodys_or_for_another_audience_is_unknown() {
    let unknown = Err(Refused::Unknown(AUDIENCE.to_owned()));
    let text = "send a token for the audience provisioner, as in Authorization: Bearer TOKEN";
    assert_eq!(unknown.as_ref().unwrap_err().to_string(), text);
    assert_eq!(admitted(TRIGGER, None, Vec::new()), unknown, "without a call");
    let refused = answered(json!({"error": "[invalid bearer token, token has expired]", "user": {}}));
    // One that knows nothing of audiences names none, and has taken the token for one of its own.
    let unaware = answered(json!({"authenticated": true, "user": {"username": TRIGGER}}));
    for answer in [refused, unaware, reviewed(TRIGGER, &[]), reviewed(TRIGGER, &["other"]), answered(json!({}))] {
        assert_eq!(review(TRIGGER, object(201, &answer)), unknown, "{answer}");
    }
}

/// Knative doesn't retry after a 401, so a problem that can heal must not be one.
#[test]
fn a_review_that_cannot_be_had_says_nothing_of_the_token() {
    let answers = [
        cut(),
        answer(500, ""),
        status(403, "Forbidden", "tokenreviews.authentication.k8s.io is forbidden: no"),
        status(401, "Unauthorized", "no"),
        status(404, "NotFound", "no"),
        status(429, "TooManyRequests", "later"),
        answer(201, "<html>"),
        answer(200, "{}"),
        object(201, &answered(Value::Null)),
        object(201, &json!({"kind": "Status", "status": {"authenticated": true}})),
    ];
    for answer in answers {
        let refused = review(TRIGGER, answer.clone()).unwrap_err();
        assert!(matches!(refused, Refused::Unreviewed(_)), "{answer:?}: {refused:?}");
    }
}
