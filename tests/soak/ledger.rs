//! The ledger: what was asked for against what was answered and what is there.

use std::collections::{BTreeMap, BTreeSet};

use cloudevents::{AttributesReader, Event};
use local::broker::{Broker, Passed};
use provisioner::reply::{DONE, FAILED};
use serde_json::Value;

/// The answers to one event.
#[derive(Default)]
struct Account {
    done: BTreeSet<(String, String)>,
    failed: BTreeSet<String>,
    copies: usize,
}

/// Sums over all rounds.
#[derive(Default)]
pub struct Ledger {
    pub events: usize,
    done: usize,
    failed: BTreeMap<String, usize>,
    both: usize,
    copies: usize,
    retries: usize,
    dead_letters: usize,
    pods: usize,
    problems: Vec<String>,
}

impl Ledger {
    /// Balances a round: the events that were asked for, what the brokers saw since the last, and the Pods there are.
    pub fn balance(&mut self, asked: &BTreeSet<String>, seen: &[(Passed, Event)], pods: &[Value]) {
        let mut accounts: BTreeMap<String, Account> = BTreeMap::new();
        for (passed, event) in seen {
            match passed {
                Passed::Retry { .. } => self.retries += 1,
                Passed::Received if [DONE, FAILED].contains(&event.ty()) => record(&mut accounts, event),
                _ => (),
            }
        }
        self.events += asked.len();
        self.pods += pods.len();
        let mut uids = BTreeMap::new();
        for pod in pods {
            let id = pod["metadata"]["annotations"]["podgateway.io/event-id"].as_str().unwrap_or_default();
            if uids.insert(id.to_owned(), pod["metadata"]["uid"].as_str().unwrap_or_default()).is_some() {
                self.problems.push(format!("{id} has two Pods"));
            }
        }
        for id in asked {
            let account = accounts.remove(id).unwrap_or_default();
            self.close(id, &account, uids.remove(id));
        }
        self.problems.extend(accounts.keys().map(|id| format!("an answer to {id}, which nobody asked")));
        self.problems.extend(uids.keys().map(|id| format!("a Pod of {id}, which nobody asked for")));
    }

    fn close(&mut self, id: &str, account: &Account, uid: Option<&str>) {
        self.copies += account.copies;
        let mut done = account.done.iter();
        match (done.next(), done.next(), uid) {
            (Some(_), Some(_), _) => self.problems.push(format!("{id} is done in two ways: {:?}", account.done)),
            (Some((_, told)), None, Some(uid)) if told == uid => self.done += 1,
            (Some(_), None, uid) => self.problems.push(format!("{id} is done, and its Pod is {uid:?}")),
            (None, _, Some(_)) => self.problems.push(format!("{id} has a Pod and was not told so")),
            (None, _, None) if account.failed.is_empty() => self.problems.push(format!("{id} has no answer")),
            (None, _, None) => (),
        }
        if account.done.is_empty() {
            if let Some(reason) = account.failed.first() {
                *self.failed.entry(reason.clone()).or_default() += 1;
            }
        } else {
            self.both += usize::from(!account.failed.is_empty());
        }
    }

    /// A problem that shows elsewhere.
    pub fn problem(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// Counts what went by way of the dead letter route.
    pub fn count_dead_letters(&mut self, letters: usize) {
        self.dead_letters = letters;
    }

    /// Prints it; gives whether it balances.
    pub fn close_books(&self) -> bool {
        let failed: usize = self.failed.values().sum();
        println!("\n{:>8}  events asked for", self.events);
        println!("{:>8}  done, each with its one Pod ({} Pods in all)", self.done, self.pods);
        println!("{:>8}    of them refused first, and made on another delivery", self.both);
        println!("{failed:>8}  failed, without a Pod");
        for (reason, count) in &self.failed {
            println!("{count:>8}    {reason}");
        }
        println!("{:>8}  answers in all, copies included", self.copies);
        println!("{:>8}  deliveries repeated, {} dead letters", self.retries, self.dead_letters);
        for problem in self.problems.iter().take(20) {
            println!("WRONG     {problem}");
        }
        let balances = self.problems.is_empty() && self.done + failed == self.events && self.done == self.pods;
        println!("the ledger {}", if balances { "balances" } else { "does not balance" });
        balances
    }
}

fn record(accounts: &mut BTreeMap<String, Account>, event: &Event) {
    let cause = event.extension("causationid").map(ToString::to_string).unwrap_or_default();
    let data = local::broker::json_data(event).unwrap_or_default();
    let text = |member: &str| data[member].as_str().unwrap_or_default().to_owned();
    let account = accounts.entry(cause).or_default();
    account.copies += 1;
    if event.ty() == DONE {
        account.done.insert((event.id().to_owned(), text("pod_uid")));
    } else {
        account.failed.insert(text("reason"));
    }
}

/// What a broker saw from `since` on.
pub fn seen(broker: &Broker, since: chrono::DateTime<chrono::Utc>) -> Vec<(Passed, Event)> {
    let steps = broker.events().into_iter().filter(|step| step.at >= since);
    steps.map(|step| (step.kind, step.event)).collect()
}
