//! A round: clients are asked for in every weather, and then all that became of them is accounted for.

use std::time::Duration;

use local::broker::Passed;
use local::cli::sources::{pinged, told};
use local::kubernetes::{ChangeKind, Config, EmbeddedApi, Fate, Gateway, Mode, PodChange};
use provisioner::event::TERMINATION;
use provisioner::pod::text;
use provisioner::testing::pod_template;
use serde_json::{Value, json};
use tests::events::{Delivery, binary, pending, pending_with, with_header};
use tests::fault::{Proxy, to_server};
use tests::{Reply, TOKEN};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

use crate::chance::{api_faults, per_mille, pick};
use crate::lane::Lane;
use crate::ledger::{Asked, Ledger};
use crate::truth::{Truth, event_of, is_told_to_run};

/// How many clients a round asks for: what becomes of them has room in a broker's journal.
const CLIENTS: usize = 200;

/// How many events may be under way before another is asked for.
const AT_ONCE: usize = 48;

/// How long a round waits where there is nothing to ask for.
const TICK: Duration = Duration::from_millis(2);

/// How long each step of the kubelet takes that is played.
const KUBELET: Duration = Duration::from_millis(20);

/// How many sweeps settle what is left of a round, at most. Each may meet a fault, and a Pod has to be a second old.
const SWEEPS: usize = 200;

pub struct Round {
    number: usize,
    api: EmbeddedApi,
    to_api: Proxy,
    lane: Lane,
    changes: Receiver<PodChange>,
    truth: Truth,
    asked: Asked,
    /// The ids of the events that asked for clients, in their order.
    ids: Vec<String>,
}

impl Round {
    pub async fn start(number: usize) -> Self {
        let pod_templates = vec![template(false)];
        let config = Config { token: TOKEN.to_owned(), kubelet: Some(KUBELET), pod_templates, ..Config::demo() };
        let api = EmbeddedApi::bind(config, ([127, 0, 0, 1], 0).into()).await.expect("a port is free");
        api.set_gateways(usual_gateways());
        let to_api = Proxy::start(to_server(&api.url()), api_faults(template(true)));
        let lane = Lane::start(number % 2 == 1, &to_api.url()).await;
        let (changes, truth) = (api.subscribe(), Truth::default());
        Self { number, api, to_api, lane, changes, truth, asked: Asked::default(), ids: Vec::new() }
    }

    /// Asks for the round's clients, waits until every event has come to its end, and balances.
    pub async fn run(mut self, ledger: &mut Ledger) {
        while self.ids.len() < CLIENTS || self.lane.in_flight() > 0 {
            self.tell();
            self.change_weather().await;
            if self.ids.len() < CLIENTS && self.lane.in_flight() < AT_ONCE {
                self.ask().await;
            } else {
                tokio::time::sleep(TICK).await;
            }
        }
        // Good weather again.
        self.api.set_gateways(usual_gateways());
        self.to_api.listen().await;
        self.settle(ledger).await;
        for step in self.lane.patient.journal.take() {
            if let Passed::DeadLettered { reason } = step.kind {
                ledger.problems.push(format!("lost: {reason}"));
            }
        }
        let logs = self.lane.logs();
        if logs.contains("the component failed") || logs.contains("gave no response") {
            ledger.problems.push("an instance trapped".to_owned());
        }
        tests::schema::assert_none_noted();
        ledger.balance(&self.asked, self.lane.broker.journal.take(), &self.truth, &self.api.pods("default"));
    }

    /// Asks for a client, for one in ten twice, and now and then for the end of one.
    async fn ask(&mut self) {
        let (number, id) = (self.ids.len(), format!("{}-{}", self.number, self.ids.len()));
        let event = request(&id);
        for _ in 0..=usize::from(per_mille(100)) {
            self.publish(event.clone()).await;
        }
        self.ids.push(id.clone());
        self.asked.pending.insert(id);
        if per_mille(150) {
            // One of the latest, which may not be there yet, or one of long ago; or one that never was, or none.
            let target = &self.ids[number - fastrand::usize(..(number + 1).min(40))];
            let (data, uids) = match fastrand::u32(..10) {
                0 => (json!({}), Vec::new()),
                1 => (json!({"pending_event": {"source": "/test", "id": "nobody"}}), Vec::new()),
                _ => (json!({"pending_event": {"source": "/test", "id": target}}), self.truth.disturb(target)),
            };
            let id = format!("end-{}-{number}", self.number);
            self.publish(binary(&id, TERMINATION, &data.to_string())).await;
            self.asked.ends.insert(id, uids);
        }
    }

