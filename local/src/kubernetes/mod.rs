//! An embedded Kubernetes API: Pods in memory, served over HTTP.
//!
//! It lets a person try the provisioner, and tests exercise it, without a
//! cluster. It plays the part of kube-apiserver that a client Pod meets:
//! authentication, a Role's refusals, validation, the gateways' admission
//! webhooks, defaults, scheduling gates, patches and preconditions.
//!
//! `server` reads a request and hands it to `api`, which decides with the help of `route`, `body`, `validation`,
//! `admission`, `defaults`, `patch`, `update`, `list` and `store`. All but `server` are pure; failures are `status`es. Where
//! it is wanted, `kubelet` says what becomes of a released Pod; that too is written by `store`, which reports every change.
//!
//! `tests/e2e/embedded` sends the same requests to this and to a real API server, and lists what is smaller here.

mod admission;
mod api;
mod body;
mod config;
mod defaults;
mod kubelet;
mod list;
mod names;
mod patch;
mod route;
mod selector;
mod server;
mod status;
mod store;
mod table;
#[cfg(test)]
mod tests;
mod update;
mod validation;

pub use admission::{Gateway, Mode, ROUTED_GATEWAY};
pub use config::{Config, Role};
pub use kubelet::Fate;
pub use server::EmbeddedApi;
pub use store::{ChangeKind, PodChange, is_gated};

/// What nobody should take it for.
pub const WHAT_IT_IS_NOT: &str = "The embedded Kubernetes API keeps Pods in memory and admits them as a cluster would. It is not a cluster: the node is simulated, no container runs, there is no network, and everything is gone when it stops.";
