//! The component, compiled and linked with what this host provides.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use tokio::sync::Semaphore;
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use crate::error::one_line;
use crate::instance::{State, variables};

/// How many instances there may be at once: as many as Spin has. What comes beyond that waits for its turn.
pub(crate) const INSTANCES: u32 = 1000;

/// How a component is compiled.
#[derive(Clone, Copy, Debug, Default)]
pub struct Compile {
    /// Whether it is compiled for many requests, and not for an early start.
    pub is_optimized: bool,
    /// Whether it counts its own work, for [`Observer::ended`](crate::Observer::ended). That makes it slower.
    pub counts_fuel: bool,
}

/// A compiled component. Clones share the room for its instances.
#[derive(Clone)]
pub struct Code {
    pub(crate) linked: ProxyPre<State>,
    pub(crate) room: Arc<Semaphore>,
}

impl Code {
    /// Compiles the component in this file.
    ///
    /// # Errors
    /// The file can't be read, holds no component, or one that needs what this host doesn't provide.
    pub fn compile(path: &Path, how: Compile) -> Result<Self> {
        let linked = compile(path, how).and_then(|component| link(&component)).map_err(|error| {
            let why = one_line(&error);
            anyhow!("{} can't be run: {why}; is it a component for wasm32-wasip2?", path.display())
        })?;
        Ok(Self { linked, room: Arc::new(Semaphore::new(INSTANCES as usize)) })
    }
}

fn compile(path: &Path, how: Compile) -> wasmtime::Result<Component> {
    let mut config = Config::new();
    config.cranelift_opt_level(if how.is_optimized { OptLevel::Speed } else { OptLevel::None });
    config.consume_fuel(how.counts_fuel);
    // A guest of WASI 0.2 does one thing at a time. Prepared for more, the store keeps account of every call.
    config.concurrency_support(false);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
    let engine = Engine::new(&config).or_else(|_| {
        // The pool reserves address space that not every machine grants.
        Engine::new(config.allocation_strategy(InstanceAllocationStrategy::OnDemand))
    });
    Component::from_file(&engine?, path)
}

fn link(component: &Component) -> wasmtime::Result<ProxyPre<State>> {
    let mut linker = Linker::new(component.engine());
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    variables::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
    ProxyPre::new(linker.instantiate_pre(component)?)
}

/// Spin's own settings, so that memory measured here is memory there.
fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(INSTANCES)
        .total_memories(INSTANCES)
        .total_stacks(INSTANCES)
        .total_tables(2 * INSTANCES)
        .total_core_instances(4 * INSTANCES)
        .table_elements(100_000)
        .max_component_instance_size(10 << 20)
        .max_core_instance_size(10 << 20)
        // What an instance leaves is cleaned and not given back.
        .linear_memory_keep_resident(2 << 20)
        .table_keep_resident(512 << 10);
    pool
}
