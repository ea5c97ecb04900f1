//! A listener that says what to do when its address is taken, and a server on it that stops when it is told to.

use anyhow::{Result, anyhow};
use axum::Router;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long requests in flight may take to end at a shutdown.
const DRAIN: Duration = Duration::from_secs(2);

pub(crate) async fn listen(address: SocketAddr) -> Result<Bound> {
    let listener = TcpListener::bind(address).await.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => anyhow!("{address} is in use: stop what listens there, or choose another port"),
        _ => anyhow!("cannot listen on {address}: choose an address of this machine and a port above 1023: {error}"),
    })?;
    Ok(Bound { local_addr: listener.local_addr()?, listener })
}

/// A listener that knows where it listens.
pub(crate) struct Bound {
    pub(crate) listener: TcpListener,
    pub(crate) local_addr: SocketAddr,
}

/// A router that is being served, until this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    local_addr: SocketAddr,
    stop: watch::Sender<()>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) fn start(bound: Bound, router: Router) -> Self {
        let (stop, mut stopped) = watch::channel(());
        // A dropped sender stops the server as well.
        let serving = host::serve(bound.listener, router, async move { _ = stopped.changed().await }, DRAIN);
        Self { local_addr: bound.local_addr, stop, task: tokio::spawn(serving) }
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    pub(crate) async fn shutdown(&mut self) {
        self.stop.send_replace(());
        _ = (&mut self.task).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn taken_port_is_an_error_that_says_what_to_do() {
        let bound = listen(([127, 0, 0, 1], 0).into()).await.unwrap();
        let error = listen(bound.local_addr).await.err().unwrap();
        assert!(error.to_string().ends_with("choose another port"), "{error}");
    }
}
