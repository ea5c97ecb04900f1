//! Who may change something by way of the page: a person who has it open, and no other site in their browser.
//!
//! The page listens on this machine without a password, and any site may make a browser send requests here. A form of
//! another site carries its `Origin`, which a browser never leaves out of a POST; a name that was rebound to this machine
//! carries that name as `Host`, so only addresses and `localhost` are taken.

use std::net::IpAddr;

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Uri};

/// Whether a request that changes something comes from the page itself, or else why it is refused.
///
/// # Errors
/// What to do instead.
pub fn check(headers: &HeaderMap) -> Result<(), &'static str> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(HOST).unwrap_or_default();
    if !is_here(host) {
        return Err("open the page by its IP address or as localhost");
    }
    match text(ORIGIN) {
        None => Ok(()),
        Some(origin) if origin == format!("http://{host}") => Ok(()),
        Some(_) => Err("another site may not send this: open the page itself"),
    }
}

fn is_here(host: &str) -> bool {
    let uri = format!("http://{host}/").parse::<Uri>();
    let name = uri.ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default();
    name == "localhost" || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(host: &str, origin: Option<&str>, expected: bool) {
        let mut headers = HeaderMap::from_iter([(HOST, host.parse().unwrap())]);
        headers.extend(origin.map(|origin| (ORIGIN, origin.parse().unwrap())));
        assert_eq!(check(&headers).is_err(), expected, "{host} {origin:?}");
    }

    #[test]
    fn the_page_itself_may() {
        refused("127.0.0.1:3001", Some("http://127.0.0.1:3001"), false);
        refused("localhost:3001", Some("http://localhost:3001"), false);
        refused("[::1]:3001", Some("http://[::1]:3001"), false);
        refused("127.0.0.1:3001", None, false);
    }

    #[test]
    fn another_site_may_not() {
        refused("127.0.0.1:3001", Some("http://evil.example"), true);
        refused("127.0.0.1:3001", Some("null"), true);
        refused("127.0.0.1:3001", Some("http://127.0.0.1:8080"), true);
        refused("evil.example:3001", Some("http://evil.example:3001"), true);
        refused("", None, true);
    }
}
