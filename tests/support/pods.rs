//! What has to be true of a Pod at any time, as it is on an API server.

use local::kubernetes::PodView;
use provisioner::pod::gateway_variables;
use serde_json::Value;

/// Whether a gate holds it back.
pub fn is_gated(pod: &Value) -> bool {
    PodView(pod).is_gated()
}

/// Whether what runs first in it is a gateway's.
pub fn is_routed(pod: &Value) -> bool {
    gateway_variables(&pod["spec"]["initContainers"][0]).next().is_some()
}