    async fn publish(&self, event: Delivery) {
        let taken = Reply::from(self.lane.broker.url(), event).await;
        assert_eq!(taken.status, 202, "the broker takes every event");
    }

    /// Is an ApiServerSource: tells of the changes that there were, not of everything, and of some of it twice.
    fn tell(&mut self) {
        loop {
            let change = match self.changes.try_recv() {
                Ok(change) => change,
                Err(TryRecvError::Lagged(_)) => panic!("a change of a Pod was missed"),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            };
            self.truth.note(&change);
            let copies = match fastrand::u32(..20) {
                // No sweep finds a Pod that is gone, so that is told always.
                0 if change.kind != ChangeKind::Deleted => 0,
                1 => 2,
                _ => 1,
            };
            for _ in 0..copies {
                self.lane.broker.publish(told(&change, &self.api.url()).expect("every Pod here is a client's"));
            }
        }
    }

    /// What else happens: gateways change, the API server goes and comes back; and as long as clients are asked for,
    /// clients end, and there are pings.
    async fn change_weather(&mut self) {
        match fastrand::u32(..1_000) {
            0 => self.to_api.leave().await,
            1..20 => self.to_api.listen().await,
            20..24 => self.api.set_gateways(gateways()),
            24..44 => self.api.set_gateways(usual_gateways()),
            44..48 if self.ids.len() < CLIENTS => _ = self.lane.broker.publish(pinged()),
            48..108 if self.ids.len() < CLIENTS => self.end_a_client(),
            _ => (),
        }
    }

    fn end_a_client(&mut self) {
        let pods = self.api.pods("default");
        let Some(pod) = pods.get(fastrand::usize(..pods.len().max(1))) else { return };
        let is_lost = per_mille(100);
        if is_lost {
            // Its Pod goes as well, so that a redelivery makes another.
            self.truth.disturb(event_of(pod));
        }
        let fate = if is_lost { Fate::NodeLost } else { Fate::Exit(pick(&[0, 0, 1, 137])) };
        self.api.meet(text(&pod["metadata"]["uid"]), fate);
    }

    /// Sweeps until there are only clients left that run and were told of, and all that was told has been heard.
    async fn settle(&mut self, ledger: &mut Ledger) {
        for _ in 0..SWEEPS {
            let is_settled = self.api.pods("default").iter().all(is_told_to_run);
            self.tell();
            if is_settled && self.lane.in_flight() == 0 {
                return;
            }
            self.lane.sweep().await;
            while self.lane.in_flight() > 0 {
                self.tell();
                tokio::time::sleep(TICK).await;
            }
            tokio::time::sleep(KUBELET).await;
        }
        ledger.problems.push(format!("not settled after {SWEEPS} sweeps: {:?}", self.api.pods("default")));
    }
}

/// A PodTemplate whose clients end once, or one that leads past a gateway.
fn template(is_bad: bool) -> Value {
    pod_template(|spec| {
        spec["restartPolicy"] = json!("Never");
        spec["hostNetwork"] = json!(is_bad);
    })
}

/// A pending event: nine of ten can be had.
fn request(id: &str) -> Delivery {
    match fastrand::u32(..40) {
        0 => pending_with(id, "[1]"),
        1 => pending(id, "-foo-"),
        2 => with_header(pending(id, "foo"), "ce-expirytime", "2020-01-01T00:00:00Z"),
        _ => pending(id, pick(&["foo", "foo", "foo", "bar", "bar", "nope"])),
    }
}

fn usual_gateways() -> Vec<Gateway> {
    ["foo", "bar"].map(Gateway::new).to_vec()
}

fn gateways() -> Vec<Gateway> {
    let usual = || Gateway::new("foo");
    let gateways = [
        usual().with_mode(Mode::Down("connection refused".to_owned())),
        usual().with_mode(Mode::Deny("full".to_owned())),
        Gateway { address: "elsewhere".to_owned(), ..usual() },
    ];
    match fastrand::u32(..4) {
        0 => Vec::new(),
        1 => vec![Gateway::new("bar")],
        _ => vec![pick(&gateways), Gateway::new("bar")],
    }
}
