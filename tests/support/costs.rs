//! What an event costs on any machine: the guest's fuel, about one unit for an instruction, and the calls of the API.

use std::collections::BTreeMap;

use local::kubernetes::{EmbeddedApi, Gateway, Mode};

use crate::events::{Delivery, Reply, pending};
use crate::provisioner::{Provisioner, embedded_api, repository};

/// How many events of a kind are measured; the median counts.
const EVENTS: usize = 9;

/// One way that an event can go.
struct Path {
    name: &'static str,
    gateway: &'static str,
    is_verified: bool,
    /// How many gateways may be asked for; 0 for any.
    gateways: usize,
    /// How often each event was delivered before it counts.
    before: usize,
    /// Whether the gateway's webhook denies the Pod.
    is_denied: bool,
    /// The last word of the answer's type.
    outcome: &'static str,
}

const NEW: Path =
    Path { name: "new", gateway: "foo", is_verified: true, gateways: 0, before: 0, is_denied: false, outcome: "done" };

const PATHS: [Path; 7] = [
    NEW,
    Path { name: "duplicate", before: 1, ..NEW },
    Path { name: "new, without verification", is_verified: false, ..NEW },
    Path { name: "new, of a thousand gateways in the list", gateways: 1000, ..NEW },
    Path { name: "denied by the gateway's webhook", is_denied: true, outcome: "failed", ..NEW },
    Path { name: "gateway that is not in the list", gateway: "nowhere", gateways: 2, outcome: "failed", ..NEW },
    Path { name: "gateway that nothing answers for", gateway: "nowhere", outcome: "failed", ..NEW },
];

/// A list of so many gateways, the last of which is `foo`.
pub fn gateways(count: usize) -> String {
    let others = (1..count).map(|number| format!("gateway-{number}"));
    others.chain((count > 0).then(|| "foo".to_owned())).collect::<Vec<_>>().join(",")
}

/// Fuel and calls of one event, by the way that it goes.
pub type Costs = BTreeMap<&'static str, (u64, u64)>;

/// Measures them all, each against an embedded API of its own.
///
/// # Panics
/// When an event ends otherwise than it should.
pub async fn costs() -> Costs {
    let mut costs = Costs::new();
    for path in &PATHS {
        costs.insert(path.name, path.cost().await);
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

impl Path {
    async fn cost(&self) -> (u64, u64) {
        let verification = if self.is_verified { "required" } else { "off" };
        let gateways = gateways(self.gateways);
        let metered = Metered::start(&[("gateways", &gateways), ("gateway_verification", verification)]).await;
        if self.is_denied {
            metered.api.set_gateways(vec![Gateway::new("foo").with_mode(Mode::Deny("it is full".to_owned()))]);
        }
        let mut samples = Vec::new();
        for event in 0..EVENTS {
            let event = || pending(&format!("event-{event}"), self.gateway);
            for _ in 0..self.before {
                metered.deliver(event()).await;
            }
            let (reply, fuel, calls) = metered.deliver(event()).await;
            assert_eq!(reply.outcome(), self.outcome, "{}: {} {}", self.name, reply.status, reply.json());
            samples.push((fuel, calls));
        }
        samples.sort_unstable();
        samples[EVENTS / 2]
    }
}

/// The size of the built component.
///
/// # Panics
/// When it isn't built.
pub fn component_bytes() -> u64 {
    let path = repository().join("target/wasm32-wasip2/release/provisioner.wasm");
    path.metadata().expect("make test builds the component first").len()
}
