//! Reads Spin variables into a [`Config`].
//!
//! Every value of a `Config` is valid, so no other module checks it again. An invalid value is a [`ConfigError`] that
//! names the variable and says what to write instead. The variables come from a function, because the core reads
//! nothing itself. `docs/configuration.md`, "Variables".

use std::time::Duration;

use chrono::TimeDelta;

use crate::names::{is_dns_label, is_dns_subdomain, is_label_value, is_qualified_name};
use crate::outbound::Bounds;
use crate::sink::Sink;
use crate::url::{BaseUrl, IPV6_NEEDS_PORT, LOWER_CASE, NO_PASSWORD, has_capitals};

/// The placeholder for the gateway's name in `gateway_address`.
pub const GATEWAY_PLACEHOLDER: &str = "{gateway}";

/// The largest allowed `kube_api_timeout`.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(600);

/// The largest allowed value of all other times. Kubernetes counts the seconds of `activeDeadlineSeconds` in 32 bits.
const LONGEST_TIME: Duration = Duration::from_secs(i32::MAX as u64);

/// The prefixes of label keys that every client Pod has, and that `gateway_key` must not overwrite.
const RESERVED_PREFIXES: [&str; 2] = ["app.kubernetes.io/", "podgateway.io/"];

/// The configuration, fixed for the life of the process.
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
    /// How long a client may run, in seconds, unless its PodTemplate says; `None` for ever.
    pub client_ttl: Option<u64>,
    /// The age at which the sweep settles a gated Pod.
    pub client_patience: TimeDelta,
    /// How long the Pod of a client that has ended is kept; `None` for ever.
    pub client_retention: Option<TimeDelta>,
    /// The key of the annotation and label by which the gateways' admission controllers know their clients.
    pub gateway_key: String,
    /// The allowed gateways, separated by commas; empty for any.
    gateways: String,
    /// The address that a gateway injects, with `{gateway}` for its name; `None` for any.
    pub gateway_address: Option<String>,
    /// Whether a client stays gated until its gateway is verified.
    pub gateway_verification: Verification,
    /// The URL of the Kubernetes API.
    pub kube_api_url: BaseUrl,
    /// The time limit of a call to the Kubernetes API, from connecting to the end of the answer.
    pub kube_api_timeout: Duration,
    /// Where events go; `None` for the HTTP response.
    pub sink: Option<Sink>,
    /// The audience of the token that senders need; `None` if any sender may deliver.
    pub sender_audience: Option<String>,
    /// With `sender_audience`: the users who may deliver, separated by commas; empty for everybody with such a token.
    sender_subjects: String,
}

/// Whether the gateway is verified before a client may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// The Pod is created with a gate and released once its gateway is verified.
    Required,
    /// The Pod is created without a gate, for clusters without scheduling gates.
    Off,
}

/// A variable with an invalid value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the variable {variable} {problem}")]
pub struct ConfigError {
    variable: &'static str,
    problem: String,
}

impl Config {
    /// Reads every variable with `variable`, which returns a value by name, or why there is none.
    ///
    /// # Errors
    /// The first variable with an invalid value, in the order of this function.
    pub fn from_variables(variable: impl Fn(&str) -> Result<String, String>) -> Result<Self, ConfigError> {
        let text = |name| match variable(name) {
            Ok(value) => Ok(value.trim().to_owned()),
            Err(problem) => Err(ConfigError { variable: name, problem: format!("can't be read: {problem}") }),
        };
        let word = |name, is_sound: fn(&str) -> bool, problem| {
            let value = text(name)?;
            if is_sound(&value) { Ok(value) } else { Err(bad(name, &value, problem)) }
        };
        let optional =
            |name, is_sound, problem| Ok(Some(word(name, is_sound, problem)?).filter(|word| !word.is_empty()));
        let config = Self {
            client_namespace: word("client_namespace", is_dns_label, NO_NAMESPACE)?,
            client_image: word("client_image", is_image, NO_IMAGE)?,
            client_command: client_command(&text("client_command")?)?,
            client_pod_template: optional("client_pod_template", is_optional_name, NO_NAME)?,
            client_ttl: client_ttl(&text("client_ttl")?)?,
            client_patience: time("client_patience", &text("client_patience")?)?,
            client_retention: client_retention(&text("client_retention")?)?,
            gateway_key: gateway_key(word("gateway_key", is_qualified_name, NO_KEY)?)?,
            gateways: gateways(text("gateways")?)?,
            gateway_address: optional("gateway_address", is_pattern, NO_PATTERN)?,
            gateway_verification: gateway_verification(&text("gateway_verification")?)?,
            kube_api_url: kube_api_url(&text("kube_api_url")?)?,
            kube_api_timeout: kube_api_timeout(&text("kube_api_timeout")?)?,
            sink: Sink::parse(&text("k_sink")?, &text("k_ce_overrides")?, &text("sink_origin")?)
                .map_err(|(variable, problem)| ConfigError { variable, problem })?,
            sender_subjects: word("sender_subjects", are_subjects, NO_SUBJECTS)?,
            sender_audience: optional("sender_audience", is_audience, NO_AUDIENCE)?,
        };
        match config.sender_audience.is_none() && !config.sender_subjects.is_empty() {
            true => Err(bad("sender_subjects", &config.sender_subjects, NO_REVIEW)),
            false => Ok(config),
        }
    }

