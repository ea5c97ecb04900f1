//! Who may reach the listeners of the command: loopback's names and those that are allowed, and no other site.

use http::header::{CONTENT_TYPE, HOST, ORIGIN};
use http::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tests::Reply;
use tests::command::{Running, application};
use tests::events::{Delivery, pending};

/// What is asked at each door, by its name on the first lines, and what is answered to those that may come in.
const DOORS: [(&str, &str, Method, u16); 4] = [
    ("page", "", Method::GET, 200),
    ("broker", "", Method::POST, 202),
    ("kubernetes", "/api/v1/namespaces/default/pods", Method::GET, 200),
    ("provisioner", "", Method::POST, 200),
];

const EVIL: &str = "http://evil.example";

/// The request for a door, by the name that stands in the place of its address's.
fn request(running: &Running, (door, path, method, _): &(&str, &str, Method, u16), host: &str) -> Delivery {
    let mut request = if *method == Method::POST { pending("1", "foo") } else { Request::default() };
    *request.method_mut() = method.clone();
    *request.uri_mut() = format!("{}{path}", running.address(door)).parse().unwrap();
    let host = host.replace("PORT", request.uri().port().unwrap().as_str());
    request.headers_mut().insert(HOST, host.parse().unwrap());
    request
}

async fn ask(request: Delivery) -> Reply {
    Reply::read(Client::builder(TokioExecutor::new()).build_http().request(request).await.unwrap()).await
}

#[tokio::test]
async fn every_door_opens_to_loopback_and_to_no_name_that_was_rebound_to_it() {
    let directory = application();
    let running = Running::start(directory.path(), &[]);
    for door in &DOORS {
        for host in ["localhost", "localhost:PORT", "127.0.0.1:PORT", "[::1]:PORT"] {
            let reply = ask(request(&running, door, host)).await;
            assert_eq!(reply.status, door.3, "{host} at {door:?}: {reply:?}");
        }
        for host in ["evil.example", "evil.example:PORT", "localhost.evil.example:PORT", "host.docker.internal"] {
            let reply = ask(request(&running, door, host)).await;
            assert_eq!(reply.status, 403, "{host} at {door:?}");
            assert!(String::from_utf8_lossy(&reply.body).contains("--allowed-host"), "{reply:?}");
        }
    }
    let refused = ask(request(&running, &DOORS[2], "evil.example")).await.json();
    assert_eq!((&refused["kind"], &refused["code"]), (&"Status".into(), &403.into()));
}

#[tokio::test]
async fn a_name_that_is_allowed_opens_every_door_and_no_other_does() {
    let directory = application();
    let running =
        Running::start(directory.path(), &["--allowed-host=host.docker.internal", "--allowed-host", "a.test"]);
    for door in &DOORS {
        for (host, status) in [("host.docker.internal:PORT", door.3), ("a.test", door.3), ("b.test", 403)] {
            assert_eq!(ask(request(&running, door, host)).await.status, status, "{host} at {door:?}");
        }
    }
}

/// A browser sends a form, and whatever has no content type, for any site without asking. Anything else it asks for
/// first, by OPTIONS, and is never told that it may.
#[tokio::test]
async fn no_door_takes_what_another_site_can_make_a_browser_send() {
    let directory = application();
    let running = Running::start(directory.path(), &[]);
    for door in &DOORS {
        for (method, content_type) in [
            (Method::POST, Some("application/x-www-form-urlencoded")),
            (Method::POST, Some("multipart/form-data; boundary=b")),
            (Method::POST, Some("text/plain;charset=UTF-8")),
            (Method::POST, None),
            (Method::GET, None),
            (Method::OPTIONS, None),
        ] {
            let mut request = request(&running, door, "127.0.0.1:PORT");
            *request.method_mut() = method.clone();
            request.headers_mut().remove(CONTENT_TYPE);
            request.headers_mut().extend(content_type.map(|it| (CONTENT_TYPE, it.parse().unwrap())));
            request.headers_mut().insert(ORIGIN, EVIL.parse().unwrap());
            let reply = ask(request).await;
            assert_eq!(reply.status, 403, "{method} {content_type:?} at {door:?}");
            assert!(!reply.headers.contains_key("access-control-allow-origin"));
            assert!(String::from_utf8_lossy(&reply.body).contains("evil.example"), "{reply:?}");
        }
    }
    // What no browser sends unasked isn't judged by where it says that it comes from.
    let mut event = request(&running, &DOORS[1], "127.0.0.1:PORT");
    event.headers_mut().insert(ORIGIN, EVIL.parse().unwrap());
    assert_eq!(ask(event).await.status, 202);
}
