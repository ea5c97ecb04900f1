//! Spin variables in, [`Config`] out: the first stop of the data path.
//!
//! Parse, don't validate: once there is a `Config`, every value in it is usable, and nothing behind it checks one
//! again. A value that can't be used is one [`ConfigError`] that names the variable and says what to write instead.
//! The variables themselves come in as a function, because the core reads nothing. Design, section 8.

use std::time::Duration;

use http::uri::{Authority, Scheme, Uri};

use crate::allow_list::AllowList;
use crate::fields::{list, parse_fields, text};
use crate::names::{is_dns_label, is_dns_subdomain, is_qualified_name};
use crate::outbound::Bounds;
use crate::sink::Sink;

/// The placeholder for the gateway's name in `gateway_address`.
pub const GATEWAY_PLACEHOLDER: &str = "{gateway}";

/// How long the longest call to the API server may be allowed to take.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(600);

/// The label keys that the client Pod carries in any case, which a `gateway_key` would overwrite.
const RESERVED_PREFIXES: [&str; 2] = ["app.kubernetes.io/", "podgateway.io/"];

/// How the provisioner was set up, once for the life of the process.
#[derive(Clone, Debug)]
pub struct Config {
    /// The namespace in which clients are created.
    pub client_namespace: String,
    /// The image of the container `client`.
    pub client_image: String,
    /// The command of the container `client`; empty for the image's own entrypoint.
    pub client_command: Vec<String>,
    /// The PodTemplate in the client namespace that clients are made from; `None` for image and command above.
    pub client_pod_template: Option<String>,
    /// The key of the annotation and of the label by which the gateways' admission controllers know their clients.
    pub gateway_key: String,
    /// The gateways that may be asked for.
    pub gateways: AllowList,
    /// The address that a gateway injects, with `{gateway}` for its name; `None` for any.
    pub gateway_address: Option<String>,
    /// Whether a client stays gated until its gateway was seen in it.
    pub gateway_verification: Verification,
    /// Where the Kubernetes API is.
    pub kube_api_url: BaseUrl,
    /// The bound on one call to the Kubernetes API, connecting and reading the whole answer included.
    pub kube_api_timeout: Duration,
    /// Where replies go; `None` for the answer to the delivery.
    pub sink: Option<Sink>,
}

/// Whether the gateway is verified before a client may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// The Pod is created gated and released once its gateway was seen in it.
    Required,
    /// The Pod is created without a gate: for clusters that have no scheduling gates.
    Off,
}

/// Scheme and authority of a server: `https://kubernetes.default.svc`, without path.
///
/// A path has no place here: Spin's `allowed_outbound_hosts` takes this very value and denies everything when there
/// is a path in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    scheme: Scheme,
    authority: Authority,
}

impl BaseUrl {
    fn parse(text: &str) -> Option<Self> {
        let parts = text.parse::<Uri>().ok()?.into_parts();
        let scheme = parts.scheme.filter(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS)?;
        let authority = parts.authority.filter(|authority| !authority.as_str().contains('@'))?;
        let path = parts.path_and_query;
        path.is_none_or(|path| path == "/").then_some(Self { scheme, authority })
    }

    /// Whether the connection is encrypted.
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// The absolute URI of `path`, which begins with `/` and is percent-encoded where it has to be.
    pub fn join(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.authority)
    }
}

/// A variable whose value can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the variable {variable} {problem}")]
pub struct ConfigError {
    variable: &'static str,
    problem: String,
}

impl ConfigError {
    fn new(variable: &'static str, problem: impl Into<String>) -> Self {
        Self { variable, problem: problem.into() }
    }
}

impl Config {
    /// Reads every variable through `variable`, which gives a value by its name or says why it can't.
    ///
    /// # Errors
    /// The first variable, in the order of design section 8, whose value can't be used.
    pub fn from_variables(variable: impl Fn(&str) -> Result<String, String>) -> Result<Self, ConfigError> {
        let read = |name: &'static str| match variable(name) {
            Ok(value) => Ok(value.trim().to_owned()),
            Err(problem) => Err(ConfigError::new(name, format!("can't be read: {problem}"))),
        };
        Ok(Self {
            client_namespace: client_namespace(read("client_namespace")?)?,
            client_image: client_image(read("client_image")?)?,
            client_command: client_command(&read("client_command")?)?,
            client_pod_template: client_pod_template(read("client_pod_template")?)?,
            gateway_key: gateway_key(read("gateway_key")?)?,
            gateways: gateways(read("gateways")?)?,
            gateway_address: gateway_address(read("gateway_address")?)?,
            gateway_verification: gateway_verification(&read("gateway_verification")?)?,
            kube_api_url: kube_api_url(&read("kube_api_url")?)?,
            kube_api_timeout: kube_api_timeout(&read("kube_api_timeout")?)?,
            sink: Sink::parse(&read("k_sink")?, &read("k_ce_overrides")?, &read("sink_origin")?)
                .map_err(|(variable, problem)| ConfigError::new(variable, problem))?,
        })
    }

    /// The address that `gateway` has to inject, or `None` where any will do.
    pub fn address_of(&self, gateway: &str) -> Option<String> {
        self.gateway_address.as_ref().map(|pattern| pattern.replace(GATEWAY_PLACEHOLDER, gateway))
    }

    /// How long a call may take; how much may come back is for the caller to say.
    pub fn bounds(&self) -> Bounds {
        Bounds { call: self.kube_api_timeout, delivery: self.delivery_timeout(), answer: 0 }
    }

    /// The bound on one whole delivery, from its first byte to its answer.
    ///
    /// Twice the bound on a call: a create waits for the webhooks of all gateways and may use up one of them, and
    /// what follows it waits for nobody. It has to stay below the Trigger's `delivery.timeout`, so that the broker
    /// hears an answer rather than a silence.
    pub fn delivery_timeout(&self) -> Duration {
        self.kube_api_timeout * 2
    }
}

