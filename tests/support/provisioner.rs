//! The built component in its host.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use host::{Application, Code, Compile, Options, RuntimeConfig, Setup, VariableSources};
use local::kubernetes::{Config, EmbeddedApi};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::TOKEN;
use crate::events::{Delivery, Reply};
use crate::recorder::Recorder;

/// The built component, compiled once for all tests of a process.
static CODE: LazyLock<Code> = LazyLock::new(|| compiled(Compile::default()));
/// The same, counting its own work.
static METERED: LazyLock<Code> = LazyLock::new(|| compiled(Compile { counts_fuel: true, ..Compile::default() }));

fn compiled(how: Compile) -> Code {
    let component = crate::manifests::application().component.source;
    Code::compile(&component, how).unwrap_or_else(|error| panic!("{error} (make test builds the component first)"))
}

/// The checked-in application with its built component; dropping it removes its mounts, and says what was logged where a
/// test has failed.
pub struct Provisioner {
    application: Application,
    service_account: TempDir,
    oidc: TempDir,
    recorder: Arc<Recorder>,
}

impl Provisioner {
    /// Starts the application against the API at `kube_api_url`, with `variables` set.
    pub fn start(kube_api_url: &str, variables: &[(&str, &str)]) -> Self {
        Self::start_with(kube_api_url, variables, RuntimeConfig::default())
    }

    /// The same, where the component's work is measured.
    pub fn start_metered(kube_api_url: &str, variables: &[(&str, &str)]) -> Self {
        Self::load(kube_api_url, variables, RuntimeConfig::default(), &METERED)
    }

    /// The same, with a runtime config.
    pub fn start_with(kube_api_url: &str, variables: &[(&str, &str)], runtime_config: RuntimeConfig) -> Self {
        Self::load(kube_api_url, variables, runtime_config, &CODE)
    }

    fn load(kube_api_url: &str, variables: &[(&str, &str)], runtime_config: RuntimeConfig, code: &Code) -> Self {
        let [service_account, oidc] = [(); 2].map(|()| tempfile::tempdir().expect("there is room for a token"));
        let mount = |path: &str, directory: &TempDir| (path.to_owned(), directory.path().to_owned());
        let recorder = Arc::<Recorder>::default();
        let api = [("kube_api_url", kube_api_url)];
        let flags = api.iter().chain(variables);
        let options = Options {
            variables: VariableSources {
                flags: flags.map(|(name, value)| (name.to_string(), value.to_string())).collect(),
                ..VariableSources::default()
            },
            runtime_config,
            mounts: BTreeMap::from([mount("/serviceaccount", &service_account), mount("/oidc", &oidc)]),
            observer: Some(recorder.clone()),
        };
        let setup = Setup::load(&repository().join("spin.toml"), options).unwrap_or_else(|error| panic!("{error}"));
        let application = Application::new(setup, code.clone());
        let provisioner = Self { application, service_account, oidc, recorder };
        provisioner.write_token(TOKEN);
        provisioner
    }

    /// Puts another token in the place of the one that is mounted.
    pub fn write_token(&self, token: &str) {
        std::fs::write(self.token_file(), token).expect("the token can be written");
    }

    /// Where a SinkBinding mounts a token for the sink.
    pub fn sink_token_file(&self) -> PathBuf {
        self.oidc.path().join("token")
    }

    /// Where the mounted token is.
    pub fn token_file(&self) -> PathBuf {
        self.service_account.path().join("token")
    }

    /// Delivers a request and reads the whole answer. Dropping the future ends the instance where it stands.
    pub async fn deliver(&self, request: Delivery) -> Reply {
        Reply::read(self.application.handle(request).await).await
    }

    /// Serves it at the URL that is given back, until `shutdown` is ready.
    pub async fn serve(&self, shutdown: impl Future<Output = ()> + Send + 'static) -> (String, JoinHandle<()>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let router = self.application.clone().router();
        let serving = tokio::spawn(host::serve(listener, router, shutdown, Duration::from_secs(10)));
        (format!("http://{address}"), serving)
    }

    /// What was written to stdout and stderr so far, and what instances used.
    pub fn logs(&self) -> &Recorder {
        &self.recorder
    }
}

impl Drop for Provisioner {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the provisioner logged:\n{}", self.recorder.text());
        }
    }
}

/// The embedded Kubernetes API with its usual gateways, which knows the token of the tests.
///
/// # Panics
/// When there is no port.
pub async fn embedded_api() -> EmbeddedApi {
    let config = Config { token: TOKEN.to_owned(), ..Config::demo() };
    EmbeddedApi::bind(config, ([127, 0, 0, 1], 0).into()).await.expect("a port is free")
}

/// The root of the repository.
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}
