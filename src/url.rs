//! The two kinds of URL in variables: the base of the Kubernetes API, and a sink.

use http::uri::{Authority, Scheme, Uri};

/// Scheme and authority of a server: `https://kubernetes.default.svc`, without path.
///
/// A path isn't allowed: Spin's `allowed_outbound_hosts` takes this very value, and denies every request if it has a
/// path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    scheme: Scheme,
    authority: Authority,
}

impl BaseUrl {
    /// Takes an `http` or `https` URL that has a host, perhaps a port, and neither user nor path.
    pub fn parse(text: &str) -> Option<Self> {
        let parts = text.parse::<Uri>().ok()?.into_parts();
        let scheme = parts.scheme.filter(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS)?;
        let authority = parts.authority.filter(is_host)?;
        // The parser drops a fragment; Spin reads it as part of the host.
        let is_bare = parts.path_and_query.is_none_or(|path| path == "/") && !text.contains('#');
        is_bare.then_some(Self { scheme, authority })
    }

    /// Whether it is an IPv6 address without a port.
    pub fn lacks_port(&self) -> bool {
        lacks_port(&self.authority)
    }

    /// Whether the connection is encrypted.
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// The absolute URI of `path`, which begins with `/` and is already percent-encoded.
    pub fn join(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.authority)
    }
}

/// Why an IPv6 address needs a port: Spin reads the last group as the port, and then allows no request.
pub const IPV6_NEEDS_PORT: &str = "Spin needs the port after an IPv6 address, as in https://[fd00::1]:443";

/// Why an origin has no capitals: Spin compares it as written with a request's, which has none, and then allows no
/// request.
pub const LOWER_CASE: &str = "Spin needs scheme and host in lower case";

/// Whether it has capitals.
pub fn has_capitals(text: &str) -> bool {
    text.bytes().any(|c| c.is_ascii_uppercase())
}

/// What is wrong with a URL that must not be quoted.
pub const NO_PASSWORD: &str = "contains an @, as after a user or a password: leave both out";

/// Whether it is a host, or a host and a port. The parser also accepts an empty host, and anything as the port.
pub fn is_host(authority: &Authority) -> bool {
    let (host, rest) = (authority.host(), authority.as_str().strip_prefix(authority.host()));
    let is_port = |rest: &str| rest.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    !host.is_empty() && rest.is_some_and(|rest| rest.is_empty() || is_port(rest))
}

/// Whether it is an IPv6 address without a port.
pub fn lacks_port(authority: &Authority) -> bool {
    authority.host().starts_with('[') && authority.port().is_none()
}

/// Scheme, host and port of a URL, with the default port if it has none.
pub fn origin(uri: &Uri) -> Option<(Scheme, String, u16)> {
    let scheme = uri.scheme()?.clone();
    let default = if scheme == Scheme::HTTPS { 443 } else { 80 };
    Some((scheme, uri.host()?.to_ascii_lowercase(), uri.port_u16().unwrap_or(default)))
}

#[cfg(test)]
mod tests;
