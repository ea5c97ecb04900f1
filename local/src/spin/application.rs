//! An application: loaded once, then an instance for every request.
//!
//! The component is compiled once in a process, however often it is loaded.
//! The guest runs inside the future of [`Application::handle`]: dropping that
//! future, before there is a response, kills the instance where it stands.
//! Once there is a response, the guest may stream its body and work on; it
//! then ends by itself, or with the last clone of the application.
//!
//! A guest that traps, panics or gives no response is a 500 with an empty body
//! and a line in the log. A directory that has vanished since the start is an
//! error: Spin's server then closes the connection without an answer. There is
//! room for as many instances at once as Spin has; where Spin answers 500 to
//! the rest, they wait here for their turn.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::Instant;

use super::allowed_hosts::{AllowedHostError, AllowedHosts};
use super::body::TimedBody;
use super::compile::{Compilation, CompilationCache, CompileError, INSTANCES, one_line};
use super::fuel::FuelMeter;
use super::headers::{self, RequestError};
use super::instance::{Answer, Instance, Linked, State, unknown_imports};
use super::logs::Logs;
use super::manifest::{Manifest, ManifestError, Mounts};
use super::outbound::{DEFAULT_TIMEOUT, Hooks, Outbound};
use super::runtime_config::RuntimeConfig;
use super::tasks::Tasks;
use super::variables::{VariableError, VariableSources, Variables};

/// The body of a response.
pub type BoxBody = wasmtime_wasi_http::WasiBody;

/// What an application is loaded with, beside its manifest.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where its variables get their values.
    pub variables: VariableSources,
    /// What the operator decides.
    pub runtime_config: RuntimeConfig,
    /// Host directories laid over `files`, by guest destination.
    pub mounts: Mounts,
    /// Where the component's output goes.
    pub logs: Logs,
    /// Measures the guest's work. The component is then compiled to count it, which makes it slower.
    pub fuel: Option<FuelMeter>,
    /// Where the component is kept once it is compiled.
    pub cache: CompilationCache,
}

