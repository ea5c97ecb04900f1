//! Spin's part: runs one HTTP component the way Spin 3.6 does.
//!
//! A file here is one capability, in the order in which a request meets them:
//! [`server`] takes the request in, `workers` are the threads that serve it,
//! [`application`] gives it an instance of the component that `compile` has
//! compiled, `instance` is what that instance may touch, [`outbound`] what it
//! may call. [`manifest`], [`variables`], [`allowed_hosts`] and
//! [`runtime_config`] read the configuration; each has its own error type, and
//! every message is one line that says what to change.
//!
//! Only what the component needs is here. Whatever else `spin.toml` or the
//! runtime config may hold is refused with an error that names it: nothing is
//! ignored in silence.

pub mod allowed_hosts;
pub mod application;
mod body;
mod compile;
mod connection;
mod fuel;
mod headers;
mod instance;
pub mod logs;
pub mod manifest;
pub mod outbound;
pub mod runtime_config;
pub mod server;
mod tasks;
mod tls;
pub mod variables;
mod workers;

pub use application::{Application, BoxBody, HandleError, LoadError, Options};
pub use compile::{CompilationCache, CompileError};
pub use fuel::FuelMeter;
pub use headers::ClientAddr;
pub use logs::{LogCapture, LogSource, LogWrite, Logs};
pub use runtime_config::{ClientTls, RuntimeConfig};
pub use server::{ServeError, Server};
pub use variables::VariableSources;
