//! The Kubernetes API as values: calls are `http::Request`s, and answers become objects or a [`Verdict`].
//!
//! Nothing is sent here. [`verdict()`] alone decides what heals.

mod answer;
mod call;
mod verdict;

#[cfg(test)]
mod tests;

pub use answer::{Page, Refusal, Status, read_deletion, read_object, read_page, read_pod, read_review};
pub use call::{Api, Token, TokenError};
pub use verdict::{Call, Retry, Verdict, settled, verdict};
