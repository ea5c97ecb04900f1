//! `allowed_outbound_hosts`: which destinations the component may call.
//!
//! An entry is `scheme://host[:port]`. The scheme is `http`, `https` or `*`; the host a name, an address, `*.domain` or
//! `*`; the port a number or `*`, or left out where the scheme has one. Names are compared as written: `localhost` is not
//! `127.0.0.1`. An entry may be a template. What the variables' defaults make of it is checked at the start, whatever they
//! hold; what they hold denies every request when it makes a bad entry. So it is with Spin.

use anyhow::{Context, Result, ensure};
use http::Uri;
use http::uri::Authority;

use crate::manifest::Manifest;
use crate::variables::Variables;

/// Which destinations are allowed.
#[derive(Clone, Debug, Default)]
pub(crate) struct AllowedHosts(Vec<AllowedHost>);

impl AllowedHosts {
    /// Checks the component's entries with the defaults of the variables. A variable without one has nothing to check.
    pub(crate) fn validate(manifest: &Manifest) -> Result<()> {
        let defaults = Variables::defaults(manifest);
        let mut values =
            manifest.component.allowed_outbound_hosts.iter().filter_map(|entry| defaults.expand(entry).ok());
        values.try_for_each(|value| AllowedHost::parse(&value).map(drop))
    }

    /// Reads the component's entries with the values that the variables have. One that is bad denies every request.
    pub(crate) fn resolve(manifest: &Manifest, variables: &Variables) -> Result<Self> {
        let entries = manifest.component.allowed_outbound_hosts.iter();
        entries.map(|entry| AllowedHost::parse(&variables.expand(entry)?)).collect::<Result<_>>().map(Self)
    }

    /// Whether the component may call this absolute URI.
    pub(crate) fn allows(&self, uri: &Uri) -> bool {
        self.0.iter().any(|allowed| allowed.allows(uri).unwrap_or(false))
    }
}

/// One entry.
#[derive(Clone, Debug)]
struct AllowedHost {
    /// `*` for any.
    scheme: String,
    /// `*` for any, and `*.domain` for all below it.
    host: String,
    /// `None` for any.
    port: Option<u16>,
}

impl AllowedHost {
    fn parse(entry: &str) -> Result<Self> {
        Self::parse_parts(entry.trim()).with_context(|| format!("allowed_outbound_hosts: {entry:?}"))
    }

    fn parse_parts(entry: &str) -> Result<Self> {
        let (scheme, rest) = entry
            .split_once("://")
            .context("it is not of the form scheme://host[:port]; \"*://*:*\" would allow everything")?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        ensure!(!rest.contains('/'), "it has a path or a network; this host takes only scheme, host and port");
        let (host, port) = rest.rsplit_once(':').unwrap_or((rest, ""));
        let port = match port {
            "*" => None,
            "" => Some(own_port(scheme).with_context(|| format!("it needs a port: {scheme:?} has none of its own"))?),
            _ => Some(port.parse().with_context(|| format!("the port {port:?}: this host takes a number or \"*\""))?),
        };
        let is_known = scheme == "*" || own_port(scheme).is_some();
        ensure!(is_known, "it has the scheme {scheme:?}; this host takes http, https or \"*\"");
        let is_own = matches!(host, "self" | "self.alt") || host.ends_with(".spin.internal");
        ensure!(!is_own, "it is a component of the application, and this host runs one that can't be called so");
        let name = host.strip_prefix("*.").unwrap_or(host);
        let is_name = host == "*" || !name.contains(['*', '{', '@']) && name.parse::<Authority>().is_ok();
        ensure!(is_name, "it has the host {host:?}; this host takes a name, an address, \"*.domain\" or \"*\"");
        Ok(Self { scheme: scheme.to_owned(), host: host.to_owned(), port })
    }

    fn allows(&self, uri: &Uri) -> Option<bool> {
        let scheme = uri.scheme_str()?;
        let port = uri.port_u16().or(own_port(scheme))?;
        let host = uri.host()?.to_ascii_lowercase();
        let is_scheme = self.scheme == "*" || self.scheme == scheme;
        let is_port = self.port.is_none_or(|exact| exact == port);
        let is_host = match self.host.strip_prefix('*') {
            // With its leading dot, or nothing.
            Some(domain) => host.ends_with(domain),
            None => self.host == host,
        };
        Some(is_scheme && is_port && is_host)
    }
}

