//! `make soak`: thousands of events with faults switched on at random, and at the end the ledger must balance.
//!
//! Every pending event has its answer and one client at most, every end that was asked for its answer, every client's end is
//! told under one id, and no other Pod exists. There are two lanes to one API server: in one the reply is the answer to the
//! delivery, in the other it goes to the sink. Pods run on a kubelet that is played; an ApiServerSource and a PingSource tell
//! of them, the former not of everything. Events come in rounds, by the lanes in turn; after each the books are balanced and
//! the Pods removed.
//! `SOAK_EVENTS`, `SOAK_SEED` and `SOAK_SECONDS` (after which no other round begins) set it up.

mod dice;
mod lane;
mod ledger;
mod requests;
mod source;
mod weather;

use std::sync::Arc;
use std::time::{Duration, Instant};

use local::broker::Passed;
use local::cli::sources::pinged;
use local::kubernetes::{Config, EmbeddedApi};
use provisioner::pod::{REPORTED, is_set};
use provisioner::testing::pod_template;
use serde_json::{Value, json};
use tests::TOKEN;
use tests::fault::{Proxy, to_server};
use tests::pods::is_gated;

use dice::Dice;
use lane::Lane;
use ledger::Ledger;
use source::{Source, client_of};

/// How long each step of the kubelet takes that is played.
const KUBELET: Duration = Duration::from_millis(20);

/// How many sweeps settle what is left of a round, at most. Each may meet a fault, and a Pod has to be a second old.
const SWEEPS: usize = 200;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

#[tokio::main]
async fn main() {
    let (events, seed) = (setting("SOAK_EVENTS", 10_000) as usize, setting("SOAK_SEED", fastrand::u64(..)));
    let deadline = Instant::now() + Duration::from_secs(setting("SOAK_SECONDS", 1_800));
    println!("SOAK_EVENTS={events} SOAK_SEED={seed}");
    let dice = Dice::new(seed);
    let pod_templates = vec![template(false)];
    let config = Config { token: TOKEN.to_owned(), kubelet: Some(KUBELET), pod_templates, ..Config::demo() };
    let api = Arc::new(EmbeddedApi::bind(config, ([127, 0, 0, 1], 0).into()).await.expect("a port is free"));
    let to_api = Arc::new(Proxy::start(to_server(&api.url()), dice.api_faults(template(true))).await);
    let url = to_api.url();
    let lanes = [Lane::start(false, &url, &dice).await, Lane::start(true, &url, &dice).await];
    let field = Field { api, to_api, dice };
    let mut ledger = Ledger::default();
    for round in 0.. {
        if ledger.events >= events || Instant::now() >= deadline {
            break;
        }
        field.round(round, &lanes[round % 2], &mut ledger).await;
        println!("{:>6} of {events} events", ledger.events);
    }
    ledger.close_books();
}

/// A PodTemplate whose clients end once, or one that leads past a gateway.
fn template(is_bad: bool) -> Value {
    let mut template = pod_template(|spec| {
        spec["restartPolicy"] = json!("Never");
        spec["hostNetwork"] = json!(is_bad);
    });
    template["metadata"] = json!({"name": "client", "namespace": "default"});
    template
}

/// Everything that a round takes place in.
struct Field {
    api: Arc<EmbeddedApi>,
    to_api: Arc<Proxy>,
    dice: Dice,
}

impl Field {
    /// Asks for a round's clients in every weather, waits until every event has come to its end, and balances.
    async fn round(&self, number: usize, lane: &Arc<Lane>, ledger: &mut Ledger) {
        let source = Arc::new(Source::new(&self.api, &self.dice));
        let (api, dice) = (|| self.api.clone(), || self.dice.clone());
        let tells = tokio::spawn(source.clone().run(lane.clone()));
        let storm = tokio::spawn(weather::rage(api(), self.to_api.clone(), dice()));
        let doom = tokio::spawn(weather::doom(api(), source.clone(), dice()));
        let pings = tokio::spawn(ping(lane.clone(), dice()));
        let asked = lane.ask(number, &source, &self.dice).await;
        for task in [doom, pings] {
            end(task).await;
        }
        lane.wait_idle().await;
        end(storm).await;
        // Good weather again.
        self.api.set_gateways(weather::usual_gateways());
        self.to_api.listen().await;
        self.settle(lane, &source, ledger).await;
        end(tells).await;
        for step in lane.patient.journal.take() {
            if let Passed::DeadLettered { reason } = step.kind {
                ledger.problems.push(format!("lost: {reason}"));
            }
        }
        let logs = lane.take_logs();
        if logs.contains("the component failed") || logs.contains("gave no response") {
            ledger.problems.push("an instance trapped".to_owned());
        }
        tests::schema::assert_none_noted();
        ledger.balance(&asked, lane.broker.journal.take(), &source.take(), &self.api.pods("default"));
        self.api.clear();
    }

    /// Sweeps until there are only clients left that run and were told of, and all that was told has been heard.
    async fn settle(&self, lane: &Lane, source: &Source, ledger: &mut Ledger) {
        for _ in 0..SWEEPS {
            let is_settled = self.api.pods("default").iter().all(is_told_to_run);
            source.pump(lane);
            if is_settled && lane.in_flight() == 0 {
                return;
            }
            lane.sweep().await;
            source.pump(lane);
            lane.wait_idle().await;
            tokio::time::sleep(KUBELET).await;
        }
        ledger.problems.push(format!("not settled after {SWEEPS} sweeps: {:?}", self.api.pods("default")));
    }
}

/// Whether it is a Pod about which there is nothing left to do. A Pod runs on when its client has ended.
fn is_told_to_run(pod: &Value) -> bool {
    let is_at_work = is_set(&client_of(pod)["running"]) && pod["status"]["phase"] == "Running";
    let is_held_or_goes = is_gated(pod) || is_set(&pod["metadata"]["deletionTimestamp"]);
    is_at_work && !is_held_or_goes && pod["metadata"]["annotations"][REPORTED] == "running"
}

/// Pings the lane, for ever.
async fn ping(lane: Arc<Lane>, dice: Dice) {
    loop {
        lane.broker.publish(pinged());
        weather::wait(&dice, 300, 600).await;
    }
}

async fn end(task: tokio::task::JoinHandle<()>) {
    task.abort();
    _ = task.await;
}
