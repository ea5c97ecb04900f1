//! Who may reach the listeners of the command: the same rule at each of them. `local/src/doors.rs` has its whole list.

use http::header::{CONTENT_TYPE, HOST, ORIGIN};
use http::{HeaderValue, Method};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tests::Reply;
use tests::command::Running;
use tests::events::pending;

/// What is asked at each door, by its name on the first lines, and what is answered to those that may come in.
const DOORS: [(&str, &str, Method, u16); 4] = [
    ("page", "", Method::GET, 200),
    ("broker", "", Method::POST, 202),
    ("kubernetes", "/api/v1/namespaces/default/pods", Method::GET, 200),
    ("provisioner", "", Method::POST, 200),
];

/// Who asks: the name in the place of the door's address, the site that asks, and why it doesn't come in. A browser sends
/// a form for any site without asking.
const CALLERS: [(&str, &str, &str); 4] = [
    ("127.0.0.1:PORT", "", ""),
    ("host.docker.internal:PORT", "", ""),
    ("evil.example", "", "--allowed-host"),
    ("127.0.0.1:PORT", "http://evil.example", "evil.example"),
];

#[tokio::test]
async fn every_door_opens_to_those_that_may_come_in_and_to_no_other_site() {
    let running = Running::start(&["--allowed-host=host.docker.internal"]);
    let client = Client::builder(TokioExecutor::new()).build_http();
    for (door, path, method, status) in &DOORS {
        for (host, origin, why) in CALLERS {
            let mut request = pending("1", "foo");
            *request.method_mut() = method.clone();
            *request.uri_mut() = format!("{}{path}", running.address(door)).parse().unwrap();
            let host = host.replace("PORT", request.uri().port().unwrap().as_str());
            request.headers_mut().insert(HOST, host.parse().unwrap());
            if !origin.is_empty() {
                request.headers_mut().insert(ORIGIN, HeaderValue::from_static(origin));
                request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain;charset=UTF-8"));
            }
            let reply = Reply::read(client.request(request).await.unwrap()).await;
            let expected = if why.is_empty() { *status } else { 403 };
            assert_eq!(reply.status, expected, "{host} {origin} at {door}: {reply:?}");
            assert!(String::from_utf8_lossy(&reply.body).contains(why), "{reply:?}");
            assert!(!reply.headers.contains_key("access-control-allow-origin"));
        }
    }
}
