//! A client's life in the model: its Pod, the source of hints, the sink and the sweep, around the code itself.
//!
//! The client of one event was released, and starts, ends, or is deleted at any time. Each change of its Pod is a hint,
//! which may be lost, doubled or late; each call of the code may be lost before or after its effect. When all of that is
//! over there is a sweep, and what it leads to. As in [`crate::code`], a delivery is the list of the answers it got.

use http::Request;
use provisioner::event::{DELETED, PING, UPDATED};
use provisioner::pod::REPORTED;
use provisioner::testing::{client_ended, client_running, event, merged, released, routed, wanted};
use serde_json::{Value, json};

use crate::code::{self, Call, Code, Fate, Next, Reply};
use crate::explore::Model;

/// What the container `client` is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum At {
    Waiting,
    Running,
    Ended,
}

/// When somebody asked for the Pod's deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Deleted {
    No,
    BeforeItsEnd,
    AfterItsEnd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pod {
    at: At,
    deleted: Deleted,
    /// What its annotation says.
    told: Option<&'static str>,
}

/// What arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    Change(Pod),
    Deletion(Pod),
    Ping,
}

impl code::Pod for Pod {
    /// It ends at 01:00, and is deleted half an hour before or after that.
    fn object(self) -> Value {
        let made = routed(wanted(&[]));
        let object = match self.at {
            At::Waiting => released(made),
            At::Running => client_running(made),
            At::Ended => client_ended(made, 0),
        };
        let deleted = match self.deleted {
            Deleted::No => json!(null),
            Deleted::BeforeItsEnd => json!("2026-01-01T00:30:00Z"),
            Deleted::AfterItsEnd => json!("2026-01-01T01:30:00Z"),
        };
        merged(
            object,
            &json!({"metadata": {"uid": "1", "deletionTimestamp": deleted, "annotations": {REPORTED: self.told}}}),
        )
    }
}

impl code::Event for Event {
    fn request(self) -> Request<Vec<u8>> {
        let (ty, data) = match self {
            Self::Change(pod) => (UPDATED, code::Pod::object(pod)),
            Self::Deletion(pod) => (DELETED, code::Pod::object(pod)),
            Self::Ping => (PING, json!({})),
        };
        event("/", ty, data.to_string())
    }
}

type Run = code::Run<Event, Pod>;
type Answer = code::Answer<Pod>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Starts,
    Ends,
    IsDeleted,
    IsGone,
    HintLost(Event),
    HintDoubled(Event),
    Delivery(Event),
    Call(Call, Fate),
    Sweep,
}

/// How much may go wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// Calls, or their answers.
    pub losses: u8,
    /// Hints that never arrive.
    pub lost_hints: u8,
    /// Hints that arrive twice.
    pub doubled_hints: u8,
    /// Pods that a person deletes.
    pub deletions: u8,
    /// Sweeps before everything else is over.
    pub sweeps: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pod: Option<Pod>,
    hints: Vec<Event>,
    deliveries: Vec<Run>,
    left: Faults,
    /// Whether the last sweep has begun.
    was_swept: bool,
    /// Why the client ended, as it was told: each reason once. Its report has one id, which is that of its Pod.
    pub ended: Vec<&'static str>,
    /// Its end was told while it could run.
    pub told_too_early: bool,
}

pub struct Life {
    faults: Faults,
    code: Code<Event, Pod>,
}

impl Life {
    pub fn new(faults: Faults) -> Self {
        Self { faults, code: Code::new(true) }
    }

    /// Takes in what needs no step of its own: a delivery that is over, and one that comes again.
    fn settle(&mut self, state: &mut State) {
        for run in std::mem::take(&mut state.deliveries) {
            match self.code.next(&run) {
                Next::Call(_) => state.deliveries.push(run),
                Next::Accepted => (),
                Next::Retry if run.event == Event::Ping => state.was_swept = false,
                Next::Retry => state.hint(run.event),
                Next::Replies(reply) => panic!("{reply:?} is for the sink"),
            }
        }
    }
}

impl Model for Life {
    type State = State;
    type Step = Step;

    fn first(&self) -> State {
        let pod = Pod { at: At::Waiting, deleted: Deleted::No, told: None };
        let (hints, deliveries, ended) = (Vec::new(), Vec::new(), Vec::new());
        let (left, was_swept, told_too_early) = (self.faults, false, false);
        State { pod: Some(pod), hints, deliveries, left, was_swept, ended, told_too_early }
    }

    fn steps(&mut self, state: &State) -> Vec<(Step, State)> {
        let mut steps = state.steps();
        for at in 0..state.deliveries.len() {
            let Next::Call(call) = self.code.next(&state.deliveries[at]) else { panic!("it was settled") };
            steps.extend(state.calls(at, call));
        }
        steps.iter_mut().for_each(|(_, next)| self.settle(next));
        steps
    }
}

impl State {
    fn hint(&mut self, event: Event) {
        if !self.hints.contains(&event) {
            self.hints.push(event);
        }
    }

