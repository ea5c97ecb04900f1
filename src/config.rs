//! Spin variables in, [`Config`] out: the first stop of the data path.
//!
//! Parse, don't validate: once there is a `Config`, every value in it is usable, and nothing behind it checks one
//! again. A value that can't be used is one [`ConfigError`] that names the variable and says what to write instead.
//! The variables themselves come in as a function, because the core reads nothing. `docs/configuration.md`, "Variables".

use std::time::Duration;

use crate::names::{is_dns_label, is_dns_subdomain, is_label_value, is_qualified_name};
use crate::outbound::Bounds;
use crate::sink::Sink;
use crate::url::{BaseUrl, IPV6_NEEDS_PORT};

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
    /// The gateways that may be asked for, separated by commas; empty for any.
    gateways: String,
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
    /// The first variable, in the order of this function, whose value can't be used.
    pub fn from_variables(variable: impl Fn(&str) -> Result<String, String>) -> Result<Self, ConfigError> {
        let read = |name: &'static str| match variable(name) {
            Ok(value) => Ok(value.trim().to_owned()),
            Err(problem) => Err(ConfigError::new(name, format!("can't be read: {problem}"))),
        };
        let sound = |name, is_sound: fn(&str) -> bool, problem: &str| match read(name)? {
            value if is_sound(&value) => Ok(value),
            value => Err(ConfigError::new(name, format!("is {value:?}{problem}"))),
        };
        let given = |value: String| Some(value).filter(|value| !value.is_empty());
        Ok(Self {
            client_namespace: sound("client_namespace", is_dns_label, NO_NAMESPACE)?,
            client_image: sound("client_image", is_image, NO_IMAGE)?,
            client_command: client_command(&read("client_command")?)?,
            client_pod_template: given(sound("client_pod_template", is_optional_name, NO_NAME)?),
            gateway_key: gateway_key(read("gateway_key")?)?,
            gateways: gateways(read("gateways")?)?,
            gateway_address: given(sound("gateway_address", is_pattern, NO_PATTERN)?),
            gateway_verification: gateway_verification(&read("gateway_verification")?)?,
            kube_api_url: kube_api_url(&read("kube_api_url")?)?,
            kube_api_timeout: kube_api_timeout(&read("kube_api_timeout")?)?,
            sink: Sink::parse(&read("k_sink")?, &read("k_ce_overrides")?, &read("sink_origin")?)
                .map_err(|(variable, problem)| ConfigError::new(variable, problem))?,
        })
    }

    /// The gateways that may be asked for; none for any.
    pub fn gateways(&self) -> impl Iterator<Item = &str> {
        names(&self.gateways)
    }

    /// Whether clients of `gateway` may be made.
    pub fn allows(&self, gateway: &str) -> bool {
        self.gateways().next().is_none() || self.gateways().any(|allowed| allowed == gateway)
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

const NO_NAMESPACE: &str = ", which is no namespace: use up to 63 of a-z, 0-9 and -";
const NO_IMAGE: &str = ", which is no image: write it as in registry/repository:tag";
const NO_NAME: &str = ", which is no PodTemplate's name: use lower-case letters, digits, - and .";
const NO_PATTERN: &str = ": the only placeholder is {gateway}, and there is no space in an address";

fn is_image(value: &str) -> bool {
    !value.is_empty() && !value.contains(char::is_whitespace)
}

fn is_optional_name(value: &str) -> bool {
    value.is_empty() || is_dns_subdomain(value)
}

fn is_pattern(value: &str) -> bool {
    let rest = value.replace(GATEWAY_PLACEHOLDER, "");
    !rest.contains(['{', '}']) && !rest.contains(char::is_whitespace)
}

fn client_command(value: &str) -> Result<Vec<String>, ConfigError> {
    let error = |problem: String| ConfigError::new("client_command", problem);
    if value.is_empty() {
        return Err(error("is empty: write the command, or [] for the image's own entrypoint".into()));
    }
    if value.starts_with('[') {
        return serde_json::from_str(value).map_err(|e| error(format!("is no JSON array of strings: {e}")));
    }
    shell_words::split(value).map_err(|e| error(format!("can't be split into words: {e}")))
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

fn names(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim_ascii).filter(|name| !name.is_empty())
}

fn gateways(value: String) -> Result<String, ConfigError> {
    if let Some(name) = names(&value).find(|name| !is_label_value(name)) {
        let problem = format!("holds {name:?}, which can't be a label value: use names such as foo,bar");
        return Err(ConfigError::new("gateways", problem));
    }
    Ok(value)
}

fn gateway_verification(value: &str) -> Result<Verification, ConfigError> {
    match value {
        "required" => Ok(Verification::Required),
        "off" => Ok(Verification::Off),
        _ => Err(ConfigError::new("gateway_verification", format!("is {value:?}: use required or off"))),
    }
}

fn kube_api_url(value: &str) -> Result<BaseUrl, ConfigError> {
    let error = |problem: &str| ConfigError::new("kube_api_url", format!("is {value:?}: {problem}"));
    let url = BaseUrl::parse(value).ok_or_else(|| error("use http:// or https:// with a host and no path"))?;
    if url.lacks_port() {
        return Err(error(IPV6_NEEDS_PORT));
    }
    Ok(url)
}

fn kube_api_timeout(value: &str) -> Result<Duration, ConfigError> {
    let timeout = humantime::parse_duration(value).ok();
    timeout.filter(|timeout| !timeout.is_zero() && *timeout <= LONGEST_TIMEOUT).ok_or_else(|| {
        let problem = format!("is {value:?}: use a time above 0s and up to 10m, such as 15s or 1m30s");
        ConfigError::new("kube_api_timeout", problem)
    })
}

#[cfg(test)]
mod tests;
