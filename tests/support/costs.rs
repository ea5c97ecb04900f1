//! What an event costs on any machine: the guest's fuel, about one unit for an instruction, and the calls of the API.

use local::kubernetes::{EmbeddedApi, Gateway, Mode};
use serde_json::{Value, json};

use crate::events::{Delivery, Reply, pending};
use crate::provisioner::{Provisioner, embedded_api, repository};

/// How many events of a kind are measured; the median counts.
const EVENTS: usize = 9;

/// A way that an event can go: what it is called, the gateway, a variable that is set, and the last word of the answer's
/// type.
type Way = (&'static str, &'static str, (&'static str, String), &'static str);

/// What is called so is delivered twice, and the second time counts.
const AGAIN: &str = "duplicate";
/// The gateway whose webhook denies every Pod.
const FULL: &str = "full";

fn ways() -> [Way; 7] {
    let any = || ("gateways", String::new());
    [
        ("new", "foo", any(), "done"),
        (AGAIN, "foo", any(), "done"),
        ("new, without verification", "foo", ("gateway_verification", "off".to_owned()), "done"),
        ("new, of a thousand gateways in the list", "foo", ("gateways", gateways(1000)), "done"),
        ("denied by the gateway's webhook", FULL, any(), "failed"),
        ("gateway that is not in the list", "nowhere", ("gateways", gateways(2)), "failed"),
        ("gateway that nothing answers for", "nowhere", any(), "failed"),
    ]
}

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
    for way in ways() {
        let (fuel, calls) = cost(&way).await;
        costs[way.0] = json!({"fuel": fuel, "calls": calls});
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

async fn cost((name, gateway, (variable, value), outcome): &Way) -> (u64, u64) {
    let metered = Metered::start(&[(variable, value)]).await;
    let full = Gateway::new(FULL).with_mode(Mode::Deny("it is full".to_owned()));
    metered.api.set_gateways(vec![Gateway::new("foo"), full]);
    let mut samples = Vec::new();
    for event in 0..EVENTS {
        let event = || pending(&format!("event-{event}"), gateway);
        if *name == AGAIN {
            metered.deliver(event()).await;
        }
        let (reply, fuel, calls) = metered.deliver(event()).await;
        assert_eq!(reply.outcome(), *outcome, "{}: {}", reply.status, reply.json());
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
