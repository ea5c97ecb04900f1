//! What the component writes, and the one hook of tests.

use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// Sees what happens in the host. [`Stderr`] is what Spin does; a test has its own.
pub trait Observer: Send + Sync {
    /// One write of the component's, to its stdout or stderr, or one line of the host's own.
    fn wrote(&self, bytes: &[u8]);

    /// Writes a line of the host's own.
    fn line(&self, line: std::fmt::Arguments) {
        self.wrote(format!("{line}\n").as_bytes());
    }

    /// An instance has ended that used so much fuel, about one unit for an instruction. Only code that was compiled to
    /// count it tells.
    fn ended(&self, _fuel: u64) {}
}

/// Everything goes to stderr as it comes. A write stays one write, so lines of parallel instances don't mix.
pub struct Stderr;

impl Observer for Stderr {
    fn wrote(&self, bytes: &[u8]) {
        // Nobody is left to be told that stderr is gone.
        _ = std::io::stderr().write_all(bytes);
    }
}

/// A guest's stdout or stderr.
#[derive(Clone)]
pub(crate) struct GuestStream(pub(crate) Arc<dyn Observer>);

impl IsTerminal for GuestStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestStream {
    /// For WASI 0.3, which there isn't here.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for GuestStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.wrote(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(1 << 20)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for GuestStream {
    async fn ready(&mut self) {}
}

#[cfg(test)]
#[derive(Default)]
pub(crate) struct Recorder(std::sync::Mutex<String>);

#[cfg(test)]
impl Recorder {
    pub(crate) fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

#[cfg(test)]
impl Observer for Recorder {
    fn wrote(&self, bytes: &[u8]) {
        self.0.lock().unwrap().push_str(std::str::from_utf8(bytes).unwrap());
    }
}
