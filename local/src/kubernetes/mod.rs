//! An embedded Kubernetes API: Pods in memory, served over HTTP.
//!
//! It lets a person try the provisioner, and tests exercise it, without a
//! cluster. It plays the part of kube-apiserver that a client Pod meets:
//! authentication, a Role's refusals, validation, the gateways' admission
//! webhooks, defaults, scheduling gates, patches and preconditions.
//!
//! `server` reads a request and hands it to `api`, which decides with the
//! help of `route`, `body`, `shape`, `validation`, `admission`, `defaults`, `patch`, `update`
//! and `store`. All but `server` are pure; failures are `status`es.

mod admission;
mod api;
mod body;
mod cause;
mod config;
mod defaults;
mod discovery;
mod fault;
mod names;
mod observe;
mod patch;
mod route;
mod seeded;
mod selector;
mod server;
mod shape;
mod status;
mod store;
mod table;
#[cfg(test)]
mod tests;
mod update;
mod validation;

pub use admission::{Gateway, Mode, ROUTED_GATEWAY};
pub use cause::Cause;
pub use config::{Access, Config, Namespaces};
pub use fault::Fault;
pub use observe::{Calls, ChangeKind, PodChange, PodView};
pub use server::EmbeddedApi;
pub use status::{Details, Status};

/// What nobody should take it for.
pub const WHAT_IT_IS_NOT: &str = "The embedded Kubernetes API keeps Pods in memory and admits them as a cluster would; it is not a cluster: there is no scheduler, no kubelet and no network, no Pod ever runs, and everything is gone when it stops.";
