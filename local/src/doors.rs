//! Who may come in: which requests the command's listeners answer.
//!
//! They ask nobody for a password, and any site may make a browser send requests to this machine. A site whose name was
//! rebound to it carries that name as its `Host`, so only the machine's own names are taken, as with `kubectl proxy`.
//! A form of another site carries an `Origin`, and any other content type than a form's needs a CORS preflight, which
//! is never granted.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::{Router, middleware};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HOST, HeaderName, ORIGIN};
use http::uri::Authority;
use provisioner::response::problem;
use std::net::IpAddr;
use std::sync::Arc;

/// What a browser sends for another site without asking first: CORS-safelisted, by the Fetch standard.
const FORMS: [&str; 4] = ["", "application/x-www-form-urlencoded", "multipart/form-data", "text/plain"];

/// The names that a listener answers to, beside those of loopback. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Doors(Arc<[String]>);

impl Doors {
    /// Doors for those who know one of the `names`, or an address that is listened on: no site can take that as its name.
    pub fn new(names: impl IntoIterator<Item = String>, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let addresses = addresses.into_iter().map(|address| address.to_string());
        Self(names.into_iter().chain(addresses).collect())
    }

    /// Why a request is refused, and what to do about it; nothing where it may come in.
    pub fn refusal<B>(&self, request: &http::Request<B>) -> Option<String> {
        let text =
            |name: HeaderName| request.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
        let host = request.uri().authority().map(|authority| authority.as_str().into());
        let host = host.or_else(|| text(HOST)).unwrap_or_default();
        if !self.know(&host) {
            return Some(format!(
                "{host:?} is no name of this machine: use localhost, or start it with --allowed-host"
            ));
        }
        let origin = text(ORIGIN)?;
        let is_ours = origin.split_once("://").is_some_and(|(_, origin)| origin == host);
        let content_type = text(CONTENT_TYPE).unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let is_foreign = !is_ours && FORMS.contains(&media_type.as_str());
        is_foreign.then(|| format!("the site {origin:?} may not send this: open {host} itself"))
    }

    fn know(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        let name = authority.host().trim_matches(['[', ']']);
        let mut known = ["localhost", "127.0.0.1", "::1"].into_iter().chain(self.0.iter().map(String::as_str));
        !host.contains('@') && known.any(|known| known.eq_ignore_ascii_case(name))
    }

    /// The router behind these doors; `refuse` answers those that may not come in.
    pub(crate) fn guard(self, router: Router, refuse: fn(String) -> Response) -> Router {
        router.layer(middleware::from_fn(move |request: Request<Body>, next: middleware::Next| {
            let refusal = self.refusal(&request);
            async move {
                match refusal {
                    Some(why) => refuse(why),
                    None => next.run(request).await,
                }
            }
        }))
    }
}

/// How the component's door refuses: by a problem, as the component itself.
pub(crate) fn refuse(why: String) -> Response {
    problem(StatusCode::FORBIDDEN, &why).map(Body::from)
}

/// A name as `--allowed-host` takes it: without a port, for any is meant.
///
/// # Errors
/// How to write it.
pub fn host_name(text: &str) -> Result<String, String> {
    let name = text.trim_start_matches('[').trim_end_matches(']');
    let is_name = |name: &str| name.parse::<Authority>().is_ok_and(|it| it.host() == name && !name.contains('@'));
    match name.parse::<IpAddr>().is_ok() || is_name(name) {
        true => Ok(name.to_owned()),
        false => Err("write the name alone, without a scheme or a port: host.docker.internal".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doors() -> Doors {
        Doors::new(["Host.docker.internal".to_owned()], ["192.0.2.7".parse().unwrap()])
    }

    #[track_caller]
    fn check(headers: &[(&str, &str)], expected: bool) {
        let builder = headers.iter().fold(http::Request::post("/"), |all, (name, value)| all.header(*name, *value));
        assert_eq!(doors().refusal(&builder.body(()).unwrap()).is_none(), expected, "{headers:?}");
    }

    #[test]
    fn loopback_names_and_those_that_are_allowed_come_in_with_any_port() {
        for host in ["localhost", "LOCALHOST:1", "127.0.0.1:3001", "[::1]", "[::1]:8080", "host.docker.internal:3000"] {
            check(&[("host", host)], true);
        }
        check(&[("host", "192.0.2.7:3000")], true);
    }

    #[test]
    fn any_other_name_is_refused_and_so_is_none() {
        for host in ["evil.example", "evil.example:3000", "localhost.evil.example", "127.0.0.1.evil.example", "", "::1"]
        {
            check(&[("host", host)], false);
        }
        for host in ["localhost@evil.example", "evil@localhost", "192.0.2.8", "0.0.0.0:3000", "a b"] {
            check(&[("host", host)], false);
        }
        check(&[], false);
        let request = http::Request::get("http://evil.example/").header("host", "localhost").body(()).unwrap();
        let refusal = doors().refusal(&request).unwrap();
        assert!(refusal.contains("--allowed-host"));
        let problem = refuse(refusal);
        assert_eq!(
            (problem.status().as_u16(), problem.headers()[CONTENT_TYPE].as_bytes()),
            (403, &b"application/problem+json"[..])
        );
    }

    #[test]
    fn another_site_may_send_nothing_that_needs_no_preflight() {
        let from = |origin, content_type: &'static str, expected| {
            check(&[("host", "localhost:3001"), ("origin", origin), ("content-type", content_type)], expected);
        };
        let foreign =
            ["http://evil.example", "null", "http://localhost:8080", "http://localhost", "localhost:3001", ""];
        for origin in foreign {
            for form in
                ["", "text/plain; x=application/json", "Application/X-WWW-form-urlencoded", "multipart/form-data"]
            {
                from(origin, form, false);
            }
            from(origin, "application/json", true);
            from(origin, "application/cloudevents+json; charset=utf-8", true);
            check(&[("host", "localhost:3001"), ("origin", origin)], false);
        }
        from("http://localhost:3001", "application/x-www-form-urlencoded", true);
        from("https://localhost:3001", "text/plain", true);
    }

    #[test]
    fn a_name_to_allow_has_no_scheme_and_no_port() {
        for (text, name) in [("a.example", "a.example"), ("[fd00::1]", "fd00::1"), ("fd00::1", "fd00::1")] {
            assert_eq!(host_name(text).unwrap(), name);
        }
        for text in ["", "a.example:80", "http://a.example", "a/b", "x@a", "[fd00::1]:80"] {
            assert!(host_name(text).is_err(), "{text}");
        }
    }
}
