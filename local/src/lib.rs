//! The native host.
//!
//! [`spin`] plays Spin's part: it loads `spin.toml` and the component, and
//! serves HTTP with them.

pub mod spin;
