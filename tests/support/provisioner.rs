//! The built component in the native host.

use std::collections::BTreeMap;
use std::path::PathBuf;

use local::spin::{Application, FuelMeter, LogCapture, Logs, Options, RuntimeConfig, VariableSources};
use tempfile::TempDir;

use crate::TOKEN;
use crate::events::{Delivery, Reply};

/// The checked-in application with its built component; dropping it removes its mounts, and says what was logged where a
/// test has failed.
pub struct Provisioner {
    application: Application,
    service_account: TempDir,
    logs: LogCapture,
}

impl Provisioner {
    /// Starts the application against the API at `kube_api_url`, with `variables` set.
    pub fn start(kube_api_url: &str, variables: &[(&str, &str)]) -> Self {
        Self::start_with(kube_api_url, variables, RuntimeConfig::default())
    }

    /// The same, where the component's work is measured.
    pub fn start_metered(kube_api_url: &str, variables: &[(&str, &str)]) -> (Self, FuelMeter) {
        let meter = FuelMeter::default();
        (Self::load(kube_api_url, variables, RuntimeConfig::default(), Some(meter.clone())), meter)
    }

    /// The same, with a runtime config.
    pub fn start_with(kube_api_url: &str, variables: &[(&str, &str)], runtime_config: RuntimeConfig) -> Self {
        Self::load(kube_api_url, variables, runtime_config, None)
    }

    fn load(
        kube_api_url: &str,
        variables: &[(&str, &str)],
        runtime_config: RuntimeConfig,
        fuel: Option<FuelMeter>,
    ) -> Self {
        let service_account = tempfile::tempdir().expect("there is room for a token");
        let logs = LogCapture::default();
        let api = [("kube_api_url", kube_api_url)];
        let flags = api.iter().chain(variables);
        let options = Options {
            variables: VariableSources {
                flags: flags.map(|(name, value)| (name.to_string(), value.to_string())).collect(),
                ..VariableSources::default()
            },
            runtime_config,
            mounts: BTreeMap::from([("/serviceaccount".to_owned(), service_account.path().to_owned())]),
            logs: Logs::Capture(logs.clone()),
            fuel,
            ..Options::default()
        };
        let application = Application::load(&repository().join("spin.toml"), options)
            .unwrap_or_else(|error| panic!("{error} (make test builds the component first)"));
        let provisioner = Self { application, service_account, logs };
        provisioner.write_token(TOKEN);
        provisioner
    }

    /// Puts another token in the place of the one that is mounted.
    pub fn write_token(&self, token: &str) {
        std::fs::write(self.token_file(), token).expect("the token can be written");
    }

    /// Where the mounted token is.
    pub fn token_file(&self) -> PathBuf {
        self.service_account.path().join("token")
    }

    /// Delivers a request and reads the whole answer. Dropping the future ends the instance where it stands.
    pub async fn deliver(&self, request: Delivery) -> Reply {
        Reply::read(self.application.handle(request).await.expect("there is an answer")).await
    }

    /// The application itself, to be served.
    pub fn application(&self) -> Application {
        self.application.clone()
    }

    /// Everything that was written to stdout and stderr so far.
    pub fn logs(&self) -> &LogCapture {
        &self.logs
    }
}

impl Drop for Provisioner {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the provisioner logged:\n{}", self.logs.text());
        }
    }
}

/// The root of the repository.
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}
