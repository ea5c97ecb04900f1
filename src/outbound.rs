//! The only way out: sends a request and returns its whole answer, or why there is none.

use std::future::Future;
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{Request, Response};

/// The only way out. The component implements it with wasi:http, and tests with a script.
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
    /// Sends `request` once and waits for its whole answer.
    ///
    /// The request's URI is absolute. An answer with any status is `Ok`; of its headers, only `Retry-After` of a
    /// refusal has to be kept. After [`NoAnswer`] the request may still have taken effect, and it is not sent again.
    /// Dropping the future gives up the call. `bounds` ends the wait, whatever the other side does.
    fn send(&self, request: Request<Vec<u8>>, bounds: Bounds) -> impl Future<Output = Answer>;
}

/// The answer to a call, or why there is none.
pub type Answer = Result<Response<Vec<u8>>, NoAnswer>;

/// How many seconds to wait, as the answer's header `Retry-After` says. Nobody here sends a date in it.
pub fn retry_after(response: &Response<Vec<u8>>) -> Option<u64> {
    response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}

/// Why there is no whole answer. The texts are for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// It exceeded the call's time limit.
    #[error("not within {0:?}")]
    Late(Duration),
    /// The delivery had no time left for the call.
    #[error("the time for this delivery is up")]
    NoTimeLeft,
    /// Its body is larger than the limit, in bytes.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// It was cut off.
    #[error("the answer was cut off")]
    CutOff,
    /// The host could not make the call: refused, not trusted, not allowed.
    #[error("{0}")]
    Host(String),
}

/// The limits of a call: its time, and the size of its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// For this call: connecting, sending, and reading the whole of its answer.
    pub call: Duration,
    /// For the whole delivery, from its first byte.
    pub delivery: Duration,
    /// The largest body of an answer, in bytes. 0 means that the body isn't read.
    pub answer: usize,
}
