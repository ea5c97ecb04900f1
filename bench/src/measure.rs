//! What is measured, in the order in which it is.
//!
//! Targets take turns, round after round, so that whatever else the machine does falls on all of them; of the rounds
//! the median counts, and of what is compared the median of each round's ratio. Pods are removed between turns.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tests::cluster::Cluster;
use tests::costs::{Metered, component_bytes, costs};
use tests::events::pending_with;

use crate::broker;
use crate::child::{self, Child};
use crate::floor::Floor;
use crate::gateways;
use crate::load::{Target, Until, load};
use crate::peer::{self, Peer};
use crate::plan::{Plan, Turns};
use crate::report;
use crate::review;
use crate::roles::Role;
use crate::rounds::{Turn, summary};
use crate::setup::Setup;
use crate::spread::middle;

/// The floor's name among the targets.
pub const FLOOR: &str = "floor";
/// The component's.
pub const HOST: &str = "host";
/// The native core's.
pub const NATIVE: &str = "native";
/// The component's, behind the in-memory broker.
pub const BROKER: &str = "broker and host";
/// That of a target that was there already.
const OTHER: &str = "target";

/// Who takes part, against one API.
pub struct Field {
    /// The API.
    pub peer: Peer,
    /// Who takes turns. The others are compared with the first.
    pub targets: Vec<(&'static str, Target)>,
    host: Child,
    native: Child,
}

impl Field {
    /// Starts the component and its native core; the floor comes before both.
    pub async fn start(peer: Peer, directory: &Path, other: Option<&str>) -> Self {
        let host = Role::Host(peer.setup.clone());
        let host = Child::start(&host, &directory.join("host.log")).await;
        let native = Child::start(&Role::Native(peer.setup.clone()), &directory.join("native.log")).await;
        let mut targets = vec![
            (FLOOR, Target::Floor(Arc::new(Floor::new(&peer.setup).await))),
            (NATIVE, Target::http(native.url())),
            (HOST, Target::http(host.url())),
        ];
        targets.extend(other.map(|url| (OTHER, Target::http(url))));
        Self { peer, targets, host, native }
    }

    /// The targets, another one first every time.
    fn turns(&self, round: usize) -> Vec<(&'static str, Target)> {
        let mut turns = self.targets.clone();
        turns.rotate_left(round % self.targets.len());
        turns
    }

    /// Each target in turn; by name, the median, what the API saw of it, and how it compares with the first.
    pub async fn rounds(&mut self, turns: Turns, at_once: usize, clear: bool) -> Map<String, Value> {
        let mut all: BTreeMap<&str, Vec<Turn>> = BTreeMap::new();
        for round in 0..turns.rounds {
            for (name, target) in self.turns(round) {
                let before = self.peer.calls().await;
                let sample = load(&target, at_once, Until::Time(turns.window)).await;
                let calls = self.peer.calls().await - before;
                all.entry(name).or_default().push(Turn { sample, calls, connections: self.connections(name) });
                if clear {
                    self.peer.clear().await;
                }
            }
        }
        all.iter().map(|(name, turns)| ((*name).to_owned(), summary(turns, &all[self.targets[0].0]))).collect()
    }

    /// How many connections to the API a target has open, where that can be seen.
    fn connections(&self, name: &str) -> Option<usize> {
        let port = self.peer.setup.url.rsplit(':').next()?.parse().ok()?;
        match name {
            HOST => Some(self.host.connections(port)),
            NATIVE => Some(self.native.connections(port)),
            FLOOR => self.peer.has_no_other_client().then(|| child::connections(std::process::id(), port)),
            _ => None,
        }
    }

