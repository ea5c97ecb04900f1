//! The one door to the outside: a request goes through it, and its whole answer comes back, or the reason why not.
//!
//! A request carries with it how long it may take and how much of its answer is wanted ([`Bounds`]), so that whoever
//! sends it needs to know nothing else about it.

use std::future::Future;
use std::time::Duration;

use http::{Request, Response};

/// The one door to the outside.
pub trait Outbound {
    /// Sends a request and waits for the whole of its answer, or for as long as it may take.
    fn send(&self, request: Request<Vec<u8>>) -> impl Future<Output = Answer>;
}

/// What came back from a call, or did not. Of the headers nobody asks for any but a refusal's `Retry-After`, so that is
/// the only one which has to be there.
pub type Answer = Result<Response<Vec<u8>>, NoAnswer>;

/// There was no whole answer: refused, not trusted, too slow, cut off, too large. The text is for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoAnswer(pub String);

/// How long a call may take, and how much may come back. Every call carries it, as an extension of its request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// For this call: connecting, sending, and reading the whole of its answer.
    pub call: Duration,
    /// For the whole delivery that the call belongs to, from the delivery's first byte.
    pub delivery: Duration,
    /// The largest body of an answer, in bytes. With 0 the body isn't read at all.
    pub answer: usize,
}
