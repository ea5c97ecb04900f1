//! Runs one HTTP component the way Spin 3.6 does, and no more than this component uses.
//!
//! A file is one capability. [`manifest`] reads `spin.toml`, [`variables`] gives the variables their values,
//! [`allowed_hosts`] says what may be called, and [`runtime_config`] reads what the operator decides. [`code`] is the
//! compiled component, `instance` what one instance of it may touch, and [`outbound`] sends its requests.
//! [`application`] puts them together and gives each request an instance of its own; [`serve()`] puts it behind HTTP.
//!
//! What Spin takes and this host doesn't is an error at the start, which names it: nothing is ignored in silence.

pub mod allowed_hosts;
pub mod application;
pub mod code;
mod error;
mod instance;
pub mod manifest;
mod observer;
pub mod outbound;
pub mod runtime_config;
mod server;
pub mod variables;

pub use application::{Application, Options, Setup};
pub use code::{Code, Compile};
pub use error::read;
pub use observer::{Observer, Stderr};
pub use runtime_config::{ClientTls, Pem, RuntimeConfig};
pub use server::serve;
pub use variables::VariableSources;
