use super::*;
use serde_json::{Value, json};

#[test]
fn a_response_has_its_length() {
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("text/plain"))]);
    let response = respond(StatusCode::OK, (headers, b"four".to_vec()));
    assert_eq!((response.status(), &response.headers()[CONTENT_LENGTH]), (StatusCode::OK, &HeaderValue::from(4)));
    assert_eq!(response.headers()[CONTENT_TYPE], "text/plain");
    let response = empty(StatusCode::ACCEPTED);
    assert_eq!((response.body().len(), &response.headers()[CONTENT_LENGTH]), (0, &HeaderValue::from(0)));
}

#[test]
fn a_retry_passes_the_wait_on() {
    let wait = Retry { retry_after: Some(7), ..Retry::because("x") };
    for (cause, status, after) in [
        (Retry::because("x"), 503, None),
        (wait.clone(), 503, Some("7")),
        (Retry { too_many_requests: true, ..wait }, 429, Some("7")),
        (Retry { too_many_requests: true, ..Retry::because("x") }, 429, None),
    ] {
        let response = retry(&cause);
        assert_eq!((response.status().as_u16(), response.body().len()), (status, 0));
        assert_eq!(response.headers().get(RETRY_AFTER).map(|value| value.to_str().unwrap()), after);
    }
}

#[test]
fn a_problem_is_a_problem_document() {
    let response = problem(StatusCode::BAD_REQUEST, "do this");
    assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    let body: Value = serde_json::from_slice(response.body()).unwrap();
    let expected = json!({"type": "about:blank", "title": "Bad Request", "status": 400, "detail": "do this"});
    assert_eq!(body, expected);
}