/// Why an application can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Its manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Its variables.
    #[error(transparent)]
    Variables(#[from] VariableError),
    /// Its `allowed_outbound_hosts`.
    #[error(transparent)]
    AllowedHosts(#[from] AllowedHostError),
    /// The certificates of the runtime config.
    #[error("client_tls: {0}")]
    ClientTls(rustls::Error),
    /// The component.
    #[error(transparent)]
    Component(#[from] CompileError),
    /// The component imports what this host doesn't provide.
    #[error("{} imports what this host doesn't provide: {}", .path.display(), .imports.join(", "))]
    Imports {
        /// The file.
        path: PathBuf,
        /// The imports.
        imports: Vec<String>,
    },
    /// The component can't be linked.
    #[error("{} cannot be run: {reason}", .path.display())]
    Link {
        /// The file.
        path: PathBuf,
        /// What the linker says.
        reason: String,
    },
}

/// Why a request got no response at all.
#[derive(Debug, thiserror::Error)]
pub enum HandleError {
    /// It can't be handed to a component.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// There can be no instance: a mounted directory is gone.
    #[error("no instance of the component: {0}")]
    Instance(String),
}

/// A loaded application. Clones share everything, the connections of its calls too.
#[derive(Clone)]
pub struct Application {
    inner: Arc<Inner>,
    outbound: Outbound,
    own_address: Option<SocketAddr>,
}

struct Inner {
    manifest: Manifest,
    variables: Arc<Variables>,
    linked: Linked,
    max_memory: Option<usize>,
    logs: Logs,
    fuel: Option<FuelMeter>,
    after_response: Tasks,
}

impl std::fmt::Debug for Application {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.name();
        f.debug_struct("Application").field("name", &name).finish_non_exhaustive()
    }
}

impl Application {
    /// Loads the application that `manifest` describes.
    pub fn load(manifest: &Path, options: Options) -> Result<Self, LoadError> {
        let manifest = Manifest::load(manifest, &options.mounts)?;
        let hosts = &manifest.component.allowed_outbound_hosts;
        AllowedHosts::validate(hosts, &Variables::defaults(&manifest))?;
        let variables = Variables::resolve(&manifest, &options.variables)?;
        let max_memory = options.runtime_config.max_instance_memory;
        let outbound = Outbound::new(
            &manifest.component.id,
            AllowedHosts::resolve(hosts, &variables),
            options.runtime_config,
            options.logs.clone(),
        )
        .map_err(LoadError::ClientTls)?;
        let compilation = Compilation { is_metered: options.fuel.is_some(), cache: options.cache };
        let inner = Inner {
            linked: link(&manifest.component.source, &compilation)?,
            manifest,
            variables: Arc::new(variables),
            max_memory,
            logs: options.logs,
            fuel: options.fuel,
            after_response: Tasks::default(),
        };
        Ok(Self { inner: Arc::new(inner), outbound, own_address: None })
    }

    /// The name in the manifest.
    pub fn name(&self) -> &str {
        &self.inner.manifest.name
    }

    /// The same application, reachable at `address`: there go requests of the
    /// component to `self`.
    pub fn with_own_address(mut self, address: SocketAddr) -> Self {
        self.own_address = Some(address);
        self
    }

    /// The same application, whose calls don't share the connections of this one.
    pub(super) fn with_own_connections(&self) -> Self {
        Self { outbound: self.outbound.with_own_connections(), ..self.clone() }
    }

    /// Hands the request to a new instance. A request without a host in its
    /// URI or headers is an error, as is one when there can be no instance.
    pub async fn handle<B>(&self, request: Request<B>) -> Result<Response<BoxBody>, HandleError>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
    {
        let (mut parts, body) = request.into_parts();
        match headers::prepare(&mut parts) {
            Err(error @ RequestError::NotText(_)) => return Ok(self.failed(error)),
            outcome => outcome?,
        }
        let body = body.map_err(|_| wasmtime_wasi_http::Error::HttpProtocolError);
        let body = TimedBody::new(body.boxed_unsync(), DEFAULT_TIMEOUT);
        let (sender, answer) = oneshot::channel();
        let guest = self.instance().await?.run(Request::from_parts(parts, body), sender);
        Ok(self.respond(guest, answer).await)
    }

    /// Makes an instance that gets no request, and ends it again: what every request pays before it begins.
    pub async fn instantiate(&self) -> Result<(), HandleError> {
        let made = self.instance().await?.make().await;
        made.map_err(|error| HandleError::Instance(one_line(&error)))
    }

    /// Waits for what the component still does for requests that have their
    /// response, for `patience` at most, then ends it.
    pub async fn finish(&self, patience: std::time::Duration) {
        self.inner.after_response.finish(Instant::now() + patience).await;
    }

    /// The host's own log line goes where the component's output goes.
    pub(super) fn logs(&self) -> &Logs {
        &self.inner.logs
    }

    /// An instance, once there is room for it.
    async fn instance(&self) -> Result<Instance, HandleError> {
        let room = ROOM.acquire().await.map_err(|closed| HandleError::Instance(closed.to_string()))?;
        let inner = &*self.inner;
        let hooks = Hooks { outbound: self.outbound.clone(), own_address: self.own_address };
        let state =
            State::new(&inner.manifest.component, inner.variables.clone(), hooks, &inner.logs, inner.max_memory);
        let state = state.map_err(|error| HandleError::Instance(one_line(&error)))?;
        Ok(Instance::new(inner.linked.clone(), state, inner.fuel.clone(), room))
    }

    async fn respond(
        &self,
        guest: impl Future<Output = wasmtime::Result<()>> + Send + 'static,
        mut answer: oneshot::Receiver<Answer>,
    ) -> Response<BoxBody> {
        let mut guest = Box::pin(guest);
        let ended = tokio::select! {
            biased;
            Ok(answer) = &mut answer => {
                self.go_on(guest);
                return self.response(answer);
            }
            ended = &mut guest => ended,
        };
        match (answer.try_recv(), ended) {
            (Ok(answer), Ok(())) => self.response(answer),
            (Ok(answer), Err(error)) => {
                log_failure(&self.inner.logs, &error);
                self.response(answer)
            }
            (Err(_), Ok(())) => self.failed("the component gave no response"),
            (Err(_), Err(error)) => self.failed(format_args!("the component failed: {}", one_line(&error))),
        }
    }

    /// Lets a guest that has given its response work on.
    fn go_on(&self, guest: impl Future<Output = wasmtime::Result<()>> + Send + 'static) {
        let logs = self.inner.logs.clone();
        self.inner.after_response.spawn(async move {
            if let Err(error) = guest.await {
                log_failure(&logs, &error);
            }
        });
    }

    fn response(&self, answer: Answer) -> Response<BoxBody> {
        answer.unwrap_or_else(|code| self.failed(format_args!("the component answered {code:?}")))
    }

    fn failed(&self, reason: impl std::fmt::Display) -> Response<BoxBody> {
        self.inner.logs.line(format_args!("answered 500: {reason}"));
        let mut response = Response::new(empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    }
}

/// A body without anything in it.
pub(super) fn empty() -> BoxBody {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

fn log_failure(logs: &Logs, error: &wasmtime::Error) {
    logs.line(format_args!("the component failed after its response: {}", one_line(error)));
}

fn link(path: &Path, compilation: &Compilation) -> Result<Linked, LoadError> {
    let component = compilation.component(path)?;
    let imports = unknown_imports(&component);
    if !imports.is_empty() {
        return Err(LoadError::Imports { path: path.into(), imports });
    }
    Linked::new(&component).map_err(|error| LoadError::Link { path: path.into(), reason: one_line(&error) })
}

/// Whoever holds a permit of it has room for an instance.
static ROOM: Semaphore = Semaphore::const_new(INSTANCES as usize);

#[cfg(test)]
pub(super) mod tests;
