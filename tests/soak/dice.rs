//! Chance, from a seed.

use std::sync::{Arc, Mutex};

use fastrand::Rng;
use serde_json::Value;
use tests::fault::{Call, Fault, Plan, Spoken};
use tests::peer::status_object;

/// As the API server says it.
const QUOTA: &str =
    "pods \"x\" is forbidden: exceeded quota: clients, requested: pods=1, used: pods=5, limited: pods=5";

/// Dice that all tasks share. The throws follow from the seed; who gets which depends on who comes first.
#[derive(Clone)]
pub struct Dice(Arc<Mutex<Rng>>);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Rng::with_seed(seed))))
    }

    /// A number below `limit`.
    pub fn below(&self, limit: u64) -> u64 {
        self.0.lock().unwrap().u64(..limit)
    }

    /// Whether what happens in so many of a thousand cases happens now.
    pub fn per_mille(&self, chance: u64) -> bool {
        self.below(1000) < chance
    }

    /// One of them.
    pub fn pick<T: Clone>(&self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize].clone()
    }

    /// Faults for the calls to the API server, one of them this template. None is a lie: what is refused was not done.
    pub fn api_faults(&self, bad_template: Value) -> Plan {
        let dice = self.clone();
        Arc::new(move |call| match call {
            _ if !dice.per_mille(60) => None,
            Call::Create | Call::Terminate if dice.per_mille(60) => Some(refusal(403, "Forbidden", QUOTA)),
            Call::Template if dice.per_mille(200) => Some(Fault::Replace(json(200, &bad_template))),
            _ if dice.per_mille(80) => Some(refusal(401, "Unauthorized", "Unauthorized")),
            _ => Some(dice.fault()),
        })
    }

    /// Faults on the way to the sink and to the provisioner: such as a broker tries again after.
    pub fn way_faults(&self) -> Plan {
        let dice = self.clone();
        Arc::new(move |_| dice.per_mille(40).then(|| dice.fault()))
    }

    fn fault(&self) -> Fault {
        let page = Spoken { code: 502, header: ("content-type", "text/html".into()), body: "<html>".into() };
        let usual = [
            Fault::LoseCall,
            Fault::LoseAnswer,
            Fault::LoseAnswer,
            Fault::CutHead,
            Fault::CutBody,
            Fault::Twice,
            Fault::Refuse(page),
            refusal(409, "Conflict", "try again"),
            refusal(429, "TooManyRequests", "later"),
            refusal(500, "InternalError", "etcd"),
        ];
        let slow = [Fault::HoldCall, Fault::HoldAnswer, Fault::Drip, Fault::DripBody, Fault::Huge];
        if self.per_mille(50) { self.pick(&slow) } else { self.pick(&usual) }
    }
}

fn refusal(code: u16, reason: &str, message: &str) -> Fault {
    Fault::Refuse(json(code, &status_object(code, reason, message)))
}

fn json(code: u16, body: &Value) -> Spoken {
    Spoken { code, header: ("content-type", "application/json".into()), body: body.to_string() }
}
