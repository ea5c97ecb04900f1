//! What Spin adds to a request before the component sees it.
//!
//! A component is served at the one route `/...`, so most of the headers never
//! change. They are added to what the client sent, even to headers of the same
//! name: whoever reads them must know that the first may be the client's.
//! `host`, `connection` and `transfer-encoding` are taken off later, by
//! wasi:http.

use std::net::SocketAddr;

use http::header::{HOST, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::{Authority, Scheme, Uri};

/// The client's address. A request handed to the application without a server
/// may carry it as an extension.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddr(pub SocketAddr);

/// Why a request can't be handed to the component.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum RequestError {
    /// Neither the URI nor a header says whom it is for.
    #[error("the request names no host")]
    NoHost,
    /// The `host` header is none.
    #[error("the request's host header is invalid")]
    InvalidHost,
    /// The URI and the header disagree.
    #[error("the request's host header and URI name different hosts")]
    TwoHosts,
    /// A header isn't text.
    #[error("the request's header {0} is not UTF-8")]
    NotText(HeaderName),
}

/// Completes the URI and adds Spin's headers.
pub(super) fn prepare(parts: &mut Parts) -> Result<(), RequestError> {
    let host = parts.headers.get(HOST).cloned();
    complete_uri(parts, host.as_ref())?;
    for (name, value) in &parts.headers {
        if str::from_utf8(value.as_bytes()).is_err() {
            return Err(RequestError::NotText(name.clone()));
        }
    }
    let host = host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let path_and_query = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let client = parts.extensions.get::<ClientAddr>();
    let client = client.map_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)), |client| client.0);
    for (name, value) in [
        ("spin-path-info", parts.uri.path().to_owned()),
        ("spin-full-url", format!("http://{host}{path_and_query}")),
        ("spin-matched-route", "/...".to_owned()),
        ("spin-base-path", "/".to_owned()),
        ("spin-raw-component-route", "/...".to_owned()),
        ("spin-component-route", String::new()),
        ("spin-client-addr", client.to_string()),
    ] {
        if let Ok(value) = HeaderValue::try_from(value) {
            parts.headers.append(HeaderName::from_static(name), value);
        }
    }
    Ok(())
}

/// Puts scheme and authority into the URI of a request that came in without.
fn complete_uri(parts: &mut Parts, host: Option<&HeaderValue>) -> Result<(), RequestError> {
    let from_header =
        host.map(|host| Authority::try_from(host.as_bytes()).map_err(|_| RequestError::InvalidHost)).transpose()?;
    let mut uri = std::mem::take(&mut parts.uri).into_parts();
    uri.authority = match (from_header, uri.authority) {
        (None, None) => return Err(RequestError::NoHost),
        (Some(header), Some(uri)) if header != uri => return Err(RequestError::TwoHosts),
        (header, uri) => header.or(uri),
    };
    uri.scheme = Some(Scheme::HTTP);
    uri.path_and_query.get_or_insert_with(|| http::uri::PathAndQuery::from_static("/"));
    parts.uri = Uri::from_parts(uri).map_err(|_| RequestError::InvalidHost)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(request: http::request::Builder) -> Result<Parts, RequestError> {
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        prepare(&mut parts).map(|()| parts)
    }

    #[test]
    fn spins_headers_are_added() {
        let client = ClientAddr(([10, 0, 0, 1], 99).into());
        let request = http::Request::builder().uri("/a/b?c=d").header("host", "h:1");
        let parts = prepared(request.extension(client)).unwrap();
        assert_eq!(parts.uri, "http://h:1/a/b?c=d");
        for (name, value) in [
            ("spin-path-info", "/a/b"),
            ("spin-full-url", "http://h:1/a/b?c=d"),
            ("spin-matched-route", "/..."),
            ("spin-base-path", "/"),
            ("spin-raw-component-route", "/..."),
            ("spin-component-route", ""),
            ("spin-client-addr", "10.0.0.1:99"),
        ] {
            assert_eq!(parts.headers[name], value, "{name}");
        }
    }

    #[test]
    fn a_clients_own_spin_header_stays_in_front() {
        let request = http::Request::builder().uri("http://h/").header("spin-base-path", "x");
        let parts = prepared(request).unwrap();
        let values: Vec<_> = parts.headers.get_all("spin-base-path").iter().collect();
        assert_eq!(values, ["x", "/"]);
    }

    #[test]
    fn a_request_has_one_host() {
        let request = |uri: &str| http::Request::builder().uri(uri);
        assert_eq!(prepared(request("/")).unwrap_err(), RequestError::NoHost);
        let two = request("http://a/").header("host", "b");
        assert_eq!(prepared(two).unwrap_err(), RequestError::TwoHosts);
        let invalid = request("/").header("host", "a b");
        assert_eq!(prepared(invalid).unwrap_err(), RequestError::InvalidHost);
        let text = request("http://a/").header("x", HeaderValue::from_bytes(b"\xff").unwrap());
        assert!(matches!(prepared(text), Err(RequestError::NotText(_))));
    }
}
