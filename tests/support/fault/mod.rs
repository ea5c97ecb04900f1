//! Faults between the component and a server that works, on bare TCP, where an HTTP library would refuse to misbehave.
//!
//! A [`Proxy`] stands in front of an [`Upstream`]: the embedded Kubernetes API, a recording sink, or any other server.
//! Each call that comes in meets what the proxy's [`Plan`] says; without one it just serves. `wire` is how requests are
//! read and answers written, `upstream` what stands behind.

mod proxy;
mod upstream;
mod wire;

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request};
use provisioner::pod::{REPORTED, TERMINATION};

pub use proxy::Proxy;
pub use upstream::{Server, Upstream, serving, to_server};

/// The outbound calls that the component makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `POST pods`.
    Create,
    /// `GET pods/NAME`.
    Get,
    /// `PATCH pods/NAME`, which takes the gate away.
    Release,
    /// `DELETE pods/NAME`.
    Delete,
    /// `GET podtemplates/NAME`.
    Template,
    /// `GET pods`: a page of them.
    List,
    /// `PATCH pods/NAME`, which notes that a report was taken.
    Note,
    /// `PATCH pods/NAME`, which notes that somebody asked for the end.
    Terminate,
    /// `POST tokenreviews`.
    Review,
    /// `POST` of a reply to the sink.
    Sink,
}

impl Call {
    /// Which call a request is.
    pub fn of(request: &Request<Bytes>) -> Self {
        let path = request.uri().path();
        let says = |key: &str| request.body().windows(key.len()).any(|part| part == key.as_bytes());
        match *request.method() {
            Method::GET if path.contains("/podtemplates/") => Self::Template,
            Method::GET if path.ends_with("/pods") => Self::List,
            Method::GET => Self::Get,
            Method::PATCH if says(REPORTED) => Self::Note,
            Method::PATCH if says(TERMINATION) => Self::Terminate,
            Method::PATCH => Self::Release,
            Method::DELETE => Self::Delete,
            _ if path.ends_with("/tokenreviews") => Self::Review,
            _ if path.starts_with("/api/") => Self::Create,
            _ => Self::Sink,
        }
    }
}

/// What goes wrong with one call. But for the first three the server does its work, and its answer suffers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call never arrives, and nobody says so.
    HoldCall,
    /// The call never arrives: the connection is closed.
    LoseCall,
    /// The call never arrives: this is answered instead.
    Refuse(Spoken),
    /// The answer never comes.
    HoldAnswer,
    /// The connection is closed in place of the answer.
    LoseAnswer,
    /// The connection is closed within the answer's head.
    CutHead,
    /// The connection is closed within the answer's body.
    CutBody,
    /// The answer comes at one byte a second, from its first.
    Drip,
    /// The answer's body comes at one byte a second.
    DripBody,
    /// The answer's body has 100 MB.
    Huge,
    /// Something else comes in place of the answer.
    Replace(Spoken),
    /// The answer comes twice.
    Twice,
    /// The answer comes, and then nobody listens any more, until [`Proxy::listen`].
    Leave,
}

/// An answer of the proxy's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spoken {
    /// Its status.
    pub code: u16,
    /// One header of it.
    pub header: (&'static str, String),
    /// Its body.
    pub body: String,
}

impl Spoken {
    /// An answer with JSON.
    pub fn json(code: u16, body: impl ToString) -> Self {
        Self { code, header: ("content-type", "application/json".to_owned()), body: body.to_string() }
    }

    /// A page, as somebody before the server shows it.
    pub fn page(code: u16) -> Self {
        Self { code, header: ("content-type", "text/html".to_owned()), body: "<html>no</html>".to_owned() }
    }
}

/// Says which fault a call meets.
pub type Plan = Arc<dyn Fn(Call) -> Option<Fault> + Send + Sync>;
