//! The proxy itself: a listener that can leave and come back, and what happens on each connection.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::Response;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::upstream::Upstream;
use super::wire::Stream;
use super::{Call, Fault, Plan, Spoken, wire};

struct Shared {
    address: SocketAddr,
    /// Never listens: it keeps the port from everybody else while the proxy doesn't listen either.
    _reserved: TcpSocket,
    plan: Plan,
    upstream: Upstream,
    tls: Option<TlsAcceptor>,
    listening: Mutex<Option<JoinHandle<()>>>,
    holds: watch::Sender<bool>,
}

/// A running proxy. It stops listening when it is dropped.
pub struct Proxy(Arc<Shared>);

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(listening) = self.0.take_listening() {
            listening.abort();
        }
    }
}

impl Proxy {
    /// Starts a proxy in front of `upstream`, on a free port.
    pub fn start(upstream: Upstream, plan: Plan) -> Self {
        Self::bind(upstream, plan, None)
    }

    /// A server that answers as `upstream` does, with TLS where there is a certificate for it.
    pub fn serve(upstream: Upstream, tls: Option<TlsAcceptor>) -> Self {
        Self::bind(upstream, Arc::new(|_| None), tls)
    }

    fn bind(upstream: Upstream, plan: Plan, tls: Option<TlsAcceptor>) -> Self {
        let reserved = socket(([127, 0, 0, 1], 0).into()).expect("a port is free");
        let address = reserved.local_addr().expect("a bound socket has an address");
        let (listening, holds) = (Mutex::default(), watch::Sender::new(false));
        let shared = Arc::new(Shared { address, _reserved: reserved, plan, upstream, tls, listening, holds });
        shared.accept();
        Self(shared)
    }

    /// Its address, for whoever is to call.
    pub fn url(&self) -> String {
        let scheme = if self.0.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.0.address)
    }

    /// Waits until a call or its answer is being held.
    pub async fn holds(&self) {
        self.0.holds.subscribe().wait_for(|holds| *holds).await.expect("the proxy is there");
    }

    /// Stops listening: whoever connects is refused from now on.
    pub async fn leave(&self) {
        self.0.leave().await;
    }

    /// Listens again, at the same address.
    pub async fn listen(&self) {
        self.leave().await;
        self.0.accept();
    }
}

/// A socket at this address, which the proxy's other sockets share.
fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// An answer of the proxy's own, as a response.
fn response(spoken: &Spoken) -> Response<Bytes> {
    let (name, value) = &spoken.header;
    let response = Response::builder().status(spoken.code).header(*name, value);
    response.body(spoken.body.clone().into()).expect("spoken headers are valid")
}

impl Shared {
    fn take_listening(&self) -> Option<JoinHandle<()>> {
        self.listening.lock().expect("nobody panicked").take()
    }

    fn accept(self: &Arc<Self>) {
        let listener = socket(self.address).and_then(|socket| socket.listen(1024)).expect("the port is reserved");
        let shared = Arc::downgrade(self);
        let listening = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Some(shared) = shared.upgrade() else { break };
                // A connection that is cut on purpose ends in an error here.
                tokio::spawn(async move { shared.take(stream).await });
            }
        });
        *self.listening.lock().expect("nobody panicked") = Some(listening);
    }

    /// Returns once the port is closed.
    async fn leave(&self) {
        if let Some(listening) = self.take_listening() {
            listening.abort();
            _ = listening.await;
        }
    }

    async fn take(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        match &self.tls {
            Some(tls) => self.serve(tls.accept(stream).await?).await,
            None => self.serve(stream).await,
        }
    }

    /// Serves a connection until a fault closes it.
    async fn serve(&self, mut stream: impl Stream) -> io::Result<()> {
        while let Some(request) = wire::read(&mut stream).await? {
            let answer = match (self.plan)(Call::of(&request)) {
                Some(Fault::LoseCall) => break,
                Some(Fault::HoldCall) => return self.hold(&mut stream).await,
                Some(Fault::Refuse(spoken)) => wire::whole(&response(&spoken)),
                fault => {
                    let Ok(answered) = (self.upstream)(request).await else { break };
                    match fault {
                        None => wire::whole(&answered),
                        Some(Fault::Twice) => wire::whole(&answered).repeat(2),
                        Some(Fault::Replace(spoken)) => wire::whole(&response(&spoken)),
                        Some(fault) => return self.spoil(&mut stream, &answered, fault).await,
                    }
                }
            };
            stream.write_all(&answer).await?;
        }
        Ok(())
    }

    /// Writes what comes of an answer before its connection is closed.
    async fn spoil(&self, stream: &mut impl Stream, answered: &Response<Bytes>, fault: Fault) -> io::Result<()> {
        let (head, body) = wire::parts(answered);
        match fault {
            Fault::HoldAnswer => self.hold(stream).await,
            Fault::CutHead => stream.write_all(&head[..head.len() / 2]).await,
            Fault::CutBody => stream.write_all(&[&head, &body[..body.len() / 2]].concat()).await,
            Fault::Drip => wire::drip(stream, &[head, body].concat()).await,
            Fault::DripBody => {
                stream.write_all(&head).await?;
                wire::drip(stream, &body).await
            }
            Fault::Huge => wire::flood(stream, answered).await,
            Fault::Leave => {
                self.leave().await;
                stream.write_all(&wire::whole(answered)).await
            }
            Fault::LoseAnswer => Ok(()),
            Fault::LoseCall | Fault::HoldCall | Fault::Refuse(_) | Fault::Replace(_) | Fault::Twice => unreachable!(),
        }
    }

    async fn hold(&self, stream: &mut impl Stream) -> io::Result<()> {
        self.holds.send_replace(true);
        wire::hold(stream).await;
        Ok(())
    }
}
