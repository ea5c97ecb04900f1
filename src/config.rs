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
use crate::url::BaseUrl;

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
        let variables = Variables(variable);
        let text = |name| variables.parsed(name, |value| Ok(value.to_owned()));
        let config = Self {
            client_namespace: variables.word("client_namespace", is_dns_label, NO_NAMESPACE)?,
            client_image: variables.word("client_image", is_image, NO_IMAGE)?,
            client_command: variables.parsed("client_command", client_command)?,
            client_pod_template: given(variables.word("client_pod_template", is_optional_name, NO_NAME)?),
            client_ttl: variables.parsed("client_ttl", client_ttl)?,
            client_patience: variables.parsed("client_patience", |value| time(value, NO_TIME))?,
            client_retention: variables.parsed("client_retention", client_retention)?,
            gateway_key: variables.parsed("gateway_key", gateway_key)?,
            gateways: variables.parsed("gateways", gateways)?,
            gateway_address: given(variables.word("gateway_address", is_pattern, NO_PATTERN)?),
            gateway_verification: variables.parsed("gateway_verification", gateway_verification)?,
            kube_api_url: variables.parsed("kube_api_url", BaseUrl::parse)?,
            kube_api_timeout: variables.parsed("kube_api_timeout", kube_api_timeout)?,
            sink: Sink::parse(&text("k_sink")?, &text("k_ce_overrides")?, &text("sink_origin")?)
                .map_err(|(variable, problem)| ConfigError { variable, problem })?,
            sender_subjects: variables.word("sender_subjects", are_subjects, NO_SUBJECTS)?,
            sender_audience: given(variables.word("sender_audience", is_audience, NO_AUDIENCE)?),
        };
        let is_asked = config.sender_audience.is_some() || config.sender_subjects.is_empty();
        match sound(&config.sender_subjects, is_asked, NO_REVIEW) {
            Ok(_) => Ok(config),
            Err(problem) => Err(ConfigError { variable: "sender_subjects", problem }),
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

/// Reads variables by name.
struct Variables<F>(F);

impl<F: Fn(&str) -> Result<String, String>> Variables<F> {
    /// What `parse` makes of a value, or what it says about it.
    fn parsed<T>(&self, name: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> Result<T, ConfigError> {
        let value = (self.0)(name).map_err(|problem| format!("can't be read: {problem}"));
        value.and_then(|value| parse(value.trim())).map_err(|problem| ConfigError { variable: name, problem })
    }

    /// A text that is sound; `problem` ends the sentence about any other.
    fn word(&self, name: &'static str, is_sound: fn(&str) -> bool, problem: &str) -> Result<String, ConfigError> {
        self.parsed(name, |value| sound(value, is_sound(value), problem))
    }
}

const NO_NAMESPACE: &str = ", which is not a namespace: use up to 63 of a-z, 0-9 and -";
const NO_IMAGE: &str = ", which is not an image: use registry/repository:tag, without capitals in the repository";
const NO_NAME: &str = ", which is not a PodTemplate's name: use lower-case letters, digits, - and .";
const NO_KEY: &str = ", which can't be the key of a label: use a name such as setGateway or example.com/gateway";
const RESERVED_KEY: &str = ", which the client Pod needs for itself: use a key of your own";
const NO_PATTERN: &str = ": the only placeholder is {gateway}, and there is no space in an address";

const NO_AUDIENCE: &str = ", which has a space in it: use the audience that the Trigger's subscriber has";
const NO_SUBJECTS: &str = ": use names such as system:serviceaccount:client-system:trigger, separated by commas";
const NO_REVIEW: &str = ", and nobody is asked for a token: set sender_audience as well";
const NO_GATEWAYS: &str = ", which names no gateway: use names such as foo,bar, or leave it empty to allow any";
const NO_TIME: &str = ": use a time such as 20m or 1h30m";

/// What is wrong with a value; `problem` is the end of the sentence.
fn bad(value: &str, problem: &str) -> String {
    format!("is {value:?}{problem}")
}

/// The value, if it is sound.
fn sound(value: &str, is_sound: bool, problem: &str) -> Result<String, String> {
    if is_sound { Ok(value.to_owned()) } else { Err(bad(value, problem)) }
}

/// `None` for an empty value.
fn given(word: String) -> Option<String> {
    Some(word).filter(|word| !word.is_empty())
}

/// No node can pull from a repository with capitals or without a name, nor a tag that is empty, and the API server
/// doesn't say so. A registry and a tag may have capitals.
fn is_image(value: &str) -> bool {
    let path = value.split_once('/').map_or(value, |(_, path)| path);
    let mut repository = path.bytes().take_while(|byte| !b":@".contains(byte)).peekable();
    let is_cut = matches!(value.as_bytes().last(), Some(b':' | b'@'))
        || value.contains(":@")
        || value.split('/').any(str::is_empty);
    let is_named = repository.peek().is_some() && !repository.any(|byte| byte.is_ascii_uppercase());
    is_named && !is_cut && !value.contains(char::is_whitespace)
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

fn client_command(value: &str) -> Result<Vec<String>, String> {
    match value.as_bytes().first() {
        None => Err("is empty: write the command, or [] for the image's own entrypoint".to_owned()),
        Some(b'[') => serde_json::from_str(value).map_err(|e| format!("is not a JSON array of strings: {e}")),
        Some(b'#') => Err("begins with #, as a comment does: quote the word".to_owned()),
        Some(_) => shell_words::split(value).map_err(|e| format!("can't be split into words: {e}")),
    }
}

fn gateway_key(value: &str) -> Result<String, String> {
    let is_reserved = RESERVED_PREFIXES.iter().any(|prefix| value.starts_with(prefix));
    sound(value, is_qualified_name(value), NO_KEY)?;
    sound(value, !is_reserved, RESERVED_KEY)
}

fn names(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim_ascii).filter(|name| !name.is_empty())
}

fn gateways(value: &str) -> Result<String, String> {
    match names(value).find(|name| !is_label_value(name)) {
        Some(name) => Err(format!("holds {name:?}, which can't be a label value: use names such as foo,bar")),
        None => sound(value, holds_names(value), NO_GATEWAYS),
    }
}

fn gateway_verification(value: &str) -> Result<Verification, String> {
    match value {
        "required" => Ok(Verification::Required),
        "off" => Ok(Verification::Off),
        _ => Err(bad(value, ": use required or off")),
    }
}

/// An `M` would be a month, and whoever writes `20M` means minutes.
fn duration(value: &str) -> Option<Duration> {
    humantime::parse_duration(value).ok().filter(|time| *time <= LONGEST_TIME && !value.contains('M'))
}

fn time(value: &str, problem: &str) -> Result<TimeDelta, String> {
    let time = duration(value).and_then(|time| TimeDelta::from_std(time).ok());
    time.ok_or_else(|| bad(value, problem))
}

fn client_ttl(value: &str) -> Result<Option<u64>, String> {
    match duration(value).map(|time| time.as_secs()) {
        _ if value.is_empty() => Ok(None),
        Some(seconds) if seconds > 0 => Ok(Some(seconds)),
        _ => Err(bad(value, ": use a time from 1s to 68y, such as 12h, or leave it empty")),
    }
}

fn client_retention(value: &str) -> Result<Option<TimeDelta>, String> {
    match value {
        "off" => Ok(None),
        _ => time(value, ": use a time such as 1h, 0s for at once, or off").map(Some),
    }
}

fn kube_api_timeout(value: &str) -> Result<Duration, String> {
    let usable = duration(value).filter(|timeout| !timeout.is_zero() && *timeout <= LONGEST_TIMEOUT);
    usable.ok_or_else(|| bad(value, ": use a time above 0s and up to 10m, such as 15s or 1m30s"))
}

#[cfg(test)]
mod tests;
