//! The ledger: what was asked for against what was told and what there is.

use std::collections::{BTreeMap, BTreeSet};

use cloudevents::{AttributesReader, Event};
use local::broker::Passed;
use provisioner::reply::{self, DONE, ENDED, FAILED, NOT_TERMINATED, RUNNING, TERMINATED};
use serde_json::Value;

use crate::source::{Life, Truth};
use provisioner::pod::text;

/// What a round asked for, by the ids of its events.
#[derive(Default)]
pub struct Asked {
    /// Clients.
    pub pending: BTreeSet<String>,
    /// Clients, by events that nobody delivers again.
    pub forgotten: BTreeSet<String>,
    /// Clients' ends, each with the Pods that there were then.
    pub ends: BTreeMap<String, Vec<String>>,
}

/// What was told of one event, or of one Pod: by its type, the ids of what was told, and what each said.
type Told = BTreeMap<&'static str, BTreeSet<(String, String)>>;

/// Sums over all rounds.
#[derive(Default)]
pub struct Ledger {
    pub events: usize,
    done: usize,
    both: usize,
    ended: usize,
    running: usize,
    forgotten: usize,
    ends: BTreeMap<String, usize>,
    failed: BTreeMap<String, usize>,
    copies: usize,
    retries: usize,
    /// What took the dead letter route.
    pub dead_letters: usize,
    problems: Vec<String>,
}

impl Ledger {
    /// Balances a round: what was asked for, what the brokers saw, what became of Pods, and the Pods there are.
    pub fn balance(&mut self, asked: &Asked, seen: &[(Passed, Event)], truth: &Truth, pods: &[Value]) {
        let (mut events, mut reports) = (BTreeMap::new(), BTreeMap::new());
        for (passed, event) in seen {
            match passed {
                Passed::Retry { .. } => self.retries += 1,
                Passed::Received => self.record(event, &mut events, &mut reports),
                _ => (),
            }
        }
        self.events += asked.pending.len() + asked.forgotten.len() + asked.ends.len();
        for id in &asked.pending {
            let told = events.remove(id).unwrap_or_default();
            self.close(id, &told, &clients(truth, id), truth.disturbed.contains(id));
        }
        for id in &asked.forgotten {
            self.forgotten += 1;
            let told = events.remove(id).unwrap_or_default();
            self.close_forgotten(id, &told, &clients(truth, id));
        }
        for (id, uids) in &asked.ends {
            self.close_end(id, &events.remove(id).unwrap_or_default(), uids, truth);
        }
        for (uid, life) in &truth.lives {
            self.close_life(uid, life, &reports.remove(uid).unwrap_or_default());
        }
        let runs = |uid: &str| truth.lives.get(uid).is_some_and(|life| life.is_released && !life.has_ended);
        let others = pods.iter().map(|pod| text(&pod["metadata"]["uid"])).filter(|uid| !runs(uid));
        self.problems.extend(others.map(|uid| format!("the Pod {uid} is there, and is no client that runs")));
        self.problems.extend(events.keys().map(|id| format!("an answer to {id}, which nobody asked")));
        self.problems.extend(reports.keys().map(|uid| format!("a report on {uid}, which never was")));
        self.problems.extend(truth.is_incomplete.then(|| "a change of a Pod was missed".to_owned()));
    }

    fn record(&mut self, event: &Event, events: &mut BTreeMap<String, Told>, reports: &mut BTreeMap<String, Told>) {
        let Some(ty) = reply::ALL.into_iter().find(|ty| *ty == event.ty()) else { return };
        let data = local::broker::json_data(event).unwrap_or_default();
        let text = |member: &str| data[member].as_str().unwrap_or_default().to_owned();
        let cause = event.extension("causationid").map(ToString::to_string).unwrap_or_default();
        let (told, says) = match ty {
            RUNNING | ENDED => (reports.entry(text("pod_uid")).or_default(), cause),
            DONE => (events.entry(cause).or_default(), text("pod_uid")),
            _ => (events.entry(cause).or_default(), text("reason")),
        };
        self.copies += 1;
        told.entry(ty).or_default().insert((event.id().to_owned(), says));
    }

