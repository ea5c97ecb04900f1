//! Checks who delivers: if senders need a token, the API server says whose it is.
//!
//! Knative's Triggers send a token if their subscriber has an audience (`authentication-oidc`). A refused sender learns
//! what is required, and nothing about what it sent. `docs/operations.md`, "Who may send events".

use http::header::{AUTHORIZATION, HeaderMap};

use crate::cluster::Cluster;
use crate::kubernetes::{Call, Retry, read_review};
use crate::outbound::Outbound;

/// Why a sender is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It sent no valid token (401). Knative doesn't try again.
    #[error("send a token for the audience {0}, as in Authorization: Bearer TOKEN")]
    Unknown(String),
    /// It isn't one of the allowed users (403).
    #[error("only {0} may deliver here")]
    Forbidden(String),
    /// Its token can't be reviewed now (503).
    #[error("the sender's token can't be reviewed: {}", .0.cause)]
    Unreviewed(Retry),
}

/// A request's bearer token; `None` if there is none.
pub fn token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    Some(token.trim()).filter(|token| scheme.eq_ignore_ascii_case("bearer") && !token.is_empty())
}

/// Checks a sender. Without `sender_audience` everybody may deliver, and nothing is asked.
///
/// # Errors
/// Why the sender is refused.
pub async fn admit<O: Outbound>(token: Option<&str>, cluster: &Cluster<'_, O>) -> Result<(), Refused> {
    let Some(audience) = &cluster.config.sender_audience else { return Ok(()) };
    let unknown = || Refused::Unknown(audience.clone());
    let request = cluster.api.review(token.ok_or_else(unknown)?, audience);
    let answer = cluster.ask(Call::Review, request).await.and_then(|body| read_review(&body, audience));
    let subject = answer.map_err(|verdict| Refused::Unreviewed(verdict.into()))?.ok_or_else(unknown)?;
    let allowed: Vec<_> = cluster.config.sender_subjects().collect();
    match allowed.is_empty() || allowed.contains(&subject.as_str()) {
        true => Ok(()),
        false => Err(Refused::Forbidden(allowed.join(", "))),
    }
}

#[cfg(test)]
mod tests;
