//! Tokens of senders, and ours for the sink.

use super::*;

const REVIEW: &str = "POST /apis/authentication.k8s.io/v1/tokenreviews";
const REVIEWED: [(&str, &str); 2] = [("sender_audience", "us"), ("sender_subjects", "trigger")];
const WANTED: &str = "send a token for the audience us, as in Authorization: Bearer TOKEN";

/// The token of a sender, as long as a real one.
fn senders() -> String {
    format!("eyJhbGciOiJSUzI1NiJ9.{}.c2VuZGVy", "eyJzZW5kZXIiOiJ4In0".repeat(60))
}

fn by(user: &str, audience: &str) -> (&'static str, Answer) {
    let status = json!({"authenticated": true, "user": {"username": user}, "audiences": [audience]});
    (REVIEW, object(201, &json!({"kind": "TokenReview", "spec": {"token": senders()}, "status": status})))
}

/// An event with the sender's token, at both routes.
fn sent(ty: &str, script: &[(&'static str, Answer)]) -> impl Iterator<Item = Case> {
    let cases = ["/", "/dead-letter"].map(|path| {
        let case = Case::event(ty, "{}").with("authorization", &format!("Bearer {}", senders()));
        Case { path, ..case }.configured(&REVIEWED).scripted(script.to_vec())
    });
    cases.into_iter()
}

#[test]
fn who_is_not_let_in_is_told_what_is_wanted_whatever_it_sent() {
    let nobody =
        (REVIEW, object(201, &json!({"kind": "TokenReview", "status": {"authenticated": false, "error": senders()}})));
    for ty in [PENDING, "other", "dev.knative.sources.ping"] {
        for case in sent(ty, std::slice::from_ref(&nobody)).chain(sent(ty, &[by("trigger", "others")])) {
            let ended = check_problem(case, 401, Kind::Rejected, WANTED);
            assert_eq!(ended.header("www-authenticate"), "Bearer");
            assert!(!ended.everything().replace(&senders(), "").contains("eyJzZW5kZXIi"));
        }
        for case in sent(ty, &[by("somebody", "us")]) {
            check_problem(case, 403, Kind::Rejected, "only trigger may deliver here");
        }
    }
    let without = Case::pending().configured(&REVIEWED);
    assert_eq!(check_problem(without, 401, Kind::Rejected, WANTED).requests.len(), 0);
    // Before the event is read.
    check_problem(Case::pending().with("ce-id", "").configured(&REVIEWED), 401, Kind::Rejected, WANTED);
}

/// Knative doesn't try again after a 401.
#[test]
fn a_review_that_cannot_be_had_is_tried_again() {
    for (answer, wait) in
        [(cut(), ""), (status(403, "Forbidden", &senders()), ""), (api_answer(500, ""), ""), (busy(), "7")]
    {
        for case in sent(PENDING, &[(REVIEW, answer)]) {
            let ended = case.end();
            assert_eq!(ended.header("retry-after"), wait);
            assert_eq!(
                (ended.answered.response.status(), ended.log().outcome),
                (StatusCode::SERVICE_UNAVAILABLE, Kind::Retry)
            );
            assert!(ended.body().contains("the sender's token can't be reviewed: "), "{}", ended.body());
            assert!(
                !ended.body().contains(&senders()) && !ended.log().line(now(), Duration::ZERO).contains(&senders())
            );
        }
    }
    for broken in [vec![("sender_audience", "a b")], vec![REVIEWED[0], ("client_image", "")]] {
        assert_eq!(Case::event("other", "").configured(&broken).end().answered.response.status(), 503, "{broken:?}");
    }
    let case = sent(PENDING, &[]).next().unwrap().without_token();
    check_problem(case, 503, Kind::Retry, "the token file can't be read");
}

#[test]
fn who_is_let_in_is_served_for_one_call_more() {
    let script = [
        by("trigger", "us"),
        ("POST /namespaces/default/pods", object(201, &routed(wanted(&[])))),
        ("PATCH", object(200, &released(routed(wanted(&[]))))),
    ];
    let case = sent(PENDING, &script).next().unwrap().with_body(r#"{"gateway_name":"foo"}"#);
    let ended = check(case, 200, Some(Kind::Done));
    check_event(&ended, reply::DONE);
    assert_eq!(ended.log().api_calls, 3);
    assert_eq!(ended.requests[0].headers()["authorization"], format!("Bearer {}", token()));
    let review: Value = serde_json::from_slice(ended.requests[0].body()).unwrap();
    assert_eq!(review["spec"], json!({"token": senders(), "audiences": ["us"]}));
    for case in sent("other", &[by("trigger", "us")]) {
        assert_eq!(check(case, 202, Some(Kind::Ignored)).log().api_calls, 1);
    }
}

#[test]
fn the_senders_token_leaves_in_no_answer() {
    let refused = status(422, "Invalid", &format!("a webhook quotes {} and more", senders()));
    let script = [by("trigger", "us"), ("POST", refused), ("GET", status(404, "NotFound", ""))];
    let case = sent(PENDING, &script).next().unwrap().with_body(r#"{"gateway_name":"foo"}"#);
    let ended = check(case, 200, Some(Kind::Failed));
    assert!(ended.body().contains("[redacted]") && !ended.body().contains("eyJzZW5kZXIi"), "{}", ended.body());
    assert!(!ended.log().line(now(), Duration::ZERO).contains("eyJzZW5kZXIi"));
}

#[test]
fn a_sink_gets_the_token_that_is_mounted_for_it_and_none_where_there_is_none() {
    let failed = || Case::event(PENDING, "{}").configured(&SINK);
    let sent = |sink_token| {
        let case = Case { sink_token, ..failed() }.scripted(vec![("POST /default", api_answer(202, ""))]);
        check(case, 202, Some(Kind::Failed)).requests.remove(0)
    };
    let with = sent(Ok(Some("for.the.sink\n".to_owned())));
    assert_eq!(with.headers()["authorization"], "Bearer for.the.sink");
    assert!(with.headers()["authorization"].is_sensitive());
    assert!(!sent(Ok(None)).headers().contains_key("authorization"));
    // A token that is missing now may be there later.
    for (sink_token, expected) in [
        (Err("the token file /oidc/token can't be read".to_owned()), "the token file /oidc/token can't be read"),
        (Ok(Some("a\nb".to_owned())), "for the sink, the token file holds more than a token"),
    ] {
        let ended = check(Case { sink_token, ..failed() }, 503, Some(Kind::Retry));
        assert_eq!(ended.log().message.as_deref(), Some(expected));
    }
    // A sink that doesn't accept the token yet.
    let refused = failed().scripted(vec![("POST /default", api_answer(401, ""))]);
    check(Case { sink_token: Ok(Some("old".to_owned())), ..refused }, 503, Some(Kind::Retry));
}
