//! `allowed_outbound_hosts`: which destinations the component may call.
//!
//! An entry is `scheme://host[:port]`. The scheme is a word or `*`; the host a
//! name, an address, a network (`10.0.0.0/8`), `*.domain`, `*` or `self`; the
//! port a number, a range `from..to` without its end, `*`, or left out where
//! the scheme has a port of its own. Names are compared as written:
//! `localhost` is not `127.0.0.1`.
//!
//! An entry may be a template. Where the variables' defaults give it a value,
//! that value is checked when the application is loaded, whatever the
//! variables hold by then. A value that turns out bad only at run time denies
//! every request, those that other entries allow included: so does Spin.
//!
//! Calls to other components of the application (`*.spin.internal`) are not
//! supported: this host runs one component.

use std::net::IpAddr;

use ip_network::IpNetwork;
use url::{Host, Url};

use super::variables::{Template, TemplateError, Variables};

/// Which destinations are allowed.
#[derive(Clone, Debug, Default)]
pub struct AllowedHosts(Vec<AllowedHost>);

/// Why an entry was refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("allowed_outbound_hosts: {entry:?} {reason}")]
pub struct AllowedHostError {
    /// The entry, templates put in.
    pub entry: String,
    /// What is wrong with it.
    pub reason: String,
}

impl AllowedHosts {
    /// Checks entries as far as the defaults of the variables allow.
    pub fn validate(entries: &[String], defaults: &Variables) -> Result<(), AllowedHostError> {
        for entry in entries {
            match defaults.expand(&template(entry)?) {
                Ok(value) => drop(AllowedHost::parse(&value)?),
                // No default, so nothing to check before there is a value.
                Err(TemplateError::Unknown { .. }) => {}
                Err(error) => return Err(refuse(entry, error.to_string())),
            }
        }
        Ok(())
    }

    /// Reads entries with the values that the variables have.
    pub fn resolve(entries: &[String], variables: &Variables) -> Result<Self, AllowedHostError> {
        let one = |entry: &String| {
            let value = variables.expand(&template(entry)?);
            AllowedHost::parse(&value.map_err(|error| refuse(entry, error.to_string()))?)
        };
        entries.iter().map(one).collect::<Result<_, _>>().map(Self)
    }

    /// Whether the component may call this absolute URI.
    pub fn allows(&self, uri: &http::Uri) -> bool {
        Destination::parse(uri).is_some_and(|to| self.0.iter().any(|allowed| allowed.allows(&to)))
    }

    /// Whether the component may call its own application.
    pub fn allows_self(&self) -> bool {
        self.0.iter().any(AllowedHost::allows_self)
    }
}

fn template(entry: &str) -> Result<Template, AllowedHostError> {
    Template::parse(entry).map_err(|error| refuse(entry, error.to_string()))
}

fn refuse(entry: &str, reason: impl Into<String>) -> AllowedHostError {
    AllowedHostError { entry: entry.to_owned(), reason: reason.into() }
}

/// Where a request goes. The port is `None` where it is the scheme's own.
struct Destination {
    scheme: String,
    host: Host<String>,
    port: Option<u16>,
}

impl Destination {
    fn parse(uri: &http::Uri) -> Option<Self> {
        let url = Url::parse(&uri.to_string()).ok()?;
        Some(Self { scheme: url.scheme().to_owned(), host: Host::parse(url.host_str()?).ok()?, port: url.port() })
    }
}

/// One entry.
#[derive(Clone, Debug)]
struct AllowedHost {
    scheme: Scheme,
    host: HostPattern,
    port: Ports,
}

#[derive(Clone, Debug)]
enum Scheme {
    Any,
    Exact(String),
}

#[derive(Clone, Debug)]
enum HostPattern {
    Any,
    ToSelf,
    Exact(Host<String>),
    Network(IpNetwork),
    /// With its leading dot.
    Subdomains(String),
}

#[derive(Clone, Debug)]
enum Ports {
    Any,
    Exact(u16),
    Range(std::ops::Range<u16>),
}

impl AllowedHost {
    fn parse(entry: &str) -> Result<Self, AllowedHostError> {
        Self::parse_parts(entry.trim()).map_err(|reason| refuse(entry, reason))
    }

    fn parse_parts(entry: &str) -> Result<Self, String> {
        let (scheme, rest) = entry
            .split_once("://")
            .ok_or("is not of the form scheme://host[:port]; \"*://*:*\" would allow everything")?;
        let (host, port) = rest.rsplit_once(':').unwrap_or((rest, ""));
        let port = match port.split_once('/') {
            Some((port, "")) => port,
            Some(_) => return Err(HAS_PATH.into()),
            None => port,
        };
        Ok(Self {
            port: Ports::parse(port, scheme)?,
            scheme: Scheme::parse(scheme)?,
            host: HostPattern::parse(host.trim())?,
        })
    }

