//! What there is in the world, what happened in it so far, and what a call does to it.

use http::Request;
use provisioner::event::PENDING;
use provisioner::testing::{deleting, event, released, routed, stored, wanted};
use serde_json::{Value, json};

use super::Faults;
use crate::code::{self, Call, Event, Reply};

/// Resource versions are unique in a cluster: that of a Pod is its uid times this, and how often it was changed.
const VERSIONS: u32 = 100;

/// How many seconds a Pod has to end, where nobody says otherwise.
const GRACE: u64 = 30;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pod {
    pub uid: u32,
    /// How often it was changed.
    pub changes: u32,
    pub gated: bool,
    /// Whether the gateway's webhook took it.
    pub routed: bool,
    pub deleting: bool,
}

impl Pod {
    fn version(self) -> u32 {
        self.uid * VERSIONS + self.changes
    }
}

impl code::Pod for Pod {
    fn object(self) -> Value {
        let mut object = if self.routed { routed(wanted(&[])) } else { stored(wanted(&[])) };
        object["metadata"]["uid"] = json!(self.uid.to_string());
        object["metadata"]["resourceVersion"] = json!(self.version().to_string());
        if !self.gated {
            object = released(object);
        }
        if self.deleting { deleting(object) } else { object }
    }
}

/// By which way the event comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Route {
    Subscriber,
    DeadLetter,
}

impl Event for Route {
    fn request(self) -> Request<Vec<u8>> {
        let path = if self == Self::Subscriber { "/" } else { "/dead-letter" };
        event(path, PENDING, r#"{"gateway_name":"foo"}"#)
    }
}

pub type Run = code::Run<Route, Pod>;
type Answer = code::Answer<Pod>;

/// One copy of the event, as the broker sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    Delivering(Run),
    /// The broker has given up on the subscriber.
    DeadLettered,
    /// A delivery was answered with 2xx.
    Settled,
    /// The broker has given up on the dead letter sink as well.
    Lost,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Delivery {
    /// Nobody waits for its answer any more: the copy is delivered again beside it.
    pub is_stray: bool,
    pub stage: Stage,
    pub attempts: u8,
}

/// What happened so far, as far as the promises speak of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Seen {
    pub done: bool,
    pub failed: bool,
    /// The uids of the Pods that were without a gate at any time, as bits.
    released: u32,
    /// The provisioner removed a Pod that was without its gate.
    pub taken_away: bool,
    /// The provisioner removed it without leaving it its time.
    pub forced: bool,
    /// `done` was said of a Pod that was never released.
    pub done_too_early: bool,
    /// `done` was said of a Pod that the provisioner had begun to remove.
    pub done_of_removed: bool,
    /// `failed` was said while a client ran, were it on its way out.
    pub failed_beside_client: bool,
    pub deleted_by_person: bool,
}

impl Seen {
    /// How many Pods of the event could run at any time.
    pub fn clients(self) -> u32 {
        self.released.count_ones()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub pod: Option<Pod>,
    pub last_uid: u32,
    pub routes: bool,
    pub loses_gates: bool,
    /// The uid of the Pod that the provisioner has begun to remove, while it ends.
    pub removing: Option<u32>,
    /// The copies of the event, each with its delivery, and strays.
    pub deliveries: Vec<Delivery>,
    /// Calls under way that nobody waits for any more.
    pub delayed: Vec<Call>,
    pub seen: Seen,
    pub left: Faults,
}

impl State {
    /// A delivery was answered with 2xx, or nobody waits for what comes of it.
    pub fn settle(&mut self, at: usize) {
        match self.deliveries[at].is_stray {
            true => drop(self.deliveries.remove(at)),
            false => self.deliveries[at].stage = Stage::Settled,
        }
    }

    /// The effect of a call, and its answer.
    pub fn apply(&mut self, call: Call) -> Answer {
        match (call, self.pod) {
            (Call::Reply(reply), _) => {
                self.accept(reply);
                Answer::Taken
            }
            (Call::Readiness, _) => Answer::Taken,
            (Call::Create { .. }, Some(_)) => Answer::Refused(409, "AlreadyExists"),
            (Call::Create { gated }, None) => self.create(gated),
            (Call::List | Call::Note(_), _) => panic!("{call:?} is no part of a beginning"),
            (_, None) => Answer::Refused(404, "NotFound"),
            (Call::Get, Some(pod)) => Answer::Found(pod),
            (Call::Release { uid }, Some(pod)) => self.release(uid, pod),
            (Call::Delete { uid, version, at_once }, Some(pod)) => {
                let is_meant = uid.is_none_or(|uid| uid == pod.uid);
                let is_current = version.is_none_or(|version| version == pod.version());
                if is_meant && is_current { self.delete(at_once, pod) } else { Answer::Refused(409, "Conflict") }
            }
        }
    }

    fn create(&mut self, gated: bool) -> Answer {
        self.last_uid += 1;
        let gated = gated && !self.loses_gates;
        let pod = Pod { uid: self.last_uid, changes: 0, gated, routed: self.routes, deleting: false };
        self.put(pod);
        Answer::Created(pod)
    }

    fn release(&mut self, uid: Option<u32>, pod: Pod) -> Answer {
        if uid.is_some_and(|uid| uid != pod.uid) {
            return Answer::Refused(422, "Invalid");
        }
        let released = Pod { gated: false, changes: pod.changes + u32::from(pod.gated), ..pod };
        self.put(released);
        Answer::Found(released)
    }

    /// A Pod that never had a node is gone at once, as one whose time is up; any other is given its time.
    fn delete(&mut self, at_once: bool, pod: Pod) -> Answer {
        self.seen.taken_away |= !pod.gated && !pod.deleting;
        self.seen.forced |= !pod.gated && at_once;
        if pod.gated || at_once {
            self.end();
            return Answer::Ending(pod, 0);
        }
        if !pod.deleting {
            self.put(Pod { deleting: true, changes: pod.changes + 1, ..pod });
            self.removing = Some(pod.uid);
        }
        Answer::Ending(pod, GRACE)
    }

    pub fn end(&mut self) {
        (self.pod, self.removing) = (None, None);
    }

    fn put(&mut self, pod: Pod) {
        if !pod.gated {
            self.seen.released |= 1 << pod.uid;
        }
        self.pod = Some(pod);
    }

    /// A Pod that never had a node goes at once; any other is given its time.
    pub fn person_deletes(&mut self) {
        self.left.deletions -= 1;
        self.seen.deleted_by_person = true;
        self.pod = match self.pod {
            Some(pod) if !pod.gated => Some(Pod { deleting: true, changes: pod.changes + 1, ..pod }),
            _ => None,
        };
    }

    /// The broker takes an answer to the event in.
    pub fn accept(&mut self, reply: Reply) {
        match reply {
            Reply::Done { uid } => {
                self.seen.done = true;
                self.seen.done_too_early |= self.seen.released & (1 << uid) == 0;
                self.seen.done_of_removed |= self.removing == Some(uid);
            }
            Reply::Failed => {
                self.seen.failed = true;
                self.seen.failed_beside_client |= self.pod.is_some_and(|pod| !pod.gated);
            }
            Reply::Running | Reply::Ended { .. } => panic!("{reply:?} is no answer"),
        }
    }
}