    /// The Pod changes, of which a hint speaks.
    fn put(&mut self, pod: Pod) {
        self.pod = Some(pod);
        self.hint(Event::Change(pod));
    }

    fn delete(&mut self, pod: Pod) {
        let deleted = if pod.at == At::Ended { Deleted::AfterItsEnd } else { Deleted::BeforeItsEnd };
        self.put(Pod { deleted, ..pod });
    }

    /// Everything but the calls of the code.
    fn steps(&self) -> Vec<(Step, State)> {
        let pods = self.pod.into_iter().flat_map(|pod| self.steps_of_pod(pod));
        let hints = (0..self.hints.len()).flat_map(|at| self.steps_of_hint(at));
        pods.chain(hints).chain(self.sweeps()).flatten().collect()
    }

    /// A step, where it is possible, which changes the state like this.
    fn step(&self, step: Step, is_possible: bool, change: impl FnOnce(&mut State)) -> Option<(Step, State)> {
        let mut next = self.clone();
        is_possible.then(|| change(&mut next)).map(|()| (step, next))
    }

    fn steps_of_pod(&self, pod: Pod) -> [Option<(Step, State)>; 4] {
        let is_deleted = pod.deleted != Deleted::No;
        [
            self.step(Step::Starts, pod.at == At::Waiting && !is_deleted, |next| {
                next.put(Pod { at: At::Running, ..pod });
            }),
            self.step(Step::Ends, pod.at == At::Running, |next| next.put(Pod { at: At::Ended, ..pod })),
            self.step(Step::IsDeleted, !is_deleted && self.left.deletions > 0, |next| {
                next.left.deletions -= 1;
                next.delete(pod);
            }),
            self.step(Step::IsGone, is_deleted, |next| {
                next.pod = None;
                next.hint(Event::Deletion(pod));
            }),
        ]
    }

    fn steps_of_hint(&self, at: usize) -> [Option<(Step, State)>; 3] {
        let hint = self.hints[at];
        [
            self.step(Step::Delivery(hint), true, |next| {
                next.hints.remove(at);
                next.deliveries.push(Run::start(hint));
            }),
            self.step(Step::HintLost(hint), self.left.lost_hints > 0, |next| {
                next.left.lost_hints -= 1;
                next.hints.remove(at);
            }),
            self.step(Step::HintDoubled(hint), self.left.doubled_hints > 0, |next| {
                next.left.doubled_hints -= 1;
                next.deliveries.push(Run::start(hint));
            }),
        ]
    }

    /// The last sweep, once everything else is over, and others at any time.
    fn sweeps(&self) -> [Option<(Step, State)>; 2] {
        let is_quiet = self.hints.is_empty() && self.deliveries.is_empty();
        let is_over = self.pod.is_none_or(|pod| pod.at == At::Ended && pod.deleted == Deleted::No);
        [
            self.step(Step::Sweep, is_quiet && is_over && !self.was_swept, |next| {
                next.was_swept = true;
                next.deliveries.push(Run::start(Event::Ping));
            }),
            self.step(Step::Sweep, self.left.sweeps > 0 && !self.was_swept, |next| {
                next.left.sweeps -= 1;
                next.deliveries.push(Run::start(Event::Ping));
            }),
        ]
    }

    /// What can become of a call.
    fn calls(&self, at: usize, call: Call) -> impl Iterator<Item = (Step, State)> {
        let steps = [Fate::Answered, Fate::Lost, Fate::AnswerLost].map(|fate| {
            let is_lost = fate != Fate::Answered;
            self.step(Step::Call(call, fate), !is_lost || self.left.losses > 0, |next| {
                let answer = if fate == Fate::Lost { Answer::Nothing } else { next.apply(call) };
                next.left.losses -= u8::from(is_lost);
                let heard = if is_lost { Answer::Nothing } else { answer };
                next.deliveries[at] = next.deliveries[at].clone().then(heard);
            })
        });
        steps.into_iter().flatten()
    }

    fn apply(&mut self, call: Call) -> Answer {
        match (call, self.pod) {
            (Call::List, pod) => return Answer::Listed(pod),
            (Call::Reply(Reply::Running), _) => return Answer::Taken,
            (Call::Reply(Reply::Ended { reason }), pod) => {
                self.told_too_early |= pod.is_some_and(|pod| pod.at != At::Ended);
                self.ended.extend(Some(reason).filter(|reason| !self.ended.contains(reason)));
                return Answer::Taken;
            }
            (Call::Note(told), Some(pod)) if pod.told != Some(told) => self.put(Pod { told: Some(told), ..pod }),
            (Call::Delete { uid: Some(1), at_once: false, .. }, Some(pod)) if pod.deleted == Deleted::No => {
                self.delete(pod);
            }
            (Call::Get | Call::Note(_) | Call::Delete { uid: Some(1), at_once: false, .. }, _) => (),
            (call, _) => panic!("{call:?} is no part of a life"),
        }
        self.pod.map_or(Answer::Refused(404, "NotFound"), Answer::Found)
    }
}
