//! An HTTP request becomes an event, or is refused.

use http::{HeaderMap, HeaderName, HeaderValue, Request};
use provisioner::cloudevents::read;

use super::first_line;
use crate::{answers, vectors};

/// Lines of `name: value`, an empty line, and the body: as in HTTP, but for the request line. No call gets an answer.
pub fn http_to_event(data: &[u8]) {
    let (headers, body) = parse(data);
    if let Ok(event) = read(&headers, body) {
        assert!(vectors::attributes(&event)[..3].iter().all(|(_, text)| text.is_some_and(|text| !text.is_empty())));
    }
    let mut request = Request::post("/").body(body.to_vec()).expect("the path is one");
    *request.headers_mut() = headers;
    answers::check(request, &[], Vec::new());
}

fn parse(mut data: &[u8]) -> (HeaderMap, &[u8]) {
    let mut headers = HeaderMap::new();
    while !data.is_empty() {
        let (line, rest) = first_line(data);
        data = rest;
        if line.is_empty() {
            break;
        }
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii())) {
            headers.append(name, value);
        }
    }
    (headers, data)
}
