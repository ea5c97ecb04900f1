//! Chance, and the faults that it brings about.

use std::sync::Arc;

use serde_json::Value;
use tests::fault::{Call, Fault, Plan, Spoken};
use tests::peer::status_object;

/// As the API server says it.
const QUOTA: &str =
    "pods \"x\" is forbidden: exceeded quota: clients, requested: pods=1, used: pods=5, limited: pods=5";

/// Whether what happens in so many of a thousand cases happens now.
pub fn per_mille(chance: u32) -> bool {
    fastrand::u32(..1000) < chance
}

/// One of them.
pub fn pick<T: Clone>(choices: &[T]) -> T {
    choices[fastrand::usize(..choices.len())].clone()
}

/// Faults for the calls to the API server, one of them this template. None is a lie: what is refused was not done.
pub fn api_faults(bad_template: Value) -> Plan {
    Arc::new(move |call| match call {
        _ if !per_mille(60) => None,
        Call::Create | Call::Terminate if per_mille(60) => Some(refusal(403, "Forbidden", QUOTA)),
        Call::Template if per_mille(200) => Some(Fault::Replace(Spoken::json(200, &bad_template))),
        _ if per_mille(80) => Some(refusal(401, "Unauthorized", "Unauthorized")),
        _ => Some(fault()),
    })
}

/// Faults on the way to the sink and to the provisioner: such as a broker tries again after.
pub fn way_faults() -> Plan {
    Arc::new(|_| per_mille(40).then(fault))
}

fn fault() -> Fault {
    let usual = [
        Fault::LoseCall,
        Fault::LoseAnswer,
        Fault::LoseAnswer,
        Fault::CutHead,
        Fault::CutBody,
        Fault::Twice,
        Fault::Refuse(Spoken::page(502)),
        refusal(409, "Conflict", "try again"),
        refusal(429, "TooManyRequests", "later"),
        refusal(500, "InternalError", "etcd"),
    ];
    let slow = [Fault::HoldCall, Fault::HoldAnswer, Fault::Drip, Fault::DripBody, Fault::Huge];
    if per_mille(50) { pick(&slow) } else { pick(&usual) }
}

fn refusal(code: u16, reason: &str, message: &str) -> Fault {
    Fault::Refuse(Spoken::json(code, status_object(code, reason, message)))
}
