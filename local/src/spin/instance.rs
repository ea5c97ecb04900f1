//! One instance of the component: what it may touch, and one request in it.
//!
//! An instance sees WASI 0.2 without a network, its variables, its own
//! environment, its mounted directories (read-only, live: a file that changes
//! on the host changes here) and wasi:http. A symbolic link that leads out of
//! a mount can't be followed. Which imports there are is settled once, when
//! the component is linked; what an instance holds is made for each request.
//!
//! There is no limit on time, as under Spin. Dropping the future of
//! [`Instance::run`] ends the instance wherever it is.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use tokio::sync::{SemaphorePermit, oneshot};
use wasmtime::component::{Component, HasSelf, Linker, ResourceTable};
use wasmtime::{Store, StoreLimits, StoreLimitsBuilder};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::{WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::fuel::FuelMeter;
use super::logs::{GuestStream, LogSource, Logs};
use super::manifest::{Component as ComponentManifest, FilesMount};
use super::outbound::Hooks;
use super::variables::{LookupError, Variables};

mod bindings {
    wasmtime::component::bindgen!({ path: "wit", world: "host" });
}

use bindings::fermyon::spin::variables;

/// A response, or the error that the guest gave in its place.
pub(super) type Answer = Result<Response<WasiBody>, ErrorCode>;

/// A component, linked with what this host provides.
#[derive(Clone)]
pub(super) struct Linked(ProxyPre<State>);

impl Linked {
    /// Links the component. Fails when it imports anything else, or doesn't
    /// handle HTTP.
    pub(super) fn new(component: &Component) -> wasmtime::Result<Self> {
        let mut linker = Linker::new(component.engine());
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
        variables::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
        Ok(Self(ProxyPre::new(linker.instantiate_pre(component)?)?))
    }
}

/// The names of imports that this host doesn't provide.
pub(super) fn unknown_imports(component: &Component) -> Vec<String> {
    let engine = component.engine();
    let imports = component.component_type();
    let names = imports.imports(engine).map(|(name, _)| name.to_owned());
    names.filter(|name| !is_provided(name)).collect()
}

fn is_provided(import: &str) -> bool {
    const WASI: [&str; 7] = ["cli", "clocks", "filesystem", "http", "io", "random", "sockets"];
    let wasi = |package: &str| {
        let rest = import.strip_prefix("wasi:").and_then(|rest| rest.strip_prefix(package));
        rest.is_some_and(|rest| rest.starts_with('/') && rest.contains("@0.2."))
    };
    import == "fermyon:spin/variables@2.0.0" || WASI.into_iter().any(wasi)
}

/// What an instance holds.
pub(super) struct State {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: Hooks,
    variables: Arc<Variables>,
    limits: StoreLimits,
}

impl State {
    /// Opens the component's directories; fails when one of them is gone.
    pub(super) fn new(
        component: &ComponentManifest,
        variables: Arc<Variables>,
        hooks: Hooks,
        logs: &Logs,
        max_memory: Option<usize>,
    ) -> wasmtime::Result<Self> {
        let stream = |source| GuestStream { logs: logs.clone(), source };
        let mut wasi = WasiCtx::builder();
        wasi.stdout(stream(LogSource::Stdout));
        wasi.stderr(stream(LogSource::Stderr));
        // What is mounted is small and on a local disk: the way to another thread and back takes longer than to read it.
        wasi.allow_blocking_current_thread(true);
        for (name, value) in &component.environment {
            wasi.env(name, value);
        }
        for FilesMount { source, destination } in &component.files {
            wasi.preopened_dir(source, destination, FsPerms::ReadOnly)
                .map_err(|error| error.context(format!("cannot mount {}", source.display())))?;
        }
        Ok(Self {
            table: ResourceTable::new(),
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            hooks,
            variables,
            limits: StoreLimitsBuilder::new().memory_size(max_memory.unwrap_or(usize::MAX)).build(),
        })
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}

impl variables::Host for State {
    fn get(&mut self, name: String) -> Result<String, variables::Error> {
        self.variables.get(&name).map(str::to_owned).map_err(|error| match error {
            LookupError::InvalidName(_) => variables::Error::InvalidName(error.to_string()),
            LookupError::Undefined(_) => variables::Error::Undefined(error.to_string()),
        })
    }
}

/// An instance that is about to get its request.
pub(super) struct Instance {
    linked: Linked,
    store: Store<State>,
    fuel: Option<FuelMeter>,
    /// Given back after the store, which takes the room.
    _room: SemaphorePermit<'static>,
}

/// More than any guest uses.
const FULL_TANK: u64 = u64::MAX;

impl Instance {
    pub(super) fn new(linked: Linked, state: State, fuel: Option<FuelMeter>, room: SemaphorePermit<'static>) -> Self {
        let mut store = Store::new(linked.0.engine(), state);
        store.limiter(|state| &mut state.limits);
        if fuel.is_some() {
            // An engine that counts nothing refuses, and then nothing is noted either.
            _ = store.set_fuel(FULL_TANK);
        }
        Self { linked, store, fuel, _room: room }
    }

    /// Makes the instance, and no more.
    pub(super) async fn make(mut self) -> wasmtime::Result<()> {
        self.linked.0.instantiate_async(&mut self.store).await.map(drop)
    }

    /// Lets the guest handle the request. The answer goes to `answer` as soon
    /// as the guest gives it; the guest may go on after that.
    pub(super) async fn run<B>(mut self, request: Request<B>, answer: oneshot::Sender<Answer>) -> wasmtime::Result<()>
    where
        B: http_body::Body<Data = Bytes, Error = wasmtime_wasi_http::Error> + Send + 'static,
    {
        let mut http = self.store.data_mut().http();
        let request = http.new_incoming_request(Scheme::Http, request)?;
        let response = http.new_response_outparam(answer)?;
        let guest = self.linked.0.instantiate_async(&mut self.store).await?;
        let ended = guest.wasi_http_incoming_handler().call_handle(&mut self.store, request, response).await;
        if let (Some(meter), Ok(left)) = (&self.fuel, self.store.get_fuel()) {
            meter.note(FULL_TANK - left);
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::is_provided;

    #[test]
    fn only_wasi_0_2_and_spins_variables_are_provided() {
        for name in ["wasi:http/outgoing-handler@0.2.0", "wasi:cli/environment@0.2.6", "fermyon:spin/variables@2.0.0"] {
            assert!(is_provided(name), "{name}");
        }
        for name in
            ["wasi:http/client@0.3.0", "wasi:keyvalue/store@0.2.0-draft2", "fermyon:spin/key-value@2.0.0", "my-import"]
        {
            assert!(!is_provided(name), "{name}");
        }
    }
}
