//! The HTTP server in front of an application: HTTP/1.1, and HTTP/2 for clients that begin with it.

use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt as _;
use futures::FutureExt as _;
use tokio::net::TcpListener;

/// Serves until `shutdown` is ready and the running requests have ended, or have had `patience` for it.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
    patience: Duration,
) {
    // The rest of an answer must not wait until its head is acknowledged.
    let listener = listener.tap_io(|stream| _ = stream.set_nodelay(true));
    let shutdown = shutdown.shared();
    let serving = axum::serve(listener, router).with_graceful_shutdown(shutdown.clone());
    let late = async {
        shutdown.await;
        tokio::time::sleep(patience).await;
    };
    tokio::select! {
        _ = serving.into_future() => (),
        () = late => (),
    }
}

#[cfg(test)]
mod tests;
