//! The one door to the outside: a request goes through it, and its whole answer comes back, or the reason why not.

use std::future::Future;
use std::time::Duration;

use http::{Request, Response};

/// The one door to the outside. The component's is wasi:http, and a test's is a script.
///
/// ```
/// use http::{Request, Response};
/// use provisioner::outbound::{Answer, Bounds, Outbound};
///
/// /// Answers whatever it is asked with 200.
/// struct Yes;
///
/// impl Outbound for Yes {
///     async fn send(&self, _: Request<Vec<u8>>, _: Bounds) -> Answer {
///         Ok(Response::new(Vec::new()))
///     }
/// }
/// ```
pub trait Outbound {
    /// Sends `request` once and waits for the whole of its answer.
    ///
    /// The request's URI is absolute. An answer of any status is `Ok`; of its headers only a refusal's `Retry-After`
    /// has to be there. [`NoAnswer`] says that there is none, or not the whole of it: the request may have been acted
    /// on all the same. Nothing is sent a second time. Dropping the future gives the call up, and whether the request
    /// arrives is then unknown too. `bounds` ends the wait, whatever the other side does.
    fn send(&self, request: Request<Vec<u8>>, bounds: Bounds) -> impl Future<Output = Answer>;
}

/// What came back from a call, or did not.
pub type Answer = Result<Response<Vec<u8>>, NoAnswer>;

/// Why there was no whole answer. The texts are for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// It took longer than the call may.
    #[error("not within {0:?}")]
    Late(Duration),
    /// The delivery had no time left for the call.
    #[error("the time for this delivery is up")]
    NoTimeLeft,
    /// There is more of it than was asked for, in bytes.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// It began and did not end.
    #[error("the answer was cut off")]
    CutOff,
    /// The host could not make the call: refused, not trusted, not allowed.
    #[error("{0}")]
    Host(String),
}

/// How long a call may take, and how much may come back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// For this call: connecting, sending, and reading the whole of its answer.
    pub call: Duration,
    /// For the whole delivery that the call belongs to, from the delivery's first byte.
    pub delivery: Duration,
    /// The largest body of an answer, in bytes. With 0 the body isn't read at all.
    pub answer: usize,
}
