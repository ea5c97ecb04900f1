//! The provisioner: a CloudEvent asks for a client of a pod-gateway, and the answer says which Pod it is, or why there
//! is none.
//!
//! ```text
//! HTTP request ─► cloudevents ─► event ─► manifest ─► kubernetes ─► gateway ─► provision ─► reply ─► HTTP response
//!                 what is used   Pending  the Pod     calls and     was it     the          done |
//!                 of the event            to create   answers       routed?    decisions    failed
//! ```
//!
//! **Invariants.** The core (everything but `component`) does no input and no output: time, variables and the token are
//! arguments, and calls go out through [`outbound::Outbound`]. Data goes one way: a module uses only those above it in
//! the list below. `spin-sdk` is a dependency of the wasm target only, so a core module that uses it doesn't compile
//! natively. A test reads the `use` lines and checks all of this.
//!
//! | what arrives at `POST /` | answer | event |
//! |---|---|---|
//! | not a CloudEvent | 400 problem | none |
//! | an unknown CloudEvents format, a batch, or a content encoding | 415 problem | none |
//! | a body over 1 MiB | 413 problem | none |
//! | a CloudEvent of another type | 202, empty | none |
//! | `pending`, and there can never be a client of it | 200 | `failed`, with its [`reason::Reason`] |
//! | `pending`, and its Pod is verified and released | 200 | `done` |
//! | `pending`, and something that can heal is in the way | 503 or 429, empty | none: the broker redelivers |
//!
//! With a sink, the event is POSTed there, and the answer is an empty 202. `POST /dead-letter` takes what the broker
//! gave up on and settles it in the same way, but creates no Pod. [`lifecycle`] reports what happens to a client later,
//! and ends it on request.
#![cfg_attr(not(target_family = "wasm"), forbid(unsafe_code))]

pub mod names;
pub mod reason;
pub mod text;
pub mod url;

pub mod context;
pub mod outbound;

pub mod cloudevents;
pub mod sink;

pub mod config;

pub mod pod;
pub mod state;

pub mod event;

pub mod bypass;
pub mod template;

pub mod gateway;
pub mod kubernetes;
pub mod manifest;

pub mod cluster;
pub mod sender;

pub mod provision;

pub mod reply;

pub mod lifecycle;

pub mod log;
pub mod response;

pub mod endpoint;

#[cfg(any(test, feature = "testing"))]
pub mod testing;

#[cfg(target_family = "wasm")]
mod component;
