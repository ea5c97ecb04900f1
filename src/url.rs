//! The kinds of URL in variables: the base of the Kubernetes API, a sink, and an origin that Spin is to allow.

use http::uri::{Authority, Scheme, Uri};

/// Scheme and authority of a server: `https://kubernetes.default.svc`, without path.
///
/// A path isn't allowed: Spin's `allowed_outbound_hosts` takes this very value, and denies every request if it has a
/// path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// Takes an `http` or `https` URL that has a host, perhaps a port, and neither user nor path.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        // The parser drops a fragment; Spin reads it as part of the host.
        let is_bare = |uri: Uri| uri.path() == "/" && uri.query().is_none() && !text.contains('#');
        check_origin(text, http_url(text).is_ok_and(is_bare), ": use http:// or https:// with a host and no path")?;
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }

    /// Whether the connection is encrypted.
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https:")
    }

    /// The absolute URI of `path`, which begins with `/` and is already percent-encoded.
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

/// What is wrong with a URL that must not be quoted.
const NO_PASSWORD: &str = "contains an @, as after a user or a password: leave both out";

/// An `http` or `https` URL that has a host, and perhaps a port.
///
/// # Errors
/// What is wrong with it, as the end of a sentence.
pub fn http_url(text: &str) -> Result<Uri, String> {
    let is_http = |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https"));
    let url: Option<Uri> = text.parse().ok();
    match url.filter(|url| is_http(url) && url.authority().is_some_and(is_host)) {
        None if text.contains('@') => Err(NO_PASSWORD.to_owned()),
        url => url.ok_or_else(|| format!("is {text:?}: use an http:// or https:// URL with a host")),
    }
}

/// Whether it is a host, or a host and a port. The parser also accepts an empty host, and anything as the port.
fn is_host(authority: &Authority) -> bool {
    let (host, rest) = (authority.host(), authority.as_str().strip_prefix(authority.host()));
    let is_port = |rest: &str| rest.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    !host.is_empty() && rest.is_some_and(|rest| rest.is_empty() || is_port(rest))
}

/// Checks an origin to which Spin is to allow requests. `is_usable` says whether it is one, and `advice` ends the
/// sentence about it if not.
///
/// # Errors
/// Why Spin would read it differently and allow no request, as the end of a sentence.
pub fn check_origin(text: &str, is_usable: bool, advice: &str) -> Result<(), String> {
    let lacks_port = text.trim_end_matches('/').ends_with(']');
    let problem = match is_usable {
        _ if text.contains('@') => return Err(NO_PASSWORD.to_owned()),
        // Spin reads the last group of the address as the port.
        _ if lacks_port => ": Spin needs the port after an IPv6 address, as in https://[fd00::1]:443",
        // Spin compares it as written with a request's, which has no capitals.
        true if text.bytes().any(|c| c.is_ascii_uppercase()) => ": Spin needs scheme and host in lower case",
        true => return Ok(()),
        false => advice,
    };
    Err(format!("is {text:?}{problem}"))
}

/// Scheme, host and port of a URL, with the default port if it has none.
pub fn origin(uri: &Uri) -> Option<(Scheme, String, u16)> {
    let scheme = uri.scheme()?.clone();
    let default = if scheme == Scheme::HTTPS { 443 } else { 80 };
    Some((scheme, uri.host()?.to_ascii_lowercase(), uri.port_u16().unwrap_or(default)))
}

#[cfg(test)]
mod tests;