    /// Has the connections made and the caches filled.
    pub async fn warm_up(&mut self) {
        self.rounds(Turns { rounds: 1, window: Duration::from_millis(300) }, 8, true).await;
    }
}

/// Measures everything, prints it and writes it down.
pub async fn run(plan: &Plan) {
    let results = peer::results();
    let scratch = tempfile::Builder::new().prefix("run-").tempdir_in(&results).expect("target/ can be written");
    let directory = scratch.path();
    let mut report = json!({"plan": plan.name, "machine": report::machine(), "component_bytes": component_bytes()});
    if plan.name == "gateways" {
        report["gateways"] = gateways::measure(plan, &start_cluster(directory).await).await;
    } else {
        progress("what an event costs on any machine");
        report["events"] = costs().await;
    }
    if plan.has("compare") {
        report["compare"] = json!({
            "embedded, verified": compare(Peer::embedded(directory, true).await, plan, plan.turns, directory).await,
            "embedded, verification off": compare(Peer::embedded(directory, false).await, plan, plan.turns, directory).await,
        });
    }
    if plan.has("review") {
        let embedded = Peer::embedded(directory, true).await;
        report["review"] = json!({"embedded": review::measure(embedded, plan, plan.turns, directory).await});
    }
    if plan.has("start") {
        progress("starts");
        report["start"] = start(Peer::embedded(directory, true).await, plan, directory).await;
    }
    if plan.has("memory") {
        progress("memory");
        report["memory"] = memory(Peer::embedded(directory, true).await, plan, directory).await;
    }
    if plan.has("burst") {
        progress("a burst");
        report["burst"] = burst(plan, directory).await;
    }
    if plan.has("growth") {
        report["growth"] = json!({
            "pods": growth_of_pods(plan, directory).await,
            "gateways": growth_of_gateways(plan, directory).await,
            "bytes": growth_of_bytes(plan, directory).await,
        });
    }
    if plan.is_real && (plan.has("compare") || plan.has("review")) {
        real(plan, directory, &mut report).await;
    }
    report::print(&report);
    let path = results.join(format!("{}.json", plan.only.as_deref().unwrap_or(plan.name)));
    let text = serde_json::to_string_pretty(&report).expect("numbers are JSON");
    std::fs::write(&path, &text).expect("target/ can be written");
    if plan.only.is_none() {
        std::fs::write(results.join("last.json"), text).expect("target/ can be written");
    }
    println!("\nall of it is in {}", path.display());
}

/// Says what is measured now.
pub fn progress(what: &str) {
    eprintln!("measuring: {what}");
}

async fn real(plan: &Plan, directory: &Path, report: &mut Value) {
    let cluster = start_cluster(directory).await;
    if plan.has("review") {
        let peer = Peer::real(&cluster, true).await;
        report["review"]["kube-apiserver"] = review::measure(peer, plan, plan.real_turns, &cluster.directory).await;
    }
    for (name, is_verified) in [("kube-apiserver, verified", true), ("kube-apiserver, verification off", false)] {
        if !plan.has("compare") {
            continue;
        }
        let peer = Peer::real(&cluster, is_verified).await;
        report["compare"][name] = compare(peer, plan, plan.real_turns, &cluster.directory).await;
    }
}

async fn start_cluster(directory: &Path) -> Arc<Cluster> {
    progress("start of a real API server");
    let directory = directory.join("apiserver");
    std::fs::create_dir(&directory).expect("target/ can be written");
    peer::cluster(&directory).await
}

async fn compare(peer: Peer, plan: &Plan, turns: Turns, directory: &Path) -> Value {
    let mut field = Field::start(peer, directory, plan.target.as_deref()).await;
    field.warm_up().await;
    let mut all = Map::new();
    for at_once in plan.at_once {
        progress(&format!("{} at {at_once} at once", field.peer.setup.url));
        let before = [&field.host, &field.native].map(Child::processor_time);
        let mut of_all = field.rounds(turns, *at_once, true).await;
        for ((name, child), before) in [(HOST, &field.host), (NATIVE, &field.native)].into_iter().zip(before) {
            let events = of_all[name]["events"].as_f64().unwrap_or(f64::NAN);
            let time = (child.processor_time() - before).as_secs_f64() * 1e6;
            of_all[name]["processor_us"] = json!(time / events);
        }
        all.insert(at_once.to_string(), of_all.into());
    }
    all.into()
}

/// How long it is from the start of a process to its first answer, and how long the second takes.
async fn start(peer: Peer, plan: &Plan, directory: &Path) -> Value {
    let setup = &peer.setup;
    let roles = [(HOST, Role::Host(setup.clone())), (NATIVE, Role::Native(setup.clone()))];
    let mut all = Map::new();
    all.insert(FLOOR.to_owned(), medians(plan, || floor_start(setup)).await);
    for (name, role) in roles {
        all.insert(name.to_owned(), medians(plan, || start_of(&role, directory)).await);
    }
    for field in ["first_event_ms", "second_event_ms"] {
        let floor = all[FLOOR][field].as_f64().unwrap_or(f64::NAN);
        for one in all.values_mut() {
            one[field.replace("_ms", "_of_floor")] = json!(one[field].as_f64().unwrap_or(f64::NAN) / floor);
        }
    }
    all.into()
}

/// By name, the median of what several starts took.
async fn medians<F: Future<Output = Vec<(&'static str, f64)>>>(plan: &Plan, start: impl Fn() -> F) -> Value {
    let mut seen: Vec<(&str, Vec<f64>)> = Vec::new();
    for _ in 0..plan.starts {
        for (name, number) in start().await {
            match seen.iter_mut().find(|(seen, _)| *seen == name) {
                Some((_, numbers)) => numbers.push(number),
                None => seen.push((name, vec![number])),
            }
        }
    }
    seen.into_iter().map(|(name, numbers)| (name.to_owned(), json!(middle(numbers)))).collect::<Map<_, _>>().into()
}

async fn start_of(role: &Role, directory: &Path) -> Vec<(&'static str, f64)> {
    let mut child = Child::start(role, &directory.join("start.log")).await;
    let listening = child.begin.elapsed().as_secs_f64() * 1e3;
    let mut times = vec![("listening_ms", listening)];
    times.extend(child.ready["load_ms"].as_f64().map(|load| ("load_ms", load)));
    times.extend(first_events(&Target::http(child.url())).await);
    let instance = child.ask("instance").await["instance_us"].as_f64();
    times.extend(instance.map(|time| ("instance_us", time)));
    times
}

async fn floor_start(setup: &Setup) -> Vec<(&'static str, f64)> {
    first_events(&Target::Floor(Arc::new(Floor::new(setup).await))).await.into()
}

async fn first_events(target: &Target) -> [(&'static str, f64); 2] {
    let mut times = [("first_event_ms", 0.0), ("second_event_ms", 0.0)];
    for (_, time) in &mut times {
        let begin = Instant::now();
        target.event().await;
        *time = begin.elapsed().as_secs_f64() * 1e3;
    }
    times
}

/// How many events a process has had in its hands at once when its memory is looked at. Spin takes 1,000.
pub const HELD_AT_ONCE: [usize; 4] = [1, 32, 256, 900];

/// Resident memory of each process, in MB.
async fn memory(peer: Peer, plan: &Plan, directory: &Path) -> Value {
    let mut field = Field::start(peer, directory, None).await;
    let mut all = json!({
        HOST: {"idle_mb": field.host.memory().0},
        NATIVE: {"idle_mb": field.native.memory().0},
    });
    field.warm_up().await;
    for (name, target) in field.targets.clone() {
        let child = match name {
            HOST => &field.host,
            NATIVE => &field.native,
            _ => continue,
        };
        for at_once in HELD_AT_ONCE {
            load(&target, at_once, Until::Events(2 * at_once)).await;
            all[name][format!("at_{at_once}_mb")] = json!(child.memory().0);
            field.peer.clear().await;
        }
        load(&target, 32, Until::Events(plan.many)).await;
        all[name]["events"] = json!(plan.many);
        all[name]["after_events_mb"] = json!(child.memory().0);
        all[name]["peak_mb"] = json!(child.memory().1);
        field.peer.clear().await;
    }
    all
}

/// Many events at once, each on a connection of its own, against fresh processes.
async fn burst(plan: &Plan, directory: &Path) -> Value {
    let mut all = Map::new();
    for name in [FLOOR, NATIVE, HOST, BROKER] {
        let mut field = Field::start(Peer::embedded(directory, true).await, directory, None).await;
        let sample = match field.targets.iter().find(|(whose, _)| *whose == name).cloned() {
            Some((_, target)) => load(&target, plan.burst, Until::Events(plan.burst)).await,
            None => broker::burst(field.host.url(), plan.burst).await,
        };
        let state = field.peer.state().await;
        let mut value = json!(sample);
        value["pods_made"] = json!(field.peer.pods().await);
        value["connections"] = state["connections"].clone();
        value["calls"] = state["calls"].clone();
        value["peak_mb"] = json!(match name {
            HOST | BROKER => Some(field.host.memory().1),
            NATIVE => Some(field.native.memory().1),
            _ => None,
        });
        assert_eq!(value["pods_made"], plan.burst, "{name}: an event was lost, or made two Pods");
        assert_eq!(sample.events, plan.burst, "{name}: each event has an answer");
        if matches!(name, HOST | NATIVE) {
            assert_eq!(sample.pods, plan.burst, "{name}: each answer speaks of a Pod of its own");
        }
        all.insert(name.to_owned(), value);
    }
    all.into()
}

/// How many events are under way at once while something grows.
const AT_ONCE: usize = 8;

async fn growth_of_pods(plan: &Plan, directory: &Path) -> Value {
    let mut field = Field::start(Peer::embedded(directory, true).await, directory, None).await;
    field.warm_up().await;
    let (_, floor) = field.targets[0].clone();
    let mut all = Map::new();
    for pods in plan.pods {
        progress(&format!("{pods} Pods there already"));
        let missing = (*pods as u64).saturating_sub(field.peer.pods().await) as usize;
        load(&floor, AT_ONCE, Until::Events(missing)).await;
        let of_all = field.rounds(plan.turns.quarter(), AT_ONCE, false).await;
        all.insert(pods.to_string(), of_all.into());
    }
    all.into()
}

async fn growth_of_gateways(plan: &Plan, directory: &Path) -> Value {
    let mut all = Map::new();
    for gateways in plan.gateways {
        progress(&format!("{gateways} gateways in the list"));
        let names = tests::costs::gateways(*gateways);
        let mut peer = Peer::embedded(directory, true).await;
        peer.setup = peer.setup.with("gateways", &names);
        let mut field = Field::start(peer, directory, None).await;
        field.warm_up().await;
        let mut of_all = field.rounds(plan.turns.quarter(), AT_ONCE, true).await;
        of_all.insert("fuel".to_owned(), fuel(&[("gateways", &names)], 0).await);
        all.insert(gateways.to_string(), of_all.into());
    }
    all.into()
}

async fn growth_of_bytes(plan: &Plan, directory: &Path) -> Value {
    let mut field = Field::start(Peer::embedded(directory, true).await, directory, None).await;
    field.warm_up().await;
    let small = field.targets.clone();
    let mut all = Map::new();
    for bytes in plan.bytes {
        progress(&format!("{bytes} bytes of data"));
        let padding = bytes.saturating_sub(json!({"gateway_name": "foo", "padding": ""}).to_string().len());
        field.targets = small.iter().map(|(name, target)| (*name, target.padded(padding))).collect();
        let mut of_all = field.rounds(plan.turns.quarter(), AT_ONCE, true).await;
        of_all.insert("fuel".to_owned(), fuel(&[], padding).await);
        all.insert(bytes.to_string(), of_all.into());
    }
    all.into()
}

/// The fuel of a new event whose data is larger by so much.
async fn fuel(variables: &[(&str, &str)], padding: usize) -> Value {
    let metered = Metered::start(variables).await;
    let data = json!({"gateway_name": "foo", "padding": "x".repeat(padding)});
    let (reply, fuel, _) = metered.deliver(pending_with("grown", &data.to_string())).await;
    assert_eq!(reply.outcome(), "done", "{}", reply.json());
    json!(fuel)
}
