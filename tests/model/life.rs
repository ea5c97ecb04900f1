//! A client's life in the model: its Pod, the source of hints, the sink and the sweep, around the code itself.
//!
//! The client of one event was released, and starts, ends, or is deleted at any time. Each change of its Pod is a hint,
//! which may be lost, doubled or late; each call of the code may be lost before or after its effect. When all of that is
//! over there is a sweep, and what it leads to. As in [`crate::code`], a delivery is the list of the answers it got.

mod code;

use std::collections::HashMap;

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
pub enum Told {
    Running,
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pod {
    at: At,
    deleted: Deleted,
    /// What its annotation says.
    told: Option<Told>,
}

/// What arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    Change(Pod),
    Deletion(Pod),
    Ping,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    Look,
    List,
    Running,
    Ended { reason: &'static str },
    Note(Told),
    Delete,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    Found(Pod),
    Listed(Option<Pod>),
    NotFound,
    Taken,
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Next {
    Call(Call),
    Over,
    Retry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Answered,
    AnswerLost,
    Lost,
}

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
    deliveries: Vec<(Event, Vec<Answer>)>,
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
    known: HashMap<(Event, Vec<Answer>), Next>,
}

impl Life {
    pub fn new(faults: Faults) -> Self {
        Self { faults, known: HashMap::new() }
    }

    /// The next step of a delivery, by the code.
    fn next(&mut self, delivery: &(Event, Vec<Answer>)) -> Next {
        *self.known.entry(delivery.clone()).or_insert_with(|| code::next(delivery.0, &delivery.1))
    }

    /// Takes in what needs no step of its own: a delivery that is over, and one that comes again.
    fn settle(&mut self, state: &mut State) {
        for delivery in std::mem::take(&mut state.deliveries) {
            match self.next(&delivery) {
                Next::Call(_) => state.deliveries.push(delivery),
                Next::Over => (),
                Next::Retry if delivery.0 == Event::Ping => state.was_swept = false,
                Next::Retry => state.hint(delivery.0),
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
            let Next::Call(call) = self.next(&state.deliveries[at]) else { panic!("it was settled") };
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
        pods.chain(hints).chain(self.sweeps()).collect()
    }

    /// A step, which changes the state like this.
    fn step(&self, step: Step, change: impl FnOnce(&mut State)) -> (Step, State) {
        let mut next = self.clone();
        change(&mut next);
        (step, next)
    }

    fn steps_of_pod(&self, pod: Pod) -> Vec<(Step, State)> {
        let is_deleted = pod.deleted != Deleted::No;
        let mut steps = Vec::new();
        if pod.at == At::Waiting && !is_deleted {
            steps.push(self.step(Step::Starts, |next| next.put(Pod { at: At::Running, ..pod })));
        }
        if pod.at == At::Running {
            steps.push(self.step(Step::Ends, |next| next.put(Pod { at: At::Ended, ..pod })));
        }
        if !is_deleted && self.left.deletions > 0 {
            steps.push(self.step(Step::IsDeleted, |next| {
                next.left.deletions -= 1;
                next.delete(pod);
            }));
        }
        if is_deleted {
            steps.push(self.step(Step::IsGone, |next| {
                next.pod = None;
                next.hint(Event::Deletion(pod));
            }));
        }
        steps
    }

    fn steps_of_hint(&self, at: usize) -> Vec<(Step, State)> {
        let hint = self.hints[at];
        let deliver = |next: &mut State| {
            next.hints.remove(at);
            next.deliveries.push((hint, Vec::new()));
        };
        let mut steps = vec![self.step(Step::Delivery(hint), deliver)];
        if self.left.lost_hints > 0 {
            steps.push(self.step(Step::HintLost(hint), |next| {
                next.left.lost_hints -= 1;
                next.hints.remove(at);
            }));
        }
        if self.left.doubled_hints > 0 {
            steps.push(self.step(Step::HintDoubled(hint), |next| {
                next.left.doubled_hints -= 1;
                next.deliveries.push((hint, Vec::new()));
            }));
        }
        steps
    }

    /// The last sweep, once everything else is over, and others at any time.
    fn sweeps(&self) -> Vec<(Step, State)> {
        let is_quiet = self.hints.is_empty() && self.deliveries.is_empty();
        let is_over = self.pod.is_none_or(|pod| pod.at == At::Ended && pod.deleted == Deleted::No);
        let sweep = |change: fn(&mut State)| {
            self.step(Step::Sweep, |next| {
                change(next);
                next.deliveries.push((Event::Ping, Vec::new()));
            })
        };
        let last = (is_quiet && is_over && !self.was_swept).then(|| sweep(|next| next.was_swept = true));
        let other = (self.left.sweeps > 0 && !self.was_swept).then(|| sweep(|next| next.left.sweeps -= 1));
        last.into_iter().chain(other).collect()
    }

    /// What can become of a call.
    fn calls(&self, at: usize, call: Call) -> Vec<(Step, State)> {
        let fates =
            [(Fate::Answered, true), (Fate::Lost, self.left.losses > 0), (Fate::AnswerLost, self.left.losses > 0)];
        let step = |fate| {
            let mut next = self.clone();
            let answer = if fate == Fate::Lost { Answer::Nothing } else { next.apply(call) };
            next.left.losses -= u8::from(fate != Fate::Answered);
            next.deliveries[at].1.push(if fate == Fate::Answered { answer } else { Answer::Nothing });
            (Step::Call(call, fate), next)
        };
        fates.into_iter().filter(|fate| fate.1).map(|fate| step(fate.0)).collect()
    }

    fn apply(&mut self, call: Call) -> Answer {
        match (call, self.pod) {
            (Call::List, pod) => return Answer::Listed(pod),
            (Call::Running, _) => return Answer::Taken,
            (Call::Ended { reason }, pod) => {
                self.told_too_early |= pod.is_some_and(|pod| pod.at != At::Ended);
                self.ended.extend(Some(reason).filter(|reason| !self.ended.contains(reason)));
                return Answer::Taken;
            }
            (Call::Note(told), Some(pod)) if pod.told != Some(told) => self.put(Pod { told: Some(told), ..pod }),
            (Call::Delete, Some(pod)) if pod.deleted == Deleted::No => self.delete(pod),
            (Call::Look | Call::Note(_) | Call::Delete, _) => (),
        }
        self.pod.map_or(Answer::NotFound, Answer::Found)
    }
}
