//! The ledger: what was asked for against what was told and what there is.

use std::collections::{BTreeMap, BTreeSet};

use cloudevents::{AttributesReader, Event};
use local::broker::{BrokerEvent, Passed, json_data};
use provisioner::pod::text;
use provisioner::reply::{self, DONE, ENDED, FAILED, NOT_TERMINATED, RUNNING, TERMINATED};
use serde_json::Value;

use crate::truth::{Life, Truth};

/// What a round asked for, by the ids of its events.
#[derive(Default)]
pub struct Asked {
    /// Clients.
    pub pending: BTreeSet<String>,
    /// Clients' ends, each with the Pods that there were then.
    pub ends: BTreeMap<String, Vec<String>>,
}

/// What was told of one event, or of one Pod: by its type, the ids of what was told, and what each said.
type Told = BTreeMap<&'static str, BTreeSet<(String, String)>>;

/// Sums over all rounds.
#[derive(Default)]
pub struct Ledger {
    /// How many events asked for something.
    pub events: usize,
    /// How often each thing came about.
    counts: BTreeMap<String, usize>,
    pub problems: Vec<String>,
}

impl Ledger {
    /// Balances a round: what was asked for, what the broker saw, what became of Pods, and the Pods there are.
    pub fn balance(
        &mut self,
        asked: &Asked,
        seen: impl IntoIterator<Item = BrokerEvent>,
        truth: &Truth,
        pods: &[Value],
    ) {
        let mut told = BTreeMap::new();
        for BrokerEvent { kind, event, .. } in seen {
            match kind {
                Passed::Retry { .. } => self.count("deliveries repeated"),
                Passed::DeadLettered { .. } => self.count("dead letters"),
                Passed::Received => record(&event, &mut told),
                _ => (),
            }
        }
        self.events += asked.pending.len() + asked.ends.len();
        for id in &asked.pending {
            self.close(id, &told.remove(id).unwrap_or_default(), truth);
        }
        for (id, uids) in &asked.ends {
            self.close_end(id, &told.remove(id).unwrap_or_default(), uids, truth);
        }
        for (uid, life) in &truth.lives {
            self.close_life(uid, life, &told.remove(uid).unwrap_or_default());
        }
        for pod in pods {
            let life = truth.lives.get(text(&pod["metadata"]["uid"]));
            if !life.is_some_and(|life| life.is_released && !life.has_ended) {
                self.problems.push(format!("a Pod is there that is no client that runs: {life:?} {pod}"));
            }
        }
        self.problems.extend(told.keys().map(|of| format!("told of {of}, which nobody asked for and which never was")));
    }

    fn count(&mut self, what: impl Into<String>) {
        *self.counts.entry(what.into()).or_default() += 1;
    }

    /// Every event is answered, and has one client at most. One that somebody took away may come anew.
    fn close(&mut self, id: &str, told: &Told, truth: &Truth) {
        let is_of_event = |life: &Life| life.event == id && life.is_released;
        let clients: Vec<_> = truth.lives.iter().filter(|(_, life)| is_of_event(life)).map(|(uid, _)| uid).collect();
        let (done, failed) = (of(told, DONE), of(told, FAILED));
        match (done.first(), failed.first()) {
            (Some(_), None) => self.count("done"),
            (Some(_), Some(_)) => self.count("done, and refused on another delivery"),
            (None, Some(reason)) => self.count(format!("failed: {reason}")),
            (None, None) => self.problems.push(format!("{id} has no answer")),
        }
        let is_right = match truth.disturbed.contains(id) {
            true => done.iter().all(|uid| clients.contains(uid)),
            false => clients.len() <= 1 && done == clients,
        };
        if !is_right {
            self.problems.push(format!("{id} is done with {done:?}, and its clients are {clients:?}"));
        }
    }

    /// An end that is asked for is answered, and is one where the answer says so.
    fn close_end(&mut self, id: &str, told: &Told, uids: &[String], truth: &Truth) {
        match (told.contains_key(TERMINATED), of(told, NOT_TERMINATED).first()) {
            (true, _) => self.count("ended on request"),
            (false, Some(reason)) => self.count(format!("not ended on request: {reason}")),
            (false, None) => self.problems.push(format!("{id} has no answer")),
        }
        let goes_on = |uid: &&String| !truth.lives[*uid].has_ended;
        if let Some(uid) = uids.iter().find(goes_on).filter(|_| told.contains_key(TERMINATED)) {
            self.problems.push(format!("{id} is done, and {uid} goes on"));
        }
    }

    /// What is told of a client is so, has one id, and leaves nothing out but that one ran that has ended.
    fn close_life(&mut self, uid: &str, life: &Life, told: &Told) {
        let [running, ended] = [RUNNING, ENDED].map(|ty| of(told, ty).len());
        let (runs, ends) = (usize::from(life.has_run), usize::from(life.is_released && life.has_ended));
        if ended != ends || running > runs || running < runs - runs.min(ends) {
            self.problems.push(format!("{uid} of {life:?} was told as {told:?}"));
        }
        told.keys().for_each(|ty| self.count(format!("told: {ty}")));
    }

    /// Prints it.
    ///
    /// # Panics
    /// When it doesn't balance.
    pub fn close_books(&self) {
        println!("{} events that ask for something: {:#?}", self.events, self.counts);
        assert!(self.problems.is_empty(), "the ledger does not balance: {:#?}", self.problems);
    }
}

/// Takes down what an event tells, by the id of the event or the uid of the Pod that it is about.
fn record(event: &Event, told: &mut BTreeMap<String, Told>) {
    let Some(ty) = reply::ALL.into_iter().find(|ty| *ty == event.ty()) else { return };
    let data = json_data(event).unwrap_or_default();
    let text = |member: &str| text(&data[member]).to_owned();
    let cause = event.extension("causationid").map(ToString::to_string).unwrap_or_default();
    let (of, says) = match ty {
        RUNNING | ENDED => (text("pod_uid"), cause),
        DONE => (cause, text("pod_uid")),
        _ => (cause, text("reason")),
    };
    told.entry(of).or_default().entry(ty).or_default().insert((event.id().to_owned(), says));
}

/// What was said in events of a type, each of another id; of the same id, the first.
fn of<'a>(told: &'a Told, ty: &str) -> Vec<&'a String> {
    told.get(ty).into_iter().flatten().map(|(_, says)| says).collect()
}
