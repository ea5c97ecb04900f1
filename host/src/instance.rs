//! One instance of the component: what it may touch.
//!
//! It sees WASI 0.2 without a network, its variables, its environment, its mounted directories (read-only and live: a
//! file that changes on the host changes here) and wasi:http. A symbolic link that leads out of a mount can't be
//! followed. There is no limit on time, as under Spin.

use std::sync::Arc;

use http::{Request, Response};
use wasmtime::component::ResourceTable;
use wasmtime::{StoreLimits, StoreLimitsBuilder};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView};

use crate::application::Setup;
use crate::observer::GuestStream;
use crate::outbound::Outbound;
use crate::variables::Variables;

mod bindings {
    wasmtime::component::bindgen!({ path: "wit", world: "host" });
}

pub(crate) use bindings::fermyon::spin::variables;

/// A response, or the error that the guest gave in its place.
pub(crate) type Answer = Result<Response<WasiBody>, ErrorCode>;

/// What an instance holds.
pub(crate) struct State {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: Outbound,
    variables: Arc<Variables>,
    pub(crate) limits: StoreLimits,
}

impl State {
    /// Opens the component's directories; fails when one of them is gone.
    pub(crate) fn new(setup: &Setup) -> wasmtime::Result<Self> {
        let mut wasi = WasiCtx::builder();
        wasi.stdout(GuestStream(setup.observer.clone()));
        wasi.stderr(GuestStream(setup.observer.clone()));
        // What is mounted is small and on a local disk: the way to another thread and back takes longer than to read it.
        wasi.allow_blocking_current_thread(true);
        for (name, value) in &setup.manifest.component.environment {
            wasi.env(name, value);
        }
        for mount in &setup.manifest.component.files {
            wasi.preopened_dir(&mount.source, &mount.destination, FsPerms::ReadOnly)
                .map_err(|error| error.context(format!("cannot mount {}", mount.source.display())))?;
        }
        Ok(Self {
            table: ResourceTable::new(),
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            outbound: setup.outbound.clone(),
            variables: setup.variables.clone(),
            limits: StoreLimitsBuilder::new().memory_size(setup.max_memory.unwrap_or(usize::MAX)).build(),
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
        WasiHttpCtxView { hooks: &mut self.outbound, table: &mut self.table, ctx: &mut self.http }
    }
}

impl variables::Host for State {
    fn get(&mut self, name: String) -> Result<String, variables::Error> {
        let value = self.variables.get(&name).map(str::to_owned);
        value.ok_or_else(|| variables::Error::Undefined(format!("the component declares no variable {name:?}")))
    }
}

/// Ends when the transfer of a request or response does, with its outcome.
type Transfer = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Transfer,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Transfer), Error>> + Send> {
        let outbound = self.clone();
        Box::new(async move {
            let response = outbound.send(request, options.unwrap_or_default()).await?;
            Ok((response, Box::new(async { Ok(()) }) as Transfer))
        })
    }
}