fn client_namespace(value: String) -> Result<String, ConfigError> {
    if is_dns_label(&value) {
        return Ok(value);
    }
    let problem = format!("is {value:?}, which is no namespace: use up to 63 of a-z, 0-9 and -");
    Err(ConfigError::new("client_namespace", problem))
}

fn client_image(value: String) -> Result<String, ConfigError> {
    if !value.is_empty() && !value.contains(char::is_whitespace) {
        return Ok(value);
    }
    let problem = format!("is {value:?}, which is no image: write it as in registry/repository:tag");
    Err(ConfigError::new("client_image", problem))
}

fn client_command(value: &str) -> Result<Vec<String>, ConfigError> {
    let error = |problem: String| ConfigError::new("client_command", problem);
    if value.is_empty() {
        return Err(error("is empty: write the command, or [] for the image's own entrypoint".into()));
    }
    if value.starts_with('[') {
        let words = parse_fields(value.as_bytes()).map_err(|e| e.to_string()).and_then(list(text));
        return words.map_err(|problem| error(format!("is no JSON array of strings: {problem}")));
    }
    shell_words::split(value).map_err(|e| error(format!("can't be split into words: {e}")))
}

fn client_pod_template(value: String) -> Result<Option<String>, ConfigError> {
    if value.is_empty() || is_dns_subdomain(&value) {
        return Ok(Some(value).filter(|value| !value.is_empty()));
    }
    let problem = format!("is {value:?}, which is no PodTemplate's name: use lower-case letters, digits, - and .");
    Err(ConfigError::new("client_pod_template", problem))
}

fn gateway_key(value: String) -> Result<String, ConfigError> {
    let error = |problem: &str| Err(ConfigError::new("gateway_key", format!("is {value:?}, {problem}")));
    if !is_qualified_name(&value) {
        return error("which can't be the key of a label: use a name such as setGateway or example.com/gateway");
    }
    if RESERVED_PREFIXES.iter().any(|prefix| value.starts_with(prefix)) {
        return error("which the client Pod needs for itself: use a key of your own");
    }
    Ok(value)
}

fn gateways(value: String) -> Result<AllowList, ConfigError> {
    AllowList::parse(value).map_err(|name| {
        let problem = format!("holds {name:?}, which can't be a label value: use names such as foo,bar");
        ConfigError::new("gateways", problem)
    })
}

fn gateway_address(value: String) -> Result<Option<String>, ConfigError> {
    let rest = value.replace(GATEWAY_PLACEHOLDER, "");
    if rest.contains(['{', '}']) || rest.contains(char::is_whitespace) {
        let problem = format!("is {value:?}: the only placeholder is {{gateway}}, and there is no space in an address");
        return Err(ConfigError::new("gateway_address", problem));
    }
    Ok(Some(value).filter(|value| !value.is_empty()))
}

fn gateway_verification(value: &str) -> Result<Verification, ConfigError> {
    match value {
        "required" => Ok(Verification::Required),
        "off" => Ok(Verification::Off),
        _ => Err(ConfigError::new("gateway_verification", format!("is {value:?}: use required or off"))),
    }
}

fn kube_api_url(value: &str) -> Result<BaseUrl, ConfigError> {
    BaseUrl::parse(value).ok_or_else(|| {
        let problem = format!("is {value:?}: use http:// or https:// with a host and no path");
        ConfigError::new("kube_api_url", problem)
    })
}