    /// The allowed gateways; none if any is allowed.
    pub fn gateways(&self) -> impl Iterator<Item = &str> {
        names(&self.gateways)
    }

    /// Whether `gateway` is allowed.
    pub fn allows(&self, gateway: &str) -> bool {
        self.gateways().next().is_none() || self.gateways().any(|allowed| allowed == gateway)
    }

    /// The users who may deliver, if senders need a token; none if everybody with a token may.
    pub fn sender_subjects(&self) -> impl Iterator<Item = &str> {
        names(&self.sender_subjects)
    }

    /// The address that `gateway` has to inject; `None` if any is accepted.
    pub fn address_of(&self, gateway: &str) -> Option<String> {
        self.gateway_address.as_ref().map(|pattern| pattern.replace(GATEWAY_PLACEHOLDER, gateway))
    }

    /// The time limits of a call. The caller sets the size of its answer.
    pub fn bounds(&self) -> Bounds {
        Bounds { call: self.kube_api_timeout, delivery: self.delivery_timeout(), answer: 0 }
    }

    /// The time limit of a whole delivery, from its first byte to its answer.
    ///
    /// It is twice the limit of a call: a create waits for the gateways' webhooks and may use up one of them, and the
    /// calls after it wait for nobody. It has to be less than the Trigger's `delivery.timeout`, or the broker gives up
    /// before it gets the answer.
    pub fn delivery_timeout(&self) -> Duration {
        self.kube_api_timeout * 2
    }
}

const NO_NAMESPACE: &str = ", which is not a namespace: use up to 63 of a-z, 0-9 and -";
const NO_IMAGE: &str = ", which is not an image: use registry/repository:tag, without capitals in the repository";
const NO_NAME: &str = ", which is not a PodTemplate's name: use lower-case letters, digits, - and .";
const NO_KEY: &str = ", which can't be the key of a label: use a name such as setGateway or example.com/gateway";
const RESERVED_KEY: &str = ", which the client Pod needs for itself: use a key of your own";
const NO_PATTERN: &str = ": the only placeholder is {gateway}, and there is no space in an address";
const NO_URL: &str = ": use http:// or https:// with a host and no path";
const NO_TIMEOUT: &str = ": use a time above 0s and up to 10m, such as 15s or 1m30s";

const NO_AUDIENCE: &str = ", which has a space in it: use the audience that the Trigger's subscriber has";
const NO_SUBJECTS: &str = ": use names such as system:serviceaccount:client-system:trigger, separated by commas";
const NO_REVIEW: &str = ", and nobody is asked for a token: set sender_audience as well";
const NO_GATEWAYS: &str = ", which names no gateway: use names such as foo,bar, or leave it empty to allow any";
const NO_TTL: &str = ": use a time of 1s or more, such as 12h, or leave it empty";
const NO_TIME: &str = ": use a time such as 20m or 1h30m";
const NO_RETENTION: &str = ": use a time such as 1h, 0s for at once, or off";

/// The error about an invalid value; `problem` is the end of the sentence.
fn bad(variable: &'static str, value: &str, problem: &str) -> ConfigError {
    ConfigError { variable, problem: format!("is {value:?}{problem}") }
}

/// No node can pull from a repository with capitals, and the API server doesn't say so. A registry and a tag may have some.
fn is_image(value: &str) -> bool {
    let path = value.split_once('/').map_or(value, |(_, path)| path);
    let mut repository = path.bytes().take_while(|byte| !b":@".contains(byte));
    !value.is_empty() && !value.contains(char::is_whitespace) && !repository.any(|byte| byte.is_ascii_uppercase())
}