    fn allows(&self, to: &Destination) -> bool {
        self.scheme.allows(&to.scheme)
            && self.host.allows(&to.host)
            && self.port.allows(to.port.or_else(|| well_known_port(&to.scheme)))
    }

    fn allows_self(&self) -> bool {
        let host = matches!(self.host, HostPattern::Any | HostPattern::ToSelf);
        host && (self.scheme.allows("http") || self.scheme.allows("https"))
    }
}

const HAS_PATH: &str = "has a path; give only scheme, host and port";

impl Scheme {
    fn parse(scheme: &str) -> Result<Self, String> {
        match scheme {
            "*" => Ok(Self::Any),
            _ if scheme.chars().all(char::is_alphabetic) => Ok(Self::Exact(scheme.to_owned())),
            _ => Err(format!("has the scheme {scheme:?}; use letters only, or \"*\"")),
        }
    }

    fn allows(&self, scheme: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact == scheme,
        }
    }
}

impl HostPattern {
    fn parse(host: &str) -> Result<Self, String> {
        match host {
            "*" => return Ok(Self::Any),
            "self" | "self.alt" => return Ok(Self::ToSelf),
            _ if host.starts_with('{') => {
                return Err("is a list of hosts; use an entry for each".into());
            }
            _ => {}
        }
        if let Ok(network) = IpNetwork::from_str_truncate(host) {
            return Ok(Self::Network(network));
        }
        let host = host.trim_end_matches('/');
        if host.contains('/') {
            return Err(HAS_PATH.into());
        }
        if host.ends_with(".spin.internal") {
            return Err("is another component, which is not supported: this host runs one".into());
        }
        match host.strip_prefix("*.") {
            Some(domain) if !domain.contains('*') => Ok(Self::Subdomains(format!(".{domain}"))),
            _ if host.contains('*') => Err("has a \"*\" that isn't the whole first label".into()),
            _ => Host::parse(host).map(Self::Exact).map_err(|error| format!("has the host {host:?}: {error}")),
        }
    }

    fn allows(&self, host: &Host<String>) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::Exact(exact), _) => exact == host,
            (Self::Subdomains(suffix), Host::Domain(name)) => name.ends_with(suffix),
            (Self::Network(network), Host::Ipv4(address)) => network.contains(IpAddr::from(*address)),
            (Self::Network(network), Host::Ipv6(address)) => network.contains(IpAddr::from(*address)),
            (Self::ToSelf | Self::Subdomains(_) | Self::Network(_), _) => false,
        }
    }
}

impl Ports {
    fn parse(port: &str, scheme: &str) -> Result<Self, String> {
        let number = |text: &str| {
            let parsed = text.parse::<u16>();
            parsed.map_err(|_| format!("has the port {port:?}; use a number, a range 80..90 or \"*\""))
        };
        match port {
            "" => well_known_port(scheme)
                .map(Self::Exact)
                .ok_or_else(|| format!("needs a port: the scheme {scheme:?} has none of its own")),
            "*" => Ok(Self::Any),
            _ => match port.split_once("..") {
                Some((start, end)) => Ok(Self::Range(number(start)?..number(end)?)),
                None => number(port).map(Self::Exact),
            },
        }
    }

    fn allows(&self, port: Option<u16>) -> bool {
        match (self, port) {
            (Self::Any, _) => true,
            (Self::Exact(exact), Some(port)) => *exact == port,
            (Self::Range(range), Some(port)) => range.contains(&port),
            (_, None) => false,
        }
    }
}

