//! The API server, the broker with its sink, and everything that can go wrong: the world around the provisioner.
//!
//! What is modelled is what the provisioner can't know: which of its calls take effect, when, and whether it hears of
//! it. A call takes effect and is answered in one step, because only the provisioner could tell the difference: that
//! an answer travels for long is the same as that the call after it comes late. Whatever goes wrong spends some of
//! [`Faults`], and deliveries are numbered, so that there is no way round in a circle: every way has an end.

mod state;

use crate::code::{Answer, Call, Code, Fate, Next, Reply};
use crate::explore::Model;

use state::{Delivery, Pod, Route, Run, Seen};
pub use state::{Stage, State};

/// How much may go wrong, at most, at any time and in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// Connections that break before the call or after it, crashes, a sink that is down for one call.
    pub losses: u8,
    /// Calls that take effect after the provisioner gave them up.
    pub delays: u8,
    /// Deliveries that the broker gives up while the provisioner is still at work on them.
    pub timeouts: u8,
    /// Changes of whether the gateway's webhook takes the Pods that are created.
    pub flips: u8,
    /// Calls that the API server refuses for good (403), though the same call may pass a moment later.
    pub refusals: u8,
    /// Pods that a person deletes.
    pub deletions: u8,
}

/// How the world is set up.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// How many times the producer's event is with the broker.
    pub copies: usize,
    /// Deliveries to the subscriber, and then to the dead letter sink.
    pub attempts: (u8, u8),
    pub faults: Faults,
    /// Whether the webhook takes Pods at the beginning.
    pub routes: bool,
    /// Whether Pods lose their gate when they are created: the API server doesn't know gates, or a webhook takes them.
    pub loses_gates: bool,
    pub has_sink: bool,
    /// Dead letters are delivered once nothing else of the event is under way any more.
    pub dead_letters_come_last: bool,
    /// Copies keep their place, so that a way can be read; else states that differ in their order only are one.
    pub keeps_order: bool,
}

/// Whose call it is: a delivery's, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copy(usize);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Call(Copy, Call, Fate),
    /// The broker gets the response, an event.
    Response(Copy, Reply),
    Crash(Copy),
    /// The broker no longer waits.
    Timeout(usize),
    DeadLetter(usize),
    DelayedCall(Call),
    WebhookFlips,
    PersonDeletes,
    DeletionEnds,
}

pub struct World {
    pub setup: Setup,
    pub code: Code<Route, Pod>,
}

impl World {
    pub fn new(setup: Setup) -> Self {
        Self { setup, code: Code::new(setup.has_sink) }
    }

    /// The steps of the provisioner, and what can happen to each of them.
    fn steps_of(&mut self, state: &State, at: usize, run: &Run) -> Vec<Step> {
        let (left, copy) = (state.left, Copy(at));
        let mut steps = Vec::new();
        match self.code.next(run) {
            Next::Call(call) => {
                let is_api = !matches!(call, Call::Reply(_));
                let has_effect = !matches!(call, Call::Get | Call::Readiness);
                let fates = [
                    (Fate::Answered, true),
                    (Fate::Lost, left.losses > 0),
                    (Fate::AnswerLost, left.losses > 0 && has_effect),
                    (Fate::Delayed, left.delays > 0 && has_effect),
                    (Fate::Refused, left.refusals > 0 && is_api),
                ];
                steps.extend(fates.into_iter().filter(|fate| fate.1).map(|fate| Step::Call(copy, call, fate.0)));
            }
            Next::Replies(reply) => steps.push(Step::Response(copy, reply)),
            Next::Accepted | Next::Retry => unreachable!("such a response is taken in at once"),
        }
        steps.extend((left.losses > 0).then_some(Step::Crash(copy)));
        steps.extend((left.timeouts > 0 && !state.deliveries[at].is_stray).then_some(Step::Timeout(at)));
        steps
    }

    fn take(&mut self, state: &mut State, step: &Step) {
        match *step {
            Step::Call(Copy(at), call, fate) => self.call(state, at, call, fate),
            Step::Response(Copy(at), reply) => {
                if !state.deliveries[at].is_stray {
                    state.accept(reply);
                }
                state.settle(at);
            }
            Step::Crash(Copy(at)) => {
                state.left.losses -= 1;
                self.retry(state, at);
            }
            Step::Timeout(at) => {
                state.left.timeouts -= 1;
                let stage = state.deliveries[at].stage.clone();
                state.deliveries.push(Delivery { is_stray: true, stage, attempts: 0 });
                self.retry(state, at);
            }
            Step::DeadLetter(at) => self.go_on(state, at, Run::start(Route::DeadLetter)),
            Step::DelayedCall(call) => {
                let at = state.delayed.iter().position(|delayed| *delayed == call).unwrap();
                state.delayed.remove(at);
                state.apply(call);
            }
            Step::WebhookFlips => {
                state.left.flips -= 1;
                state.routes = !state.routes;
            }
            Step::PersonDeletes => state.person_deletes(),
            Step::DeletionEnds => state.end(),
        }
    }