    /// Every event is answered, and has one client at most. One that somebody took away may come anew.
    fn close(&mut self, id: &str, told: &Told, clients: &[&str], is_disturbed: bool) {
        let (done, failed) = (of(told, DONE), of(told, FAILED));
        self.both += usize::from(!done.is_empty() && !failed.is_empty());
        match (done.is_empty(), failed.first()) {
            (false, _) => self.done += 1,
            (true, Some(reason)) => *self.failed.entry((*reason).to_owned()).or_default() += 1,
            (true, None) => self.problems.push(format!("{id} has no answer")),
        }
        let is_right = match is_disturbed {
            true => done.iter().all(|uid| clients.contains(uid)),
            false => clients.len() <= 1 && done == clients,
        };
        if !is_right {
            self.problems.push(format!("{id} is done with {done:?}, and its clients are {clients:?}"));
        }
    }

    fn close_forgotten(&mut self, id: &str, told: &Told, clients: &[&str]) {
        let done = of(told, DONE);
        if clients.len() > 1 || !done.iter().all(|uid| clients.contains(uid)) {
            self.problems.push(format!("{id} is done with {done:?}, and its clients are {clients:?}"));
        }
    }

    /// An end that is asked for is answered, and is one where the answer says so.
    fn close_end(&mut self, id: &str, told: &Told, uids: &[String], truth: &Truth) {
        let goes_on = |uid: &&String| !truth.lives[*uid].has_ended;
        if let Some(uid) = uids.iter().find(goes_on).filter(|_| told.contains_key(TERMINATED)) {
            self.problems.push(format!("{id} is done, and {uid} goes on"));
        }
        match (told.contains_key(TERMINATED), of(told, NOT_TERMINATED).first()) {
            (true, _) => *self.ends.entry("done".to_owned()).or_default() += 1,
            (false, Some(reason)) => *self.ends.entry((*reason).to_owned()).or_default() += 1,
            (false, None) => self.problems.push(format!("{id} has no answer")),
        }
    }

    /// What is told of a client is so, has one id, and leaves nothing out but that one ran that has ended.
    fn close_life(&mut self, uid: &str, life: &Life, told: &Told) {
        let [running, ended] = [RUNNING, ENDED].map(|ty| of(told, ty).len());
        let ends = usize::from(life.is_released && life.has_ended);
        let runs = usize::from(life.has_run);
        self.running += running;
        self.ended += ended;
        if ended != ends || running > runs || running < runs - runs.min(ends) {
            self.problems.push(format!("{uid} of {life:?} was told as {told:?}"));
        }
    }

    /// A problem that shows elsewhere.
    pub fn problem(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// Prints it; gives whether it balances.
    pub fn close_books(&self) -> bool {
        println!("\n{:>8}  events that ask for something", self.events);
        println!("{:>8}  clients done, each of its one event", self.done);
        println!("{:>8}    of them refused first, and made on another delivery", self.both);
        println!("{:>8}  failed, without a client", self.failed.values().sum::<usize>());
        for (reason, count) in &self.failed {
            println!("{count:>8}    {reason}");
        }
        println!("{:>8}  of which no delivery came any more", self.forgotten);
        println!("{:>8}  ends asked for, answered", self.ends.values().sum::<usize>());
        for (answer, count) in &self.ends {
            println!("{count:>8}    {answer}");
        }
        println!("{:>8}  clients told to run, {} told to have ended", self.running, self.ended);
        println!("{:>8}  answers and reports in all, copies included", self.copies);
        println!("{:>8}  deliveries repeated, {} dead letters", self.retries, self.dead_letters);
        for problem in self.problems.iter().take(20) {
            println!("WRONG     {problem}");
        }
        println!("the ledger {}", if self.problems.is_empty() { "balances" } else { "does not balance" });
        self.problems.is_empty()
    }
}

/// What was said in events of a type, each of another id; of the same id, the first.
fn of<'a>(told: &'a Told, ty: &str) -> Vec<&'a str> {
    told.get(ty).into_iter().flatten().map(|(_, says)| says.as_str()).collect()
}

/// The Pods of an event that were released.
fn clients<'a>(truth: &'a Truth, event: &str) -> Vec<&'a str> {
    let of_event = truth.lives.iter().filter(|(_, life)| life.event == event && life.is_released);
    of_event.map(|(uid, _)| uid.as_str()).collect()
}
