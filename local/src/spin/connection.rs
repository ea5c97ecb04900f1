//! One connection on which requests go out.
//!
//! What is written is kept for one turn of the other tasks: a request's head and its body are written by two of them,
//! one after the other, and would go out in two packets, for each of which the peer wakes up.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, BufWriter, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::client::TlsStream;

/// A connection, with the permission to have it.
pub(super) struct Stream<T = Transport> {
    transport: BufWriter<T>,
    /// Whether a flush has let the other tasks write first.
    has_yielded: bool,
    _permit: Option<OwnedSemaphorePermit>,
}

/// What the bytes go over.
pub(super) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl<T: AsyncWrite> Stream<T> {
    pub(super) fn new(transport: T, permit: Option<OwnedSemaphorePermit>) -> Self {
        Self { transport: BufWriter::new(transport), has_yielded: false, _permit: permit }
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        match self.transport.get_ref() {
            Transport::Tls(tls) if tls.get_ref().1.alpn_protocol() == Some(b"h2") => Connected::new().negotiated_h2(),
            Transport::Plain(_) | Transport::Tls(_) => Connected::new(),
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<T> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().transport).poll_read(context, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Stream<T> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().transport).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.has_yielded && !this.transport.buffer().is_empty() {
            this.has_yielded = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        ready!(Pin::new(&mut this.transport).poll_flush(context))?;
        this.has_yielded = false;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().transport).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().transport).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
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
        let mut writer = Stream::new(writer, None);
        let mut received = [0; 1024];
        writer.write_all(b"head ").await.unwrap();
        let yields = poll_fn(|context| Poll::Ready(Pin::new(&mut writer).poll_flush(context).is_pending()));
        assert!(yields.await, "others go first");
        writer.write_all(b"and body").await.unwrap();
        let arrives = poll_fn(|context| {
            let mut buffer = ReadBuf::new(&mut received);
            Poll::Ready(Pin::new(&mut peer).poll_read(context, &mut buffer).is_ready())
        });
        assert!(!arrives.await, "nothing leaves before that");
        poll_fn(|context| Pin::new(&mut writer).poll_flush(context)).await.unwrap();
        let length = peer.read(&mut received).await.unwrap();
        assert_eq!(&received[..length], b"head and body");
    }

    #[tokio::test]
    async fn a_flush_wakes_itself_and_waits_once_for_what_is_written() {
        let (writer, _peer) = duplex(1024);
        let mut writer = Stream::new(writer, None);
        for expected in [1, 2, 2] {
            let mut polls = 0;
            poll_fn(|context| {
                polls += 1;
                Pin::new(&mut writer).poll_flush(context)
            })
            .await
            .unwrap();
            assert_eq!(polls, expected);
            writer.write_all(b"more").await.unwrap();
        }
    }
}
