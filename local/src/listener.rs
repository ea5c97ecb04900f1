//! A listener that says what to do when its address is taken, and a server on it that stops when it is told to.

use anyhow::{Result, anyhow};
use axum::Router;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long requests in flight may take to end at a shutdown.
const DRAIN: Duration = Duration::from_secs(2);

pub(crate) async fn listen(address: SocketAddr) -> Result<Bound> {
    let listener = TcpListener::bind(address).await.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => anyhow!("{address} is in use: stop what listens there, or choose another port"),
        _ => anyhow!("cannot listen on {address}: choose an address of this machine and a port above 1023: {error}"),
    })?;
    let local_addr = listener.local_addr()?;
    Ok((listener, local_addr))
}

/// A listener, and where it listens.
pub(crate) type Bound = (TcpListener, SocketAddr);

/// A router that is being served, until this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) local_addr: SocketAddr,
    stop: DropGuard,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) fn start((listener, local_addr): Bound, router: Router) -> Self {
        let stop = CancellationToken::new();
        let serving = host::serve(listener, router, stop.clone().cancelled_owned(), DRAIN);
        Self { local_addr, stop: stop.drop_guard(), task: tokio::spawn(serving) }
    }

    pub(crate) async fn shutdown(self) {
        drop(self.stop);
        _ = self.task.await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn taken_port_is_an_error_that_says_what_to_do() {
        let (_listener, taken) = listen(([127, 0, 0, 1], 0).into()).await.unwrap();
        let error = listen(taken).await.err().unwrap();
        assert!(error.to_string().ends_with("choose another port"), "{error}");
    }
}
