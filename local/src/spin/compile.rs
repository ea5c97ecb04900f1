//! Components, compiled: once in a process, and once on a machine where there is a cache.
//!
//! The cache is wasmtime's own. What is in it belongs to one version of wasmtime and one kind of processor, and it
//! stays small by itself. A cache that can't be used is none: a component is compiled then, as without one.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use wasmtime::component::Component;
use wasmtime::{Cache, CacheConfig, Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// Why there is no compiled component.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The component's file can't be read.
    #[error("cannot read the component {}: {reason}; build it first", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// The file holds no component.
    #[error("{} is no WebAssembly component: {reason}; build it for wasm32-wasip2", .path.display())]
    Compile {
        /// The file.
        path: PathBuf,
        /// What the compiler says.
        reason: String,
    },
}

/// An error with its causes, each by its first line: a guest's stack follows
/// after that.
pub(super) fn one_line(error: &wasmtime::Error) -> String {
    let causes = error.chain().map(ToString::to_string);
    let first_lines = causes.filter_map(|cause| cause.lines().next().map(str::to_owned));
    let told: Vec<_> = first_lines.filter(|line| !line.starts_with("error while executing")).collect();
    told.join(": ")
}

/// Where compiled components are kept for the next process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum CompilationCache {
    /// Nowhere.
    #[default]
    None,
    /// Where wasmtime keeps them for this user, and Spin as well.
    Default,
    /// In this directory, which has an absolute path and is made where it isn't there.
    Directory(PathBuf),
}

impl CompilationCache {
    fn open(&self) -> Option<Cache> {
        let opened = match self {
            Self::None => return None,
            Self::Default => Cache::from_file(None),
            Self::Directory(directory) => Cache::new(CacheConfig::new().with_directory(directory).clone()),
        };
        opened.inspect_err(|error| tracing::debug!(%error, "no compilation cache")).ok()
    }
}

/// How a component is compiled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Compilation {
    /// Whether its work is measured: it is then compiled to count it, which makes it slower.
    pub(super) is_metered: bool,
    /// Where the outcome is kept.
    pub(super) cache: CompilationCache,
}

#[derive(Default)]
struct Compiled {
    engines: HashMap<Compilation, Engine>,
    /// By path, and by when the file was last changed.
    components: HashMap<(Compilation, PathBuf, SystemTime), Component>,
}

impl Compilation {
    /// Compiles the file, once in this process for as long as it doesn't change.
    pub(super) fn component(&self, path: &Path) -> Result<Component, CompileError> {
        static COMPILED: Mutex<Option<Compiled>> = Mutex::new(None);

        let unreadable = |reason| CompileError::Read { path: path.into(), reason };
        let path = path.canonicalize().map_err(unreadable)?;
        let modified = path.metadata().and_then(|file| file.modified());
        let key = (self.clone(), path.clone(), modified.map_err(unreadable)?);
        // Held while compiling: whoever wants the same file waits for it.
        let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
        let compiled = compiled.get_or_insert_default();
        if let Some(component) = compiled.components.get(&key) {
            return Ok(component.clone());
        }
        let engine = compiled.engines.entry(self.clone()).or_insert_with(|| self.engine());
        let component = Component::from_file(engine, &path)
            .map_err(|error| CompileError::Compile { path, reason: one_line(&error) })?;
        compiled.components.insert(key, component.clone());
        Ok(component)
    }

    /// The engine that all applications of this process share which are compiled like this.
    fn engine(&self) -> Engine {
        let mut config = Config::new();
        config.cache(self.cache.open());
        // A guest of WASI 0.2 does one thing at a time. Prepared for more, the store keeps account of every call.
        config.concurrency_support(false);
        if self.is_metered {
            config.consume_fuel(true);
        } else {
            config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
        }
        // The pool reserves address space that not every machine grants.
        Engine::new(&config).unwrap_or_default()
    }
}

/// How many instances there may be at once in this process: as many as Spin has.
pub(super) const INSTANCES: u32 = 1000;

/// Instances of the sizes that Spin allows.
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
        // What an instance leaves is cleaned and not given back: the next one would have to ask for every page anew.
        .linear_memory_keep_resident(2 << 20)
        .table_keep_resident(512 << 10);
    pool
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_that_was_compiled_once_is_taken_from_the_cache() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.wasm");
        std::fs::write(&file, wat::parse_str("(component)").unwrap()).unwrap();
        let cache = CompilationCache::Directory(directory.path().join("cache"));
        let hits = |cache: &CompilationCache| {
            let cache = cache.open().unwrap();
            let mut config = Config::new();
            config.cache(Some(cache.clone()));
            Component::from_file(&Engine::new(&config).unwrap(), &file).unwrap();
            cache.cache_hits()
        };
        Compilation { is_metered: false, cache: cache.clone() }.component(&file).unwrap();
        assert_eq!(hits(&cache), 1);
        assert_eq!(hits(&CompilationCache::Directory(directory.path().join("another"))), 0);
    }

    #[test]
    fn without_a_cache_that_can_be_used_a_component_is_compiled_all_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.wasm");
        std::fs::write(&file, wat::parse_str("(component)").unwrap()).unwrap();
        let cache = CompilationCache::Directory(file.clone());
        assert!(cache.open().is_none());
        assert!(Compilation { is_metered: false, cache }.component(&file).is_ok());
    }
}
