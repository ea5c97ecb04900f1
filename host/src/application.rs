//! An application: read and compiled once, then an instance for every request.
//!
//! The guest runs for as long as somebody waits for its response: dropping the future of [`Application::handle`] kills the
//! instance where it stands. Once there is a response, the guest may stream its body and work on.
//!
//! A guest that traps, panics or gives no response is a 500 with an empty body and a line in the log. So is a request with a
//! header that isn't UTF-8, as with Spin.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, ensure};
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use wasmtime::Store;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::{WasiBody, WasiHttpView as _};

use crate::allowed_hosts::AllowedHosts;
use crate::code::{Code, Compile};
use crate::error::one_line;
use crate::instance::{Answer, State};
use crate::manifest::{Manifest, Mounts};
use crate::observer::{Observer, Stderr};
use crate::outbound::Outbound;
use crate::runtime_config::RuntimeConfig;
use crate::variables::{VariableSources, Variables};

/// What an application is loaded with, beside its manifest.
#[derive(Clone, Default)]
pub struct Options {
    /// Where its variables get their values.
    pub variables: VariableSources,
    /// What the operator decides.
    pub runtime_config: RuntimeConfig,
    /// Host directories laid over `files`, by guest destination.
    pub mounts: Mounts,
    /// Who sees what happens; without one it goes to stderr.
    pub observer: Option<Arc<dyn Observer>>,
}

/// An application that has everything but its component.
pub struct Setup {
    /// The manifest, its paths those of this machine.
    pub manifest: Manifest,
    pub(crate) variables: Arc<Variables>,
    /// What the component sends its requests through.
    pub outbound: Outbound,
    pub(crate) max_memory: Option<usize>,
    pub(crate) observer: Arc<dyn Observer>,
}

impl Setup {
    /// Reads the manifest, and what the options make of it.
    ///
    /// # Errors
    /// What Spin would refuse, and what this host doesn't support.
    pub fn load(manifest: &Path, options: Options) -> Result<Self> {
        let manifest = Manifest::load(manifest, &options.mounts)?;
        AllowedHosts::validate(&manifest)?;
        let variables = Variables::resolve(&manifest, &options.variables)?;
        let hosts = AllowedHosts::resolve(&manifest, &variables);
        let observer = options.observer.unwrap_or_else(|| Arc::new(Stderr));
        let max_memory = options.runtime_config.max_instance_memory;
        let outbound = Outbound::new(&manifest.component.id, hosts, options.runtime_config, observer.clone());
        Ok(Self { manifest, variables: Arc::new(variables), outbound, max_memory, observer })
    }

    /// The file with the component.
    ///
    /// # Errors
    /// There is none.
    pub fn component(&self) -> Result<&Path> {
        let path = &self.manifest.component.source;
        ensure!(path.is_file(), "there is no component {}: build it first", path.display());
        Ok(path)
    }

    /// The component's variable.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name)
    }
}

/// An application that can be asked. Clones share everything.
#[derive(Clone)]
pub struct Application {
    setup: Arc<Setup>,
    code: Code,
}

impl Application {
    /// Loads the application that `manifest` describes, and compiles its component.
    ///
    /// # Errors
    /// As [`Setup::load`], [`Setup::component`] and [`Code::compile`].
    pub fn load(manifest: &Path, options: Options, how: Compile) -> Result<Self> {
        let setup = Setup::load(manifest, options)?;
        let code = Code::compile(setup.component()?, how)?;
        Ok(Self::new(setup, code))
    }

    /// An application with a component that is compiled already.
    pub fn new(setup: Setup, code: Code) -> Self {
        Self { setup: Arc::new(setup), code }
    }

    /// Everything that is asked is answered by the component. A client that goes away doesn't stop it, as under Spin.
    pub fn router(self) -> Router {
        Router::new().fallback(move |request: Request<Body>| {
            let application = self.clone();
            let request = request.map(|body| body.map_err(|_| wasmtime_wasi_http::Error::HttpProtocolError));
            let handling = tokio::spawn(async move { application.handle(request).await });
            async { handling.await.expect("it neither panics nor is aborted").map(Body::new) }
        })
    }

    /// Hands the request to a new instance.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<WasiBody>
    where
        B: http_body::Body<Data = Bytes, Error: Into<wasmtime_wasi_http::Error>> + Send + 'static,
    {
        let is_text = |value: &HeaderValue| str::from_utf8(value.as_bytes()).is_ok();
        if let Some((name, _)) = request.headers().iter().find(|(_, value)| !is_text(value)) {
            return self.failed(format_args!("the request's header {name} is not UTF-8"));
        }
        let (sender, answer) = oneshot::channel();
        let mut guest = JoinSet::new();
        let request = request.map(|body| body.map_err(Into::into).boxed_unsync());
        guest.spawn(self.clone().run(request, sender));
        if let Ok(answer) = answer.await {
            let observer = self.setup.observer.clone();
            tokio::spawn(async move {
                if let Some(Ok(Err(error))) = guest.join_next().await {
                    observer.line(format_args!("the component failed after its response: {}", one_line(&error)));
                }
            });
            return answer.unwrap_or_else(|code| self.failed(format_args!("the component answered {code:?}")));
        }
        match guest.join_next().await {
            Some(Ok(Err(error))) => self.failed(format_args!("the component failed: {}", one_line(&error))),
            _ => self.failed("the component gave no response"),
        }
    }

    /// Runs an instance, once there is room for it, to its end.
    async fn run(self, request: Request<WasiBody>, answer: oneshot::Sender<Answer>) -> wasmtime::Result<()> {
        // Given back after the store, which takes the room.
        let _room = self.code.room.acquire().await?;
        let mut store = Store::new(self.code.linked.engine(), State::new(&self.setup)?);
        store.limiter(|state| &mut state.limits);
        // Code that doesn't count its fuel has no tank.
        _ = store.set_fuel(u64::MAX);
        let mut http = store.data_mut().http();
        let request = http.new_incoming_request(Scheme::Http, request)?;
        let response = http.new_response_outparam(answer)?;
        let guest = self.code.linked.instantiate_async(&mut store).await?;
        let ended = guest.wasi_http_incoming_handler().call_handle(&mut store, request, response).await;
        if let Ok(left) = store.get_fuel() {
            self.setup.observer.ended(u64::MAX - left);
        }
        ended
    }

    fn failed(&self, reason: impl Display) -> Response<WasiBody> {
        self.setup.observer.line(format_args!("answered 500: {reason}"));
        let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    }
}

#[cfg(test)]
pub(crate) mod tests;
