//! The code itself, on recorded answers, up to the call for which there is none.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use provisioner::endpoint::{self, Surroundings};
use provisioner::outbound::{Answer, Bounds, Outbound};
use provisioner::testing;

/// Where the code stops.
pub enum Stop {
    /// At a call for which there is no answer yet.
    Call(Request<Vec<u8>>),
    Response(Response<Vec<u8>>),
}

/// Runs the code on an event, with these variables and answers.
pub fn run(event: Request<Vec<u8>>, variables: &[(&str, &str)], answers: VecDeque<Answer>) -> Stop {
    let variable = |name: &str| testing::variable(variables, name);
    let token = || Ok("token".to_owned());
    let surroundings =
        Surroundings { now: testing::now(), variable: &variable, token: &token, sink_token: &|| Ok(None) };
    let recorded = Recorded { answers: RefCell::new(answers), call: RefCell::new(None) };
    let answered = pin!(endpoint::answer(event.map(Ok), &surroundings, &recorded));
    match answered.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answered) => Stop::Response(answered.response),
        Poll::Pending => Stop::Call(recorded.call.take().expect("the code waits for calls only")),
    }
}

/// The way out: recorded answers, then a call that is caught and never answered.
struct Recorded {
    answers: RefCell<VecDeque<Answer>>,
    call: RefCell<Option<Request<Vec<u8>>>>,
}

impl Outbound for Recorded {
    async fn send(&self, request: Request<Vec<u8>>, _: Bounds) -> Answer {
        if let Some(answer) = self.answers.borrow_mut().pop_front() {
            return answer;
        }
        *self.call.borrow_mut() = Some(request);
        std::future::pending().await
    }
}
