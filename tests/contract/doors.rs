//! Who may reach the listeners of the command: the same rule at each of them. `local/src/doors.rs` has its whole list.

use http::header::{CONTENT_TYPE, HOST, ORIGIN};
use http::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tests::Reply;
use tests::command::{Running, application};
use tests::events::pending;

/// What is asked at each door, by its name on the first lines, and what is answered to those that may come in.
const DOORS: [(&str, &str, Method, u16); 4] = [
    ("page", "", Method::GET, 200),
    ("broker", "", Method::POST, 202),
    ("kubernetes", "/api/v1/namespaces/default/pods", Method::GET, 200),
    ("provisioner", "", Method::POST, 200),
];

/// Who asks: the name that stands in the place of the door's address, where it comes from, and whether it comes in. A
/// browser sends a form for any site without asking; what it asks for first it is never told that it may.
const CALLERS: [(&str, &str, &str, bool); 9] = [
    ("127.0.0.1:PORT", "", "application/json", true),
    ("[::1]:PORT", "", "application/json", true),
    ("host.docker.internal:PORT", "", "application/json", true),
    ("a.test", "", "application/json", true),
    ("evil.example", "", "application/json", false),
    ("localhost.evil.example:PORT", "", "application/json", false),
    ("127.0.0.1:PORT", "http://evil.example", "text/plain;charset=UTF-8", false),
    ("127.0.0.1:PORT", "http://evil.example", "application/x-www-form-urlencoded", false),
    ("127.0.0.1:PORT", "http://evil.example", "", false),
];

#[tokio::test]
async fn every_door_opens_to_those_that_may_come_in_and_to_no_other_site() {
    let directory = application();
    let allowed = ["--allowed-host=host.docker.internal", "--allowed-host", "a.test"];
    let running = Running::start(directory.path(), &allowed);
    let client = Client::builder(TokioExecutor::new()).build_http();
    for (door, path, method, status) in &DOORS {
        for (host, origin, content_type, comes_in) in CALLERS {
            let mut request = if *method == Method::POST { pending("1", "foo") } else { Request::default() };
            *request.method_mut() = method.clone();
            *request.uri_mut() = format!("{}{path}", running.address(door)).parse().unwrap();
            let host = host.replace("PORT", request.uri().port().unwrap().as_str());
            [HOST, CONTENT_TYPE].iter().for_each(|name| drop(request.headers_mut().remove(name)));
            for (name, value) in [(HOST, host.as_str()), (ORIGIN, origin), (CONTENT_TYPE, content_type)] {
                request.headers_mut().extend((!value.is_empty()).then(|| (name, value.parse().unwrap())));
            }
            let reply = Reply::read(client.request(request).await.unwrap()).await;
            assert_eq!(reply.status, if comes_in { *status } else { 403 }, "{host} {origin} at {door}: {reply:?}");
            let why = if origin.is_empty() { "--allowed-host" } else { "evil.example" };
            assert!(comes_in || String::from_utf8_lossy(&reply.body).contains(why), "{reply:?}");
            assert!(!reply.headers.contains_key("access-control-allow-origin"));
        }
    }
}
