//! Who delivers: where a sender has to say who it is, the API server is asked whose token it sent.
//!
//! Knative's Triggers send one where their subscriber has an audience (`authentication-oidc`). A sender that isn't let in
//! is told what is wanted, and never what it sent. `docs/operations.md`, "Who may send events".

use http::header::{AUTHORIZATION, HeaderMap};

use crate::cluster::Cluster;
use crate::kubernetes::{Call, Retry, read_review};
use crate::outbound::Outbound;

/// Why a sender isn't let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It has to say who it is (401). Knative doesn't try again.
    #[error("send a token for the audience {0}, as in Authorization: Bearer TOKEN")]
    Unknown(String),
    /// It isn't among those who may (403).
    #[error("only {0} may deliver here")]
    Forbidden(String),
    /// Nobody can say who it is (503, or 429).
    #[error("the sender's token can't be reviewed: {}", .0.cause)]
    Unreviewed(Retry),
}

/// The token of a request; `None` where there is none.
pub fn token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    Some(token.trim()).filter(|token| scheme.eq_ignore_ascii_case("bearer") && !token.is_empty())
}

/// Lets a sender in, or not. Where nobody has to say who it is, nobody is asked.
///
/// # Errors
/// Why it isn't let in.
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