fn kube_api_timeout(value: &str) -> Result<Duration, ConfigError> {
    let timeout = humantime::parse_duration(value).ok();
    timeout.filter(|timeout| !timeout.is_zero() && *timeout <= LONGEST_TIMEOUT).ok_or_else(|| {
        let problem = format!("is {value:?}: use a time above 0s and up to 10m, such as 15s or 1m30s");
        ConfigError::new("kube_api_timeout", problem)
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The defaults of `spin.toml`, with `changes` laid over them.
    pub(crate) fn variables(changes: &[(&str, &str)]) -> impl Fn(&str) -> Result<String, String> {
        let manifest: toml::Table = include_str!("../spin.toml").parse().unwrap();
        let changes: Vec<(String, String)> = changes.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        move |name| {
            if let Some((_, value)) = changes.iter().find(|(changed, _)| changed == name) {
                return Ok(value.clone());
            }
            let declared = manifest["variables"].get(name).ok_or_else(|| format!("{name} is not declared"))?;
            Ok(declared["default"].as_str().unwrap().to_owned())
        }
    }

    pub(crate) fn config(changes: &[(&str, &str)]) -> Config {
        Config::from_variables(variables(changes)).unwrap()
    }

    #[track_caller]
    fn check_error(variable: &str, value: &str, expected: &str) {
        let error = Config::from_variables(variables(&[(variable, value)])).unwrap_err();
        assert_eq!(error.to_string(), format!("the variable {variable} {expected}"));
    }

    #[test]
    fn the_defaults_of_the_manifest_are_usable() {
        let config = config(&[]);
        assert_eq!(config.client_namespace, "default");
        // With a tag, or every start of a client pulls it.
        assert_eq!(config.client_image, "alpine/curl:8.17.0");
        assert_eq!(config.client_command, ["sleep", "infinity"]);
        assert_eq!(config.gateway_key, "setGateway");
        assert_eq!(config.gateway_verification, Verification::Required);
        assert_eq!(config.kube_api_url.join("/api"), "https://kubernetes.default.svc/api");
        assert_eq!(config.kube_api_timeout, Duration::from_secs(15));
        assert!(config.gateways.allows("anything"));
        assert_eq!(config.address_of("foo"), None);
    }

    #[test]
    fn a_command_is_a_json_array_or_one_line() {
        let command = |value| config(&[("client_command", value)]).client_command;
        assert_eq!(command(r#"["sh", "-c", "a b"]"#), ["sh", "-c", "a b"]);
        assert_eq!(command(r"sh -c 'a b' c\ d"), ["sh", "-c", "a b", "c d"]);
        assert!(command("[]").is_empty());
    }

    #[test]
    fn the_allow_list_and_the_address_know_their_gateways() {
        let config = config(&[("gateways", " foo, bar ,"), ("gateway_address", "gw-{gateway}.svc")]);
        assert!(config.gateways.allows("foo") && !config.gateways.allows("nope"));
        assert_eq!(config.address_of("foo").as_deref(), Some("gw-foo.svc"));
    }

    #[test]
    fn a_bad_value_is_an_error_that_names_its_variable() {
        check_error("client_namespace", "A", "is \"A\", which is no namespace: use up to 63 of a-z, 0-9 and -");
        check_error("client_image", "", "is \"\", which is no image: write it as in registry/repository:tag");
        check_error("client_command", "", "is empty: write the command, or [] for the image's own entrypoint");
        check_error("client_command", "a 'b", "can't be split into words: missing closing quote");
        check_error("client_command", "[1]", "is no JSON array of strings: [0] is not a string");
        check_error("k_sink", "broker", "is \"broker\": use an http:// or https:// URL with a host");
        let problem = "is \"A b\", which is no PodTemplate's name: use lower-case letters, digits, - and .";
        check_error("client_pod_template", "A b", problem);
        check_error("gateway_verification", "yes", "is \"yes\": use required or off");
        check_error("gateways", "a/b", "holds \"a/b\", which can't be a label value: use names such as foo,bar");
        for key in ["", "a b", "app.kubernetes.io/name"] {
            assert!(Config::from_variables(variables(&[("gateway_key", key)])).is_err(), "{key:?}");
        }
        for address in ["gw-{name}", "a b", "{"] {
            assert!(Config::from_variables(variables(&[("gateway_address", address)])).is_err(), "{address:?}");
        }
    }

    #[test]
    fn the_api_url_has_a_scheme_and_a_host_and_nothing_else() {
        for url in ["http://127.0.0.1:8001", "https://kubernetes.default.svc/", "http://[::1]:1"] {
            assert!(Config::from_variables(variables(&[("kube_api_url", url)])).is_ok(), "{url:?}");
        }
        for url in ["", "kubernetes", "ftp://a", "http://a/b", "http://a?b", "http://user@a", "http://"] {
            let expected = format!("is {url:?}: use http:// or https:// with a host and no path");
            check_error("kube_api_url", url, &expected);
        }
    }

    #[test]
    fn a_timeout_is_bounded_on_both_sides() {
        for time in ["", "0s", "15", "11m", "-1s"] {
            assert!(Config::from_variables(variables(&[("kube_api_timeout", time)])).is_err(), "{time:?}");
        }
        assert_eq!(config(&[("kube_api_timeout", "1m30s")]).delivery_timeout(), Duration::from_secs(180));
    }

    #[test]
    fn a_variable_that_cannot_be_read_is_named() {
        let error = Config::from_variables(|_| Err("undefined".into())).unwrap_err();
        assert_eq!(error.to_string(), "the variable client_namespace can't be read: undefined");
    }
}
