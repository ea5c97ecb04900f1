//! The proxy itself: a listener that can leave and come back, and what happens on each connection.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::speak::{self, After};
use super::upstream::Upstream;
use super::{Call, Fault, Plan, wire};

struct Shared {
    address: SocketAddr,
    /// Never listens: it keeps the port from everybody else while the proxy doesn't listen either.
    _reserved: TcpSocket,
    plan: Plan,
    upstream: Upstream,
    listening: Mutex<Option<JoinHandle<()>>>,
    flood: AtomicUsize,
    held: watch::Sender<usize>,
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
    pub async fn start(upstream: Upstream, plan: Plan) -> Self {
        let reserved = socket(([127, 0, 0, 1], 0).into()).expect("a port is free");
        let address = reserved.local_addr().expect("a bound socket has an address");
        let (listening, flood, held) = (Mutex::default(), AtomicUsize::new(0), watch::Sender::new(0));
        let shared = Arc::new(Shared { address, _reserved: reserved, plan, upstream, listening, flood, held });
        shared.accept();
        Self(shared)
    }

    /// Its address, for whoever is to call.
    pub fn url(&self) -> String {
        format!("http://{}", self.0.address)
    }

    /// Waits until a call or its answer is being held.
    pub async fn holds(&self) {
        // It only fails without a sender, and `self` has one.
        _ = self.0.held.subscribe().wait_for(|held| *held > 0).await;
    }

    /// The largest part of a body without end that anybody took.
    pub fn largest_flood(&self) -> usize {
        self.0.flood.load(Ordering::SeqCst)
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
///
/// It sends from a small buffer, so that the kernel of whoever receives has no reason to keep much: how much of a flood
/// was taken would say little about the taker.
fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.set_send_buffer_size(64 << 10)?;
    socket.bind(address)?;
    Ok(socket)
}

impl Shared {
    fn take_listening(&self) -> Option<JoinHandle<()>> {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn accept(self: &Arc<Self>) {
        let listener = self.bind().expect("the port is reserved");
        let shared = Arc::downgrade(self);
        let listening = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Some(shared) = shared.upgrade() else { break };
                // A connection that is cut on purpose ends in an error here.
                tokio::spawn(async move { shared.serve(stream).await });
            }
        });
        *self.listening.lock().unwrap_or_else(PoisonError::into_inner) = Some(listening);
    }

    fn bind(&self) -> io::Result<TcpListener> {
        socket(self.address)?.listen(1024)
    }

    /// Returns once the port is closed.
    async fn leave(&self) {
        if let Some(listening) = self.take_listening() {
            listening.abort();
            _ = listening.await;
        }
    }

    async fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        _ = stream.set_nodelay(true);
        while let Some(request) = wire::read(&mut stream).await? {
            let fault = (self.plan)(Call::of(&request));
            if self.answer(&mut stream, request, fault).await? == After::Closes {
                break;
            }
        }
        Ok(())
    }

    async fn hold(&self, stream: &mut TcpStream) {
        self.held.send_modify(|held| *held += 1);
        speak::hold(stream).await;
    }

    async fn answer(
        &self,
        stream: &mut TcpStream,
        request: http::Request<bytes::Bytes>,
        fault: Option<Fault>,
    ) -> io::Result<After> {
        match &fault {
            Some(Fault::LoseCall) => return Ok(After::Closes),
            Some(Fault::HoldCall) => {
                self.hold(stream).await;
                return Ok(After::Closes);
            }
            Some(Fault::Refuse(spoken)) => {
                speak::say(stream, &speak::response(spoken), 1).await?;
                return Ok(After::Goes);
            }
            _ => (),
        }
        match (self.upstream)(request).await {
            Ok(response) => self.pass_on(stream, response, fault).await,
            Err(_) => Ok(After::Closes),
        }
    }

    async fn pass_on(
        &self,
        stream: &mut TcpStream,
        response: http::Response<bytes::Bytes>,
        fault: Option<Fault>,
    ) -> io::Result<After> {
        match fault {
            None => return speak::say(stream, &response, 1).await.map(|()| After::Goes),
            Some(Fault::Twice) => return speak::say(stream, &response, 2).await.map(|()| After::Goes),
            Some(Fault::Replace(spoken)) => {
                return speak::say(stream, &speak::response(&spoken), 1).await.map(|()| After::Goes);
            }
            Some(Fault::HoldAnswer) => self.hold(stream).await,
            Some(Fault::CutHead) => speak::cut(stream, &response, true).await?,
            Some(Fault::CutBody) => speak::cut(stream, &response, false).await?,
            Some(Fault::Drip) => speak::dawdle(stream, &response, false).await?,
            Some(Fault::DripBody) => speak::dawdle(stream, &response, true).await?,
            Some(Fault::Huge) => {
                self.flood.fetch_max(speak::flood(stream, &response).await, Ordering::SeqCst);
            }
            Some(Fault::Leave) => {
                self.leave().await;
                speak::say(stream, &response, 1).await?;
            }
            Some(Fault::LoseAnswer | Fault::LoseCall | Fault::HoldCall | Fault::Refuse(_)) => (),
        }
        Ok(After::Closes)
    }
}
