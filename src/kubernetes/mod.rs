//! The Kubernetes API as values: calls are `http::Request`s, answers become objects or an [`ApiError`].
//!
//! Nothing is sent here. [`verdict()`] is the one place that says what heals and what doesn't.

mod answer;
mod call;
mod verdict;

#[cfg(test)]
mod tests;

pub use answer::{ApiError, Refusal, Status, read_deletion, read_object, read_pod, read_readiness};
pub use call::{Api, DryRun, Token, TokenError};
pub use verdict::{Call, Retry, Verdict, advice, verdict};
