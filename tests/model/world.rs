//! The API server, the broker with its sink, and everything that can go wrong: the world around the provisioner.
//!
//! What is modelled is what the provisioner can't know: which of its calls take effect, when, and whether it hears of
//! it. A call takes effect and is answered in one step, because only the provisioner could tell the difference: that
//! an answer travels for long is the same as that the call after it comes late. Whatever goes wrong spends some of
//! [`Faults`], and deliveries are numbered, so that there is no way round in a circle: every way has an end.

use crate::code::{Answer, Call, Code, GRACE, Next, Pod, Reply, Route, Run};
use crate::explore::Model;

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

/// One copy of the event, as the broker sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
    is_stray: bool,
    pub stage: Stage,
    attempts: u8,
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
    last_uid: u32,
    routes: bool,
    loses_gates: bool,
    /// The uid of the Pod that the provisioner has begun to remove, while it ends.
    removing: Option<u32>,
    /// The copies of the event, each with its delivery, and strays.
    pub deliveries: Vec<Delivery>,
    /// Calls under way that nobody waits for any more.
    delayed: Vec<Call>,
    pub seen: Seen,
    left: Faults,
}

/// Whose call it is: a delivery's, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copy(usize);

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Answered,
    AnswerLost,
    Lost,
    Delayed,
    Refused,
}

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
    pub code: Code,
}

impl World {
    pub fn new(setup: Setup) -> Self {
        Self { setup, code: Code::new(setup.has_sink) }
    }

    /// The steps of the provisioner, and what can happen to each of them.
    fn steps_of(&self, state: &State, at: usize, run: Run) -> Vec<Step> {
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
                let stage = state.deliveries[at].stage;
                state.deliveries.push(Delivery { is_stray: true, stage, attempts: 0 });
                self.retry(state, at);
            }
            Step::DeadLetter(at) => self.go_on(state, at, Code::start(Route::DeadLetter)),
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
        let Stage::Delivering(run) = state.deliveries[at].stage else { panic!("nothing is delivered") };
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
        let run = self.code.then(run, heard);
        self.go_on(state, at, run);
    }

    /// A delivery goes on as `run`. A response that is no event is taken in at once: to lose it is to lose the call
    /// before it.
    fn go_on(&self, state: &mut State, at: usize, run: Run) {
        match self.code.next(run) {
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
            attempts if attempts < subscriber => Stage::Delivering(Code::start(Route::Subscriber)),
            attempts if attempts < subscriber + dead_letter => Stage::DeadLettered,
            _ => Stage::Lost,
        };
    }

    fn may_dead_letter(&self, state: &State) -> bool {
        // The broker is more patient than a Pod that ends.
        if state.loses_gates && state.pod.is_some_and(|pod| pod.deleting) {
            return false;
        }
        let is_subscribers = |run| self.code.route(run) == Route::Subscriber;
        let is_under_way = |delivery: &Delivery| {
            delivery.is_stray || matches!(delivery.stage, Stage::Delivering(run) if is_subscribers(run))
        };
        let rest = !state.delayed.is_empty() || state.deliveries.iter().any(is_under_way);
        !(self.setup.dead_letters_come_last && rest)
    }
}

impl Model for World {
    type State = State;
    type Step = Step;

    fn first(&self) -> State {
        let stage = Stage::Delivering(Code::start(Route::Subscriber));
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
            match delivery.stage {
                Stage::Delivering(run) => steps.extend(self.steps_of(state, at, run)),
                Stage::DeadLettered if self.may_dead_letter(state) => steps.push(Step::DeadLetter(at)),
                Stage::DeadLettered | Stage::Settled | Stage::Lost => (),
            }
        }
        steps.extend(state.delayed.iter().map(|call| Step::DelayedCall(*call)));
        steps.extend(state.foreign_steps());
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

impl State {
    /// A delivery was answered with 2xx, or nobody waits for what comes of it.
    fn settle(&mut self, at: usize) {
        match self.deliveries[at].is_stray {
            true => drop(self.deliveries.remove(at)),
            false => self.deliveries[at].stage = Stage::Settled,
        }
    }

    /// What others do, as long as anybody is left to notice it.
    fn foreign_steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.pod.is_some_and(|pod| pod.deleting) {
            steps.push(Step::DeletionEnds);
        }
        let is_over = |delivery: &Delivery| matches!(delivery.stage, Stage::Settled | Stage::Lost);
        if self.deliveries.iter().all(is_over) && self.delayed.is_empty() {
            return steps;
        }
        if self.left.flips > 0 {
            steps.push(Step::WebhookFlips);
        }
        if self.left.deletions > 0 && self.pod.is_some_and(|pod| !pod.deleting) {
            steps.push(Step::PersonDeletes);
        }
        steps
    }

    /// The effect of a call, and its answer.
    fn apply(&mut self, call: Call) -> Answer {
        match (call, self.pod) {
            (Call::Reply(reply), _) => {
                self.accept(reply);
                Answer::Accepted
            }
            (Call::Readiness, _) => Answer::Ready,
            (Call::Create { .. }, Some(_)) => Answer::Refused(409, "AlreadyExists"),
            (Call::Create { gated }, None) => self.create(gated),
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

    fn end(&mut self) {
        (self.pod, self.removing) = (None, None);
    }

    fn put(&mut self, pod: Pod) {
        if !pod.gated {
            self.seen.released |= 1 << pod.uid;
        }
        self.pod = Some(pod);
    }

    /// A Pod that never had a node goes at once; any other is given its time.
    fn person_deletes(&mut self) {
        self.left.deletions -= 1;
        self.seen.deleted_by_person = true;
        self.pod = match self.pod {
            Some(pod) if !pod.gated => Some(Pod { deleting: true, changes: pod.changes + 1, ..pod }),
            _ => None,
        };
    }

    /// The broker takes an answer to the event in.
    fn accept(&mut self, reply: Reply) {
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
        }
    }
}
