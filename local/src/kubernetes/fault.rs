//! Faults that a test brings about: what can go wrong between the API server
//! and its client, each for one request of one verb.

use super::status::Status;
use axum::body::Body;
use bytes::Bytes;
use http::Response;
use http::header::CONTENT_LENGTH;
use http_body_util::{Full, Limited};

/// What goes wrong with a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// It is refused, and nothing has changed.
    Refused(Status),
    /// It is carried out, but its answer breaks off: the client cannot know.
    CutOff,
    /// It is carried out, but its answer comes as a page of HTML, as from a
    /// proxy in between.
    NotJson,
}

impl From<Status> for Fault {
    fn from(status: Status) -> Self {
        Self::Refused(status)
    }
}

/// Faults that wait for their request.
#[derive(Debug, Default)]
pub struct Faults(Vec<(String, Fault)>);

impl Faults {
    /// The next request of this verb meets this fault, after those that meet
    /// the ones that came before.
    pub fn push(&mut self, verb: &str, fault: Fault) {
        self.0.push((verb.to_owned(), fault));
    }

    /// The fault that a request of this verb meets.
    pub fn pop(&mut self, verb: &str) -> Option<Fault> {
        let found = self.0.iter().position(|(of, _)| of == verb)?;
        Some(self.0.remove(found).1)
    }
}

/// Sends an answer, or what its fault leaves of it.
pub fn send(response: Response<Bytes>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    let body = match parts.extensions.remove::<Fault>() {
        Some(Fault::CutOff) => {
            parts.headers.insert(CONTENT_LENGTH, body.len().into());
            // A body over its limit ends in an error, and so does the answer.
            Body::new(Limited::new(Full::new(body), 0))
        }
        Some(Fault::NotJson) => Body::from("<html>it works</html>"),
        Some(Fault::Refused(_)) | None => Body::from(body),
    };
    Response::from_parts(parts, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_wait_for_their_verb_in_order() {
        let mut faults = Faults::default();
        faults.push("patch", Fault::CutOff);
        faults.push("create", Fault::NotJson);
        faults.push("patch", Status::internal_error("x").into());
        assert_eq!(faults.pop("create"), Some(Fault::NotJson));
        assert_eq!(faults.pop("create"), None);
        assert_eq!(faults.pop("patch"), Some(Fault::CutOff));
        assert!(matches!(faults.pop("patch"), Some(Fault::Refused(_))));
    }
}
