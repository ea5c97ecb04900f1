//! The HTTP server in front of an application: HTTP/1.1, and HTTP/2 for clients that begin with it.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;

use crate::application::Application;
use crate::outbound::WasiBody;

/// How long a server that stops waits for the requests that it has.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves the application until `shutdown` is ready and its running requests have ended, or ten seconds have passed. A
/// request that `refuse` has an answer to gets that, and the application doesn't see it.
///
/// A client that goes away doesn't stop the component, as under Spin.
pub async fn serve<R>(application: Application, listener: TcpListener, refuse: R, shutdown: impl Future<Output = ()>)
where
    R: Fn(&Request<Incoming>) -> Option<Response<Vec<u8>>> + Clone + Send + 'static,
{
    let builder = Builder::new(TokioExecutor::new());
    let graceful = GracefulShutdown::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors, most likely: others will be closed.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // The rest of an answer must not wait until its head is acknowledged.
        _ = stream.set_nodelay(true);
        let (application, refuse) = (application.clone(), refuse.clone());
        let service = service_fn(move |request| {
            let (application, refused) = (application.clone(), refuse(&request));
            let handling = tokio::spawn(async move {
                match refused {
                    Some(refused) => refused.map(body),
                    None => application.handle(request).await,
                }
            });
            async { Ok::<Response<_>, Infallible>(handling.await.expect("it neither panics nor is aborted")) }
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        // What goes wrong with a connection, its client has seen.
        tokio::spawn(graceful.watch(connection));
    }
    drop(listener);
    _ = tokio::time::timeout(PATIENCE, graceful.shutdown()).await;
}

fn body(bytes: Vec<u8>) -> WasiBody {
    WasiBody::new(Full::new(Bytes::from(bytes)).map_err(|never: Infallible| match never {}))
}

#[cfg(test)]
mod tests;
