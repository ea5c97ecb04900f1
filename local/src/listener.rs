//! A listener that says what to do when its address is taken, and a server on it that stops when it is told to.

use axum::Router;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long requests in flight may take to end at a shutdown.
const DRAIN: Duration = Duration::from_secs(2);

/// An address cannot be listened on.
#[derive(Debug, Error)]
pub enum ListenError {
    /// Something else listens there.
    #[error("{0} is in use: stop what listens there, or choose another port")]
    InUse(SocketAddr),
    /// Another reason, which is the source.
    #[error("cannot listen on {address}: choose an address of this machine and a port above 1023")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The reason.
        source: io::Error,
    },
}

pub(crate) async fn listen(address: SocketAddr) -> Result<Bound, ListenError> {
    let bound = async {
        let listener = TcpListener::bind(address).await?;
        let local_addr = listener.local_addr()?;
        Ok(Bound { listener, local_addr })
    };
    bound.await.map_err(|source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse(address),
        _ => ListenError::Listen { address, source },
    })
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
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

impl Server {
    pub(crate) fn start(bound: Bound, router: Router) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = axum::serve(bound.listener, router).with_graceful_shutdown(async {
            // A dropped sender stops the server as well.
            let _ = stopped.await;
        });
        Self { local_addr: bound.local_addr, stop, task: tokio::spawn(serving.into_future()) }
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    pub(crate) async fn shutdown(mut self) {
        let _ = self.stop.send(());
        if tokio::time::timeout(DRAIN, &mut self.task).await.is_err() {
            self.task.abort();
        }
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
