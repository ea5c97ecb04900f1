//! How a provisioner is set up, and how the core is asked what it would do.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use chrono::Utc;
use host::manifest::{Manifest, Mounts};
use http::Request;
use provisioner::endpoint::{self, Answered, Body, Surroundings};
use provisioner::outbound::Outbound;
use serde::{Deserialize, Serialize};
use tests::provisioner::repository;

/// What a provisioner has to know, as one process tells the other.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setup {
    /// `kube_api_url`.
    pub url: String,
    /// Whom it trusts.
    pub ca_file: PathBuf,
    /// A directory with a file `token`, as it is mounted.
    pub service_account: PathBuf,
    /// `client_namespace`.
    pub namespace: String,
    /// Further variables.
    pub variables: BTreeMap<String, String>,
}

impl Setup {
    /// The same with one more variable.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut setup = self.clone();
        setup.variables.insert(name.to_owned(), value.to_owned());
        setup
    }

    /// Every variable of the application that isn't left at its default.
    pub fn set_variables(&self) -> BTreeMap<String, String> {
        let mut all = self.variables.clone();
        all.insert("kube_api_url".to_owned(), self.url.clone());
        all.insert("client_namespace".to_owned(), self.namespace.clone());
        all
    }

    /// Whether a Pod's gateway is looked at, which takes a second call.
    pub fn is_verified(&self) -> bool {
        self.variables.get("gateway_verification").is_none_or(|value| value != "off")
    }
}

/// The core outside of WebAssembly: everything but the calls.
pub struct Core {
    variables: BTreeMap<String, String>,
    token_file: PathBuf,
}

impl Core {
    /// Reads the defaults from `spin.toml`.
    pub fn new(setup: &Setup) -> Self {
        let manifest = Manifest::load(&repository().join("spin.toml"), &Mounts::new()).expect("spin.toml is sound");
        let defaults = manifest.variables.into_iter();
        let mut variables: BTreeMap<_, _> =
            defaults.filter_map(|(name, variable)| Some((name, variable.default?))).collect();
        variables.extend(setup.set_variables());
        Self { variables, token_file: setup.service_account.join("token") }
    }

    /// What the component does with a request, by way of `outbound`.
    pub async fn answer(&self, request: Request<Body>, outbound: &impl Outbound) -> Answered {
        let variable = |name: &str| self.variables.get(name).cloned().ok_or_else(|| format!("no {name}"));
        let token = || std::fs::read_to_string(&self.token_file).map_err(|error| error.to_string());
        let surroundings =
            Surroundings { now: Utc::now(), variable: &variable, token: &token, sink_token: &|| Ok(None) };
        endpoint::answer(request, &surroundings, outbound).await
    }
}

/// The longest that anything may take.
pub const PATIENCE: Duration = Duration::from_secs(60);