    fn call(&mut self, state: &mut State, at: usize, call: Call, fate: Fate) {
        let Stage::Delivering(run) = state.deliveries[at].stage.clone() else { panic!("nothing is delivered") };
        let answer = match fate {
            Fate::Answered | Fate::AnswerLost => state.apply(call),
            Fate::Refused => Answer::Refused(403, "Forbidden"),
            Fate::Lost | Fate::Delayed => Answer::Nothing,
        };
        match fate {
            Fate::Answered => (),
            Fate::Lost | Fate::AnswerLost => state.left.losses -= 1,
            Fate::Refused => state.left.refusals -= 1,
            Fate::Delayed => {
                state.left.delays -= 1;
                state.delayed.push(call);
            }
        }
        let heard = if fate == Fate::AnswerLost { Answer::Nothing } else { answer };
        self.go_on(state, at, run.then(heard));
    }

    /// A delivery goes on as `run`. A response that is no event is taken in at once: to lose it is to lose the call
    /// before it.
    fn go_on(&mut self, state: &mut State, at: usize, run: Run) {
        match self.code.next(&run) {
            Next::Retry => self.retry(state, at),
            Next::Accepted => state.settle(at),
            Next::Call(_) | Next::Replies(_) => state.deliveries[at].stage = Stage::Delivering(run),
        }
    }

    /// A delivery is over and was not answered with 2xx: the broker delivers again, where it still waits.
    fn retry(&self, state: &mut State, at: usize) {
        let (subscriber, dead_letter) = self.setup.attempts;
        let delivery = &mut state.deliveries[at];
        if delivery.is_stray {
            return state.settle(at);
        }
        delivery.attempts += 1;
        delivery.stage = match delivery.attempts {
            attempts if attempts < subscriber => Stage::Delivering(Run::start(Route::Subscriber)),
            attempts if attempts < subscriber + dead_letter => Stage::DeadLettered,
            _ => Stage::Lost,
        };
    }

    fn may_dead_letter(&self, state: &State) -> bool {
        // The broker is more patient than a Pod that ends.
        if state.loses_gates && state.pod.is_some_and(|pod| pod.deleting) {
            return false;
        }
        let is_under_way = |delivery: &Delivery| {
            delivery.is_stray || matches!(&delivery.stage, Stage::Delivering(run) if run.event == Route::Subscriber)
        };
        let rest = !state.delayed.is_empty() || state.deliveries.iter().any(is_under_way);
        !(self.setup.dead_letters_come_last && rest)
    }

    /// What others do, as long as anybody is left to notice it.
    fn foreign_steps(state: &State) -> Vec<Step> {
        let mut steps = Vec::new();
        if state.pod.is_some_and(|pod| pod.deleting) {
            steps.push(Step::DeletionEnds);
        }
        let is_over = |delivery: &Delivery| matches!(delivery.stage, Stage::Settled | Stage::Lost);
        if state.deliveries.iter().all(is_over) && state.delayed.is_empty() {
            return steps;
        }
        if state.left.flips > 0 {
            steps.push(Step::WebhookFlips);
        }
        if state.left.deletions > 0 && state.pod.is_some_and(|pod| !pod.deleting) {
            steps.push(Step::PersonDeletes);
        }
        steps
    }
}

impl Model for World {
    type State = State;
    type Step = Step;

    fn first(&self) -> State {
        let stage = Stage::Delivering(Run::start(Route::Subscriber));
        let copy = Delivery { is_stray: false, stage, attempts: 0 };
        State {
            pod: None,
            last_uid: 0,
            routes: self.setup.routes,
            loses_gates: self.setup.loses_gates,
            removing: None,
            deliveries: vec![copy; self.setup.copies],
            delayed: Vec::new(),
            seen: Seen::default(),
            left: self.setup.faults,
        }
    }

    fn steps(&mut self, state: &State) -> Vec<(Step, State)> {
        let mut steps = Vec::new();
        for (at, delivery) in state.deliveries.iter().enumerate() {
            match &delivery.stage {
                Stage::Delivering(run) => steps.extend(self.steps_of(state, at, run)),
                Stage::DeadLettered if self.may_dead_letter(state) => steps.push(Step::DeadLetter(at)),
                Stage::DeadLettered | Stage::Settled | Stage::Lost => (),
            }
        }
        steps.extend(state.delayed.iter().map(|call| Step::DelayedCall(*call)));
        steps.extend(Self::foreign_steps(state));
        let lead = |step: Step| {
            let mut next = state.clone();
            self.take(&mut next, &step);
            if !self.setup.keeps_order {
                next.deliveries.sort_unstable();
                next.delayed.sort_unstable();
            }
            (step, next)
        };
        steps.into_iter().map(lead).collect()
    }
}