fn is_optional_name(value: &str) -> bool {
    value.is_empty() || is_dns_subdomain(value)
}

fn is_pattern(value: &str) -> bool {
    let rest = value.replace(GATEWAY_PLACEHOLDER, "");
    !rest.contains(['{', '}', '$']) && !rest.contains(char::is_whitespace)
}

fn is_audience(value: &str) -> bool {
    !value.contains(char::is_whitespace)
}

fn are_subjects(value: &str) -> bool {
    holds_names(value) && names(value).all(|name| !name.contains(char::is_whitespace))
}

/// A list that names nobody would allow everybody.
fn holds_names(list: &str) -> bool {
    list.is_empty() || names(list).next().is_some()
}

fn client_command(value: &str) -> Result<Vec<String>, ConfigError> {
    let command = match value.as_bytes().first() {
        None => Err("is empty: write the command, or [] for the image's own entrypoint".to_owned()),
        Some(b'[') => serde_json::from_str(value).map_err(|e| format!("is not a JSON array of strings: {e}")),
        Some(b'#') => Err("begins with #, as a comment does: quote the word".to_owned()),
        Some(_) => shell_words::split(value).map_err(|e| format!("can't be split into words: {e}")),
    };
    command.map_err(|problem| ConfigError { variable: "client_command", problem })
}

fn gateway_key(value: String) -> Result<String, ConfigError> {
    let is_reserved = RESERVED_PREFIXES.iter().any(|prefix| value.starts_with(prefix));
    if is_reserved { Err(bad("gateway_key", &value, RESERVED_KEY)) } else { Ok(value) }
}

fn names(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim_ascii).filter(|name| !name.is_empty())
}

fn gateways(value: String) -> Result<String, ConfigError> {
    if !holds_names(&value) {
        return Err(bad("gateways", &value, NO_GATEWAYS));
    }
    if let Some(name) = names(&value).find(|name| !is_label_value(name)) {
        let problem = format!("holds {name:?}, which can't be a label value: use names such as foo,bar");
        return Err(ConfigError { variable: "gateways", problem });
    }
    Ok(value)
}

fn gateway_verification(value: &str) -> Result<Verification, ConfigError> {
    match value {
        "required" => Ok(Verification::Required),
        "off" => Ok(Verification::Off),
        _ => Err(bad("gateway_verification", value, ": use required or off")),
    }
}

fn kube_api_url(value: &str) -> Result<BaseUrl, ConfigError> {
    match BaseUrl::parse(value) {
        Some(url) if url.lacks_port() => Err(bad("kube_api_url", value, &format!(": {IPV6_NEEDS_PORT}"))),
        Some(_) if has_capitals(value) => Err(bad("kube_api_url", value, &format!(": {LOWER_CASE}"))),
        None if value.contains('@') => Err(ConfigError { variable: "kube_api_url", problem: NO_PASSWORD.to_owned() }),
        url => url.ok_or_else(|| bad("kube_api_url", value, NO_URL)),
    }
}

/// An `M` would be a month, and whoever writes `20M` means minutes.
fn duration(value: &str) -> Option<Duration> {
    humantime::parse_duration(value).ok().filter(|time| *time <= LONGEST_TIME && !value.contains('M'))
}

fn time(variable: &'static str, value: &str) -> Result<TimeDelta, ConfigError> {
    let time = duration(value).and_then(|time| TimeDelta::from_std(time).ok());
    time.ok_or_else(|| bad(variable, value, NO_TIME))
}

fn client_ttl(value: &str) -> Result<Option<u64>, ConfigError> {
    match duration(value).map(|time| time.as_secs()) {
        _ if value.is_empty() => Ok(None),
        Some(seconds) if seconds > 0 => Ok(Some(seconds)),
        _ => Err(bad("client_ttl", value, NO_TTL)),
    }
}

fn client_retention(value: &str) -> Result<Option<TimeDelta>, ConfigError> {
    match value {
        "off" => Ok(None),
        _ => time("client_retention", value).map(Some).map_err(|_| bad("client_retention", value, NO_RETENTION)),
    }
}

fn kube_api_timeout(value: &str) -> Result<Duration, ConfigError> {
    let timeout = duration(value);
    let usable = timeout.filter(|timeout| !timeout.is_zero() && *timeout <= LONGEST_TIMEOUT);
    usable.ok_or_else(|| bad("kube_api_timeout", value, NO_TIMEOUT))
}

#[cfg(test)]
mod tests;