fn own_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variables::VariableSources;
    use crate::variables::tests::{manifest, map};

    #[track_caller]
    fn check(entry: &str, uri: &str, expected: bool) {
        let allowed = AllowedHosts(vec![AllowedHost::parse(entry).unwrap()]);
        assert_eq!(allowed.allows(&uri.parse().unwrap()), expected, "{entry} {uri}");
    }

    #[test]
    fn allowed_and_denied() {
        for (entry, allowed, denied) in [
            ("http://a.b", "http://a.b/x?y", "http://a.b:8080/"),
            ("http://a.b", "http://A.B/", "https://a.b/"),
            ("http://a.b/", "http://A.b:80/", "http://x.a.b/"),
            ("http://*.b/", "http://A.B/", "http://b/"),
            ("https://a.b", "https://a.b:443/", "http://a.b:443/"),
            ("https://a.b:6443", "https://a.b:6443/", "https://a.b/"),
            ("http://a.b:*", "http://a.b:1/", "http://c/"),
            ("*://a:80", "http://a/", "https://a/"),
            ("http://*", "http://x.y/", "http://x.y:81/"),
            ("http://*.svc.cluster.local", "http://a.b.svc.cluster.local/", "http://svc.cluster.local/"),
            ("http://*.b", "http://a.b/", "http://ab/"),
            ("http://localhost:80", "http://localhost/", "http://127.0.0.1/"),
            ("http://127.0.0.1", "http://127.0.0.1/", "http://localhost/"),
            ("http://[::1]:80", "http://[::1]/", "http://[::2]/"),
        ] {
            check(entry, allowed, true);
            check(entry, denied, false);
        }
        check("*://*:*", "https://any:1/", true);
        // Spin compares the entry as written with a request's host in lower case.
        check("http://A.b", "http://A.b/", false);
    }

    #[test]
    fn entries_that_cannot_be_read_are_refused() {
        for (entry, expected) in [
            ("", "scheme://host"),
            ("*", "scheme://host"),
            ("a.b", "scheme://host"),
            ("insecure:allow-all", "scheme://host"),
            ("localhost:3001", "scheme://host"),
            ("http://a/path", "has a path"),
            ("http://a:80/path", "has a path"),
            ("http://*.b/x", "has a path"),
            ("http://10.0.0.0/8", "or a network"),
            ("http://a:b", "port \"b\""),
            ("http://a:80..82", "port \"80..82\""),
            ("http://a:{80,81}", "port"),
            ("http://a:99999", "port"),
            ("http://[::1]", "port"),
            ("*://a", "needs a port"),
            ("redis://a:6379", "scheme \"redis\""),
            ("http://{a,b}", "host \"{a,b}\""),
            ("http://a.*.b", "host \"a.*.b\""),
            ("http://*.*.b", "host"),
            ("http://a@b", "host"),
            ("http://", "host"),
            ("http://self", "a component of the application"),
            ("http://other.spin.internal", "a component of the application"),
        ] {
            let error = AllowedHost::parse(entry).expect_err(entry);
            let error = format!("{error:#}");
            assert!(error.contains(expected), "{error:?} lacks {expected:?}");
        }
    }

    fn resolve(default: Option<&str>, value: Option<&str>) -> Result<AllowedHosts> {
        let flags = value.map(|value| map(&[("url", value)])).unwrap_or_default();
        let mut manifest = manifest(&[("url", default)]);
        manifest.component.allowed_outbound_hosts = vec!["{{ url }}".into(), "http://always".into()];
        AllowedHosts::validate(&manifest)?;
        let variables = Variables::resolve(&manifest, &VariableSources { flags, ..Default::default() })?;
        AllowedHosts::resolve(&manifest, &variables)
    }

    #[test]
    fn a_template_takes_the_variables_value() {
        let hosts = resolve(Some("http://d"), Some("https://kube:6443/")).unwrap();
        assert!(hosts.allows(&"https://kube:6443/api".parse().unwrap()));
        assert!(hosts.allows(&"http://always/".parse().unwrap()));
        assert!(!hosts.allows(&"http://d/".parse().unwrap()));
        assert!(resolve(None, Some("http://x")).is_ok());
    }

    #[test]
    fn what_a_variable_holds_and_its_default_are_both_checked() {
        for bad in ["", "http://broker/path"] {
            assert!(resolve(Some("http://d"), Some(bad)).is_err(), "{bad}");
            assert!(resolve(Some(bad), Some("http://x")).is_err(), "{bad}");
        }
    }
}
