//! Where the component's output and the host's own lines go.
//!
//! Spin sends a guest's stdout and stderr to its own stderr, unprefixed, and
//! one write of the guest is one write there: lines of parallel instances
//! don't mix. A test captures the same writes instead, one entry for each.

use std::io::Write as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// Where output goes.
#[derive(Clone, Debug, Default)]
pub enum Logs {
    /// To the host's stderr, as it comes.
    #[default]
    Stderr,
    /// Into memory, for tests.
    Capture(LogCapture),
}

impl Logs {
    /// Takes one write in, whole.
    pub fn write(&self, source: LogSource, bytes: &[u8]) {
        match self {
            // Nobody is left to be told that stderr is gone.
            Self::Stderr => drop(std::io::stderr().write_all(bytes)),
            Self::Capture(capture) => capture.entries().push(LogWrite { source, bytes: bytes.to_vec() }),
        }
    }

    /// Writes one line of the host's own.
    pub fn line(&self, line: impl std::fmt::Display) {
        self.write(LogSource::Host, format!("{line}\n").as_bytes());
    }
}

/// Who wrote.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LogSource {
    /// The component, to its stdout.
    Stdout,
    /// The component, to its stderr.
    Stderr,
    /// This host: a denied destination, a trap.
    Host,
}

/// One write.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogWrite {
    /// Who wrote it.
    pub source: LogSource,
    /// What was written.
    pub bytes: Vec<u8>,
}

/// Writes kept in memory. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct LogCapture(Arc<Mutex<Vec<LogWrite>>>);

impl LogCapture {
    /// All writes so far, in order.
    pub fn writes(&self) -> Vec<LogWrite> {
        self.entries().clone()
    }

    /// All writes so far as one text.
    pub fn text(&self) -> String {
        let bytes: Vec<u8> = self.entries().iter().flat_map(|w| w.bytes.clone()).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Forgets what was written so far.
    pub fn clear(&self) {
        self.entries().clear();
    }

    fn entries(&self) -> MutexGuard<'_, Vec<LogWrite>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A guest's stdout or stderr.
#[derive(Clone)]
pub(super) struct GuestStream {
    /// Where its writes go.
    pub(super) logs: Logs,
    /// Which of the two it is.
    pub(super) source: LogSource,
}

/// As much as a guest may write at once.
const WRITE_LIMIT: usize = 1024 * 1024;

impl IsTerminal for GuestStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for GuestStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.logs.write(self.source, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_LIMIT)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for GuestStream {
    async fn ready(&mut self) {}
}

impl AsyncWrite for GuestStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.logs.write(self.source, bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guest_write_is_one_entry() {
        let capture = LogCapture::default();
        let mut stream = GuestStream { logs: Logs::Capture(capture.clone()), source: LogSource::Stderr };
        stream.write(Bytes::from_static(b"one line\n")).unwrap();
        stream.write(Bytes::from_static(b"another")).unwrap();
        let writes = capture.writes();
        assert_eq!(writes.len(), 2);
        assert_eq!(writes[0].source, LogSource::Stderr);
        assert_eq!(capture.text(), "one line\nanother");
    }
}
