//! Bodies on their way in and out.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;
use wasmtime_wasi_http::{Error, WasiBody};

/// A body that fails when the wait for its next piece takes too long.
pub(super) struct TimedBody {
    body: WasiBody,
    limit: Duration,
    wait: Option<Pin<Box<Sleep>>>,
}

impl TimedBody {
    pub(super) fn new(body: WasiBody, limit: Duration) -> Self {
        let wait = None;
        Self { body, limit, wait }
    }
}

impl Body for TimedBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            this.wait = None;
            return Poll::Ready(frame);
        }
        let limit = this.limit;
        let wait = this.wait.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        wait.as_mut().poll(context).map(|()| Some(Err(Error::ConnectionReadTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body that knows of a piece whether it is the last one, where the next one needs no waiting for.
///
/// A guest's body can't say so by itself, and its end would go out in a piece of its own: a packet that the peer waits
/// for when it has everything else.
pub(super) struct LookAhead {
    body: WasiBody,
    next: Option<Result<Frame<Bytes>, Error>>,
    has_ended: bool,
}

impl LookAhead {
    pub(super) fn new(body: WasiBody) -> Self {
        Self { body, next: None, has_ended: false }
    }

    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        self.has_ended = frame.is_none();
        Poll::Ready(frame)
    }
}

impl Body for LookAhead {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = match self.next.take() {
            Some(frame) => Some(frame),
            None => std::task::ready!(self.poll_body(context)),
        };
        if let Poll::Ready(next) = self.poll_body(context) {
            self.next = next;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.next.is_none() && (self.has_ended || self.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let ahead = match &self.next {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len) as u64,
            _ => 0,
        };
        let rest = self.body.size_hint();
        let mut whole = SizeHint::new();
        whole.set_lower(rest.lower() + ahead);
        rest.upper().into_iter().for_each(|upper| whole.set_upper(upper + ahead));
        whole
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full, StreamBody};
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_piece_is_known_to_be_the_last_one_when_nothing_comes_after_it() {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let pieces = futures::stream::poll_fn(move |context| receiver.poll_recv(context));
        let mut body = LookAhead::new(StreamBody::new(pieces).boxed_unsync());
        let piece = |text: &'static str| Ok(Frame::data(Bytes::from_static(text.as_bytes())));
        sender.send(piece("one")).unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
        assert!(!body.is_end_stream(), "nobody knows what comes");
        sender.send(piece("two")).unwrap();
        sender.send(piece("three")).unwrap();
        drop(sender);
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "two");
        assert!(!body.is_end_stream());
        assert_eq!(body.size_hint().lower(), 5);
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "three");
        assert!(body.is_end_stream());
        assert!(body.frame().await.is_none() && body.frame().await.is_none());
    }

    #[tokio::test]
    async fn a_failure_comes_after_what_came_before_it() {
        let pieces = [Ok(Frame::data(Bytes::from_static(b"one"))), Err(Error::HttpProtocolError)];
        let mut body = LookAhead::new(StreamBody::new(futures::stream::iter(pieces)).boxed_unsync());
        assert!(body.frame().await.unwrap().is_ok());
        assert!(!body.is_end_stream());
        assert!(body.frame().await.unwrap().is_err());
    }

    #[test]
    fn a_body_without_anything_in_it_has_ended() {
        let body = Full::new(Bytes::new()).map_err(|never| match never {});
        assert!(LookAhead::new(body.boxed_unsync()).is_end_stream());
    }
}
