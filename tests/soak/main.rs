//! `make soak`: thousands of events with faults switched on at random, and at the end the ledger must balance.
//!
//! Every pending event has its answer and one client at most, every end that was asked for its answer, every client's end is
//! told under one id, and no other Pod exists. Two lanes run beside each other against one API server: in one the reply is
//! the answer to the delivery, in the other it goes to the sink. Pods run on a kubelet that is played; an ApiServerSource and
//! a PingSource tell of them, the former not always truly. Events come in rounds; after each the books are balanced and the
//! Pods removed, so that memory can be flat.
//! `SOAK_EVENTS`, `SOAK_SEED` and `SOAK_SECONDS` (after which no other round begins) set it up.

mod dice;
mod lane;
mod ledger;
mod memory;
mod requests;
mod source;
mod weather;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use local::broker::Passed;
use local::cli::sources::pinged;
use local::kubernetes::{Config, EmbeddedApi};
use provisioner::pod::{REPORTED, is_set};
use provisioner::testing::pod_template;
use serde_json::{Value, json};
use tests::TOKEN;
use tests::fault::Proxy;
use tests::pods::is_gated;

use dice::Dice;
use lane::{Lane, Mode};
use ledger::{Asked, Ledger};
use source::Source;
use weather::Road;

/// How long each step of the kubelet takes that is played.
const KUBELET: Duration = Duration::from_millis(20);

/// How many sweeps settle what is left of a round, at most. Each may meet a fault, and a Pod has to be a second old.
const SWEEPS: usize = 200;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn main() -> ExitCode {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let (events, seed) = (setting("SOAK_EVENTS", 10_000), setting("SOAK_SEED", now));
    let deadline = Instant::now() + Duration::from_secs(setting("SOAK_SECONDS", 1_800));
    println!("SOAK_EVENTS={events} SOAK_SEED={seed}");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("there are threads");
    match runtime.block_on(soak(events as usize, &Dice::new(seed), deadline)) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

async fn soak(events: usize, dice: &Dice, deadline: Instant) -> bool {
    let pod_templates = vec![template("client", false), template("bad", true)];
    let config = Config { token: TOKEN.to_owned(), kubelet: Some(KUBELET), pod_templates, ..Config::demo() };
    let api = Arc::new(EmbeddedApi::bind(config, ([127, 0, 0, 1], 0).into()).await.expect("a port is free"));
    let road = Road::default();
    let to_api = Arc::new(Proxy::start(road.to(&api.url()), dice.api_faults()).await);
    let url = to_api.url();
    let lanes = Arc::new([Lane::start(Mode::Response, &url, dice).await, Lane::start(Mode::Sink, &url, dice).await]);
    let field = Field { api, to_api, road, lanes, dice: dice.clone() };
    let (mut ledger, mut rounds) = (Ledger::default(), Vec::new());
    while ledger.events < events && Instant::now() < deadline {
        field.round(rounds.len(), &mut ledger).await;
        rounds.push(memory::resident());
        println!("{:>6} of {events} events, {} MB", ledger.events, memory::resident());
    }
    let balances = ledger.close_books();
    memory::is_flat(&rounds) && balances
}

/// A PodTemplate whose clients end once, or one that leads past a gateway.
fn template(name: &str, is_bad: bool) -> Value {
    let mut template = pod_template(|spec| {
        spec["restartPolicy"] = json!("Never");
        spec["hostNetwork"] = json!(is_bad);
    });
    template["metadata"] = json!({"name": name, "namespace": "default"});
    template
}

/// Everything that a round takes place in.
struct Field {
    api: Arc<EmbeddedApi>,
    to_api: Arc<Proxy>,
    road: Road,
    lanes: Arc<[Lane; 2]>,
    dice: Dice,
}

impl Field {
    /// Asks for a round's clients in every weather, waits until every event has come to its end, and balances.
    async fn round(&self, number: usize, ledger: &mut Ledger) {
        let source = Arc::new(Source::new(&self.api, &self.dice));
        let (api, dice) = (|| self.api.clone(), || self.dice.clone());
        let tells = tokio::spawn(source.clone().run(self.lanes.clone()));
        let storm = tokio::spawn(weather::rage(api(), self.to_api.clone(), self.road.clone(), dice()));
        let doom = tokio::spawn(weather::doom(api(), source.clone(), dice()));
        let pings = tokio::spawn(ping(self.lanes.clone(), dice()));
        let mut asked = Asked::default();
        for of_lane in
            futures::future::join_all(self.lanes.iter().map(|lane| lane.ask(number, &source, &self.dice))).await
        {
            asked.add(of_lane);
        }
        for task in [doom, pings] {
            end(task).await;
        }
        self.wait_idle().await;
        end(storm).await;
        self.restore().await;
        self.settle(&source, ledger).await;
        end(tells).await;
        let mut seen = Vec::new();
        for lane in self.lanes.iter() {
            let steps = lane.broker.journal.take();
            ledger.dead_letters += steps.iter().filter(|step| matches!(step.kind, Passed::DeadLettered { .. })).count();
            seen.extend(steps.into_iter().map(|step| (step.kind, step.event)));
            for step in lane.patient.journal.take() {
                if let Passed::DeadLettered { reason } = step.kind {
                    ledger.problem(format!("lost: {reason}"));
                }
            }
            if lane.has_trapped() {
                ledger.problem(format!("an instance trapped in the lane {:?}", lane.mode));
            }
        }
        tests::schema::assert_none_noted();
        ledger.balance(&asked, &seen, &source.take(), &self.api.pods("default"));
        self.api.clear();
    }

    async fn wait_idle(&self) {
        futures::future::join_all(self.lanes.iter().map(Lane::wait_idle)).await;
    }

    /// Good weather again.
    async fn restore(&self) {
        self.api.set_available(true);
        self.road.clear();
        self.api.set_gateways(["foo", "bar"].map(local::kubernetes::Gateway::new).to_vec());
        self.to_api.listen().await;
    }

    /// Sweeps until there are only clients left that run and were told of, and all that was told has been heard.
    async fn settle(&self, source: &Source, ledger: &mut Ledger) {
        for _ in 0..SWEEPS {
            let is_settled = self.api.pods("default").iter().all(is_told_to_run);
            source.pump(&self.lanes);
            if is_settled && self.lanes.iter().all(|lane| lane.in_flight() == 0) {
                return;
            }
            futures::future::join_all(self.lanes.iter().map(Lane::sweep)).await;
            source.pump(&self.lanes);
            self.wait_idle().await;
            tokio::time::sleep(KUBELET).await;
        }
        ledger.problem(format!("not settled after {SWEEPS} sweeps: {:?}", self.api.pods("default")));
    }
}

/// Whether it is a Pod about which there is nothing left to do.
fn is_told_to_run(pod: &Value) -> bool {
    let is_at_work = pod["status"]["phase"] == "Running" && !is_set(&pod["metadata"]["deletionTimestamp"]);
    is_at_work && !is_gated(pod) && pod["metadata"]["annotations"][REPORTED] == "running"
}

/// Pings both lanes, for ever.
async fn ping(lanes: Arc<[Lane; 2]>, dice: Dice) {
    loop {
        lanes.iter().for_each(|lane| _ = lane.broker.publish(pinged()));
        weather::wait(&dice, 300, 600).await;
    }
}

async fn end(task: tokio::task::JoinHandle<()>) {
    task.abort();
    _ = task.await;
}
