//! What has to be true of a Pod at any time, as it is on an API server.

pub use local::kubernetes::is_gated;
use provisioner::pod::gateway_variables;
use serde_json::Value;

/// Whether what runs first in it is a gateway's.
pub fn is_routed(pod: &Value) -> bool {
    gateway_variables(&pod["spec"]["initContainers"][0]).next().is_some()
}
