//! One connection on which requests go out.
//!
//! What is written is kept until nobody has more to write: a request's head and its body are written by two tasks, one
//! after the other, and would go out in two packets, for each of which the peer wakes up.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, BufWriter, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::client::TlsStream;

/// A connection, with the permission to have it.
pub(super) struct Stream {
    writer: Coalescing<Transport>,
    _permit: Option<OwnedSemaphorePermit>,
}

/// What the bytes go over.
pub(super) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    pub(super) fn new(transport: Transport, permit: Option<OwnedSemaphorePermit>) -> Self {
        Self { writer: Coalescing::new(transport), _permit: permit }
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        match self.writer.buffer.get_ref() {
            Transport::Tls(tls) if tls.get_ref().1.alpn_protocol() == Some(b"h2") => Connected::new().negotiated_h2(),
            Transport::Plain(_) | Transport::Tls(_) => Connected::new(),
        }
    }
}

/// Lets every task that is ready write before it flushes.
struct Coalescing<W> {
    buffer: BufWriter<W>,
    /// Whether a flush has let the others go first.
    has_yielded: bool,
}

impl<W: AsyncWrite + Unpin> Coalescing<W> {
    fn new(inner: W) -> Self {
        Self { buffer: BufWriter::new(inner), has_yielded: false }
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.has_yielded && !self.buffer.buffer().is_empty() {
            self.has_yielded = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        ready!(Pin::new(&mut self.buffer).poll_flush(context))?;
        self.has_yielded = false;
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().writer.buffer).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().writer.buffer).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().writer.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().writer.buffer).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().writer.buffer).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.writer.buffer.is_write_vectored()
    }
}

/// Calls the same method of whichever transport it is.
macro_rules! forward {
    ($transport:ident.$method:ident($($argument:expr),*)) => {
        match $transport.get_mut() {
            Transport::Plain(tcp) => Pin::new(tcp).$method($($argument),*),
            Transport::Tls(tls) => Pin::new(&mut **tls).$method($($argument),*),
        }
    };
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        forward!(self.poll_read(context, buffer))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        forward!(self.poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self.poll_shutdown(context))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        forward!(self.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn what_is_written_while_others_go_first_leaves_with_the_rest() {
        let (writer, mut peer) = duplex(1024);
        let mut writer = Coalescing::new(writer);
        let mut received = [0; 1024];
        writer.buffer.write_all(b"head ").await.unwrap();
        let yields = poll_fn(|context| Poll::Ready(writer.poll_flush(context).is_pending()));
        assert!(yields.await, "others go first");
        writer.buffer.write_all(b"and body").await.unwrap();
        let arrives = poll_fn(|context| {
            let mut buffer = ReadBuf::new(&mut received);
            Poll::Ready(Pin::new(&mut peer).poll_read(context, &mut buffer).is_ready())
        });
        assert!(!arrives.await, "nothing leaves before that");
        poll_fn(|context| writer.poll_flush(context)).await.unwrap();
        let length = peer.read(&mut received).await.unwrap();
        assert_eq!(&received[..length], b"head and body");
    }

    #[tokio::test]
    async fn a_flush_wakes_itself_and_waits_once_for_what_is_written() {
        let (writer, _peer) = duplex(1024);
        let mut writer = Coalescing::new(writer);
        for expected in [1, 2, 2] {
            let mut polls = 0;
            poll_fn(|context| {
                polls += 1;
                writer.poll_flush(context)
            })
            .await
            .unwrap();
            assert_eq!(polls, expected);
            writer.buffer.write_all(b"more").await.unwrap();
        }
    }
}
