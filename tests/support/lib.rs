//! What the tests of the built component share.
//!
//! [`Provisioner`] is the `.wasm` in its host, from the checked-in `spin.toml`, and [`recorder`] what the host tells of
//! it; [`Peer`] is an API server whose every answer is scripted, in which a missing call and an extra call are both
//! failures; [`fault`] stands between the component and a server that works, loses, delays or spoils a call where a test
//! says so, and serves whatever a test plays; [`pods`] looks at what such a server has; [`events`] makes the requests;
//! [`schema`] holds every answer against `docs/schemas`; [`command`] is the command as a user runs it, and [`process`] any
//! other program; [`cluster`] is a real API server, and [`costs`] what an event costs; [`manifests`] reads what a cluster
//! is given, [`kustomize`] puts it together, and [`network`] evaluates its NetworkPolicies; [`markdown`] reads the
//! documents.

pub mod cluster;
pub mod command;
pub mod costs;
pub mod events;
pub mod fault;
pub mod kustomize;
pub mod manifests;
pub mod markdown;
pub mod network;
pub mod peer;
pub mod pods;
pub mod process;
pub mod provisioner;
pub mod recorder;
pub mod schema;

pub use events::{Reply, pending};
pub use peer::Peer;
pub use provisioner::Provisioner;

/// The token of every test; no output may ever hold it.
pub const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.s3cret-service-account-token.c2lnbmF0dXJl";
