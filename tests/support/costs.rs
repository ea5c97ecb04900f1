//! What an event costs on any machine: the guest's fuel, about one unit for an instruction, and the calls of the API.

use local::kubernetes::{EmbeddedApi, Gateway, Mode};
use serde_json::{Value, json};

use crate::events::{Delivery, Reply, pending};
use crate::provisioner::{Provisioner, embedded_api, repository};

/// How many events of a kind are measured; the median counts.
const EVENTS: usize = 9;

/// What is special on a way that an event can go.
#[derive(Clone, Copy, PartialEq)]
enum Special {
    Nothing,
    /// It was delivered before.
    Again,
    /// Its gateway isn't verified.
    Unverified,
    /// So many gateways may be asked for.
    Listed(usize),
    /// The gateway's webhook denies the Pod.
    Denied,
}
use Special::{Again, Denied, Listed, Nothing, Unverified};

/// Each way: what it is called, the gateway, what is special, and the last word of the answer's type.
const WAYS: [(&str, &str, Special, &str); 7] = [
    ("new", "foo", Nothing, "done"),
    ("duplicate", "foo", Again, "done"),
    ("new, without verification", "foo", Unverified, "done"),
    ("new, of a thousand gateways in the list", "foo", Listed(1000), "done"),
    ("denied by the gateway's webhook", "foo", Denied, "failed"),
    ("gateway that is not in the list", "nowhere", Listed(2), "failed"),
    ("gateway that nothing answers for", "nowhere", Nothing, "failed"),
];

/// A list of so many gateways, the last of which is `foo`.
pub fn gateways(count: usize) -> String {
    let others = (1..count).map(|number| format!("gateway-{number}"));
    others.chain((count > 0).then(|| "foo".to_owned())).collect::<Vec<_>>().join(",")
}

/// The fuel and the calls of one event, by the way that it goes, each against an embedded API of its own.
///
/// # Panics
/// When an event ends otherwise than it should.
pub async fn costs() -> Value {
    let mut costs = json!({});
    for (name, gateway, special, outcome) in WAYS {
        let (fuel, calls) = cost(gateway, special, outcome).await;
        costs[name] = json!({"fuel": fuel, "calls": calls});
    }
    costs
}

/// A provisioner whose work is measured, and its API.
pub struct Metered {
    provisioner: Provisioner,
    api: EmbeddedApi,
}

impl Metered {
    /// Starts both.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn start(variables: &[(&str, &str)]) -> Self {
        let api = embedded_api().await;
        Self { provisioner: Provisioner::start_metered(&api.url(), variables), api }
    }

    /// Delivers an event; gives the answer, the fuel and how many calls there were.
    ///
    /// # Panics
    /// When it took another number of instances than one.
    pub async fn deliver(&self, event: Delivery) -> (Reply, u64, u64) {
        let before = self.calls();
        let reply = self.provisioner.deliver(event).await;
        (reply, self.provisioner.logs().fuel().await, self.calls() - before)
    }

    fn calls(&self) -> u64 {
        self.api.calls().values().sum()
    }
}

async fn cost(gateway: &str, special: Special, outcome: &str) -> (u64, u64) {
    let verification = if special == Unverified { "off" } else { "required" };
    let gateways = if let Listed(count) = special { gateways(count) } else { String::new() };
    let metered = Metered::start(&[("gateways", &gateways), ("gateway_verification", verification)]).await;
    if special == Denied {
        metered.api.set_gateways(vec![Gateway::new("foo").with_mode(Mode::Deny("it is full".to_owned()))]);
    }
    let mut samples = Vec::new();
    for event in 0..EVENTS {
        let event = || pending(&format!("event-{event}"), gateway);
        if special == Again {
            metered.deliver(event()).await;
        }
        let (reply, fuel, calls) = metered.deliver(event()).await;
        assert_eq!(reply.outcome(), outcome, "{}: {}", reply.status, reply.json());
        samples.push((fuel, calls));
    }
    samples.sort_unstable();
    samples[EVENTS / 2]
}

/// The size of the built component.
///
/// # Panics
/// When it isn't built.
pub fn component_bytes() -> u64 {
    let path = repository().join("target/wasm32-wasip2/release/provisioner.wasm");
    path.metadata().expect("make test builds the component first").len()
}