fn well_known_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        "mqtt" => Some(1883),
        "mysql" => Some(3306),
        "postgres" => Some(5432),
        "redis" => Some(6379),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spin::variables::VariableSources;
    use crate::spin::variables::tests::{manifest, map};

    #[track_caller]
    fn check(entry: &str, uri: &str, expected: bool) {
        let allowed = AllowedHosts(vec![AllowedHost::parse(entry).unwrap()]);
        assert_eq!(allowed.allows(&uri.parse().unwrap()), expected, "{entry} {uri}");
    }

    #[track_caller]
    fn refused(entry: &str, expected: &str) {
        let error = AllowedHost::parse(entry).expect_err(entry).to_string();
        assert!(error.contains(expected), "{error:?} lacks {expected:?}");
        assert!(!error.contains('\n'), "{error:?}");
    }

    #[test]
    fn allowed_and_denied() {
        for (entry, allowed, denied) in [
            ("http://a.b", "http://a.b/x?y", "http://a.b:8080/"),
            ("http://a.b", "http://A.B/", "https://a.b/"),
            ("http://a.b/", "http://a.b:80/", "http://x.a.b/"),
            ("https://a.b", "https://a.b:443/", "http://a.b:443/"),
            ("https://a.b:6443", "https://a.b:6443/", "https://a.b/"),
            ("http://a.b:*", "http://a.b:1/", "http://c/"),
            ("http://a:80..82", "http://a:81/", "http://a:82/"),
            ("*://a:80", "http://a/", "https://a/"),
            ("http://*", "http://x.y/", "http://x.y:81/"),
            ("http://*.svc.cluster.local", "http://a.b.svc.cluster.local/", "http://svc.cluster.local/"),
            ("http://*.b", "http://a.b/", "http://ab/"),
            ("http://localhost:80", "http://localhost/", "http://127.0.0.1/"),
            ("http://127.0.0.1", "http://127.0.0.1/", "http://localhost/"),
            ("http://10.0.0.0/8", "http://10.1.2.3/", "http://11.0.0.1/"),
            ("http://10.0.0.0/8:81", "http://10.1.2.3:81/", "http://10.1.2.3/"),
            ("http://[::1]:80", "http://[::1]/", "http://[::2]/"),
            ("*://ff00::/8:80", "http://[ff00::1]/", "http://[fe00::1]/"),
        ] {
            check(entry, allowed, true);
            check(entry, denied, false);
        }
        check("*://*:*", "https://any:1/", true);
        check("http://self", "http://self/", false);
    }

    #[test]
    fn entries_that_cannot_be_read_are_refused() {
        for (entry, expected) in [
            ("", "scheme://host"),
            ("*", "scheme://host"),
            ("a.b", "scheme://host"),
            ("insecure:allow-all", "scheme://host"),
            ("http://a/path", "has a path"),
            ("http://a:80/path", "has a path"),
            ("http://a:b", "port \"b\""),
            ("http://a:80..b", "port"),
            ("http://a:{80,81}", "port"),
            ("http://a:99999", "port"),
            ("ftp://a", "needs a port"),
            ("*://a", "needs a port"),
            ("*://127.0.0.0/24", "needs a port"),
            ("http://*.b/x", "has a path"),
            ("localhost:3001", "scheme://host"),
            ("ht2p://a:1", "letters only"),
            ("{a,b}://a:1", "letters only"),
            ("http://{a,b}", "list"),
            ("http://a.*.b", "\"*\""),
            ("http://*.*.b", "\"*\""),
            ("http://", "host"),
            ("http://[::1]", "port"),
            ("http://other.spin.internal", "not supported"),
            ("http://*.spin.internal", "not supported"),
        ] {
            refused(entry, expected);
        }
    }

    #[test]
    fn only_self_and_any_host_allow_calls_to_the_application_itself() {
        let allows_self = |entry: &str| AllowedHost::parse(entry).unwrap().allows_self();
        assert!(allows_self("http://self"));
        assert!(allows_self("https://self.alt"));
        assert!(allows_self("*://*:*"));
        assert!(!allows_self("redis://self"));
        assert!(!allows_self("http://localhost"));
    }

    fn resolve(value: &str) -> Result<AllowedHosts, AllowedHostError> {
        let sources = VariableSources { flags: map(&[("url", value)]), ..Default::default() };
        let variables = Variables::resolve(&manifest(&[("url", Some("http://d"))]), &sources);
        AllowedHosts::resolve(&entries(), &variables.unwrap())
    }

    fn entries() -> Vec<String> {
        vec!["{{ url }}".into(), "http://always".into()]
    }

    #[test]
    fn a_template_takes_the_variables_value() {
        let hosts = resolve("https://kube:6443/").unwrap();
        assert!(hosts.allows(&"https://kube:6443/api".parse().unwrap()));
        assert!(!hosts.allows(&"http://d/".parse().unwrap()));
        assert!(resolve("http://broker/path").is_err());
        assert!(resolve("").is_err());
    }

    #[test]
    fn a_default_is_checked_even_when_something_overrides_it() {
        let validate = |default: Option<&str>| {
            AllowedHosts::validate(&entries(), &Variables::defaults(&manifest(&[("url", default)])))
        };
        assert!(validate(Some("http://x")).is_ok());
        assert!(validate(None).is_ok());
        assert!(validate(Some("")).is_err());
        assert!(validate(Some("http://x/path")).is_err());
        let unknown = vec!["{{ nobody }}".to_owned()];
        assert!(AllowedHosts::validate(&unknown, &Variables::default()).is_ok());
        assert!(AllowedHosts::resolve(&unknown, &Variables::default()).is_err());
        let unclosed = vec!["{{ nobody".to_owned()];
        assert!(AllowedHosts::validate(&unclosed, &Variables::default()).is_err());
    }
}
