//! Threads that serve connections, one for each processor.
//!
//! A connection stays on its thread from the first byte to the last, and so do its guests and the calls that they make:
//! what a request waits for wakes no other thread. A thread has outbound connections of its own for the same reason.
//!
//! Dropping [`Workers`] ends everything at once; [`Workers::finish`] lets it end by itself.

use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::runtime;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::application::Application;
use super::server::Service;
use super::tasks::Tasks;

/// A client that has connected.
type Connection = (std::net::TcpStream, SocketAddr);

/// The threads, which take turns.
pub(super) struct Workers {
    all: Vec<Worker>,
    next: usize,
}

struct Worker {
    connections: mpsc::UnboundedSender<Connection>,
    /// Ready when the last of its connections is closed.
    drained: oneshot::Receiver<()>,
    /// Dropped, it ends the thread.
    life: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Workers {
    /// Starts a thread for each processor.
    pub(super) fn start(application: &Application, patience: Duration) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let all = (0..processors).map(|_| Worker::start(application.with_own_connections(), patience)).collect();
        Self { all, next: 0 }
    }

    /// Has a connection served.
    pub(super) fn serve(&mut self, stream: TcpStream, client: SocketAddr) {
        let worker = &self.all[self.next % self.all.len()];
        self.next += 1;
        // A socket belongs to the runtime of its thread. One that can't be handed over is closed.
        if let Ok(stream) = stream.into_std() {
            _ = worker.connections.send((stream, client));
        }
    }

    /// Takes no more connections and waits for those that are open, then for `rest`, and ends the threads.
    pub(super) async fn finish(self, rest: impl Future<Output = ()>) {
        let mut ending = Vec::new();
        for Worker { connections, drained, life, thread } in self.all {
            drop(connections);
            ending.push((drained, life, thread));
        }
        for (drained, ..) in &mut ending {
            _ = drained.await;
        }
        rest.await;
        for (_, life, thread) in ending {
            drop(life);
            _ = tokio::task::spawn_blocking(|| thread.join()).await;
        }
    }
}

impl Worker {
    fn start(application: Application, patience: Duration) -> Self {
        let (connections, given) = mpsc::unbounded_channel();
        let (drain, drained) = oneshot::channel();
        let (life, mut lives) = oneshot::channel::<()>();
        let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("this system has timers");
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::spawn(keep_a_timer());
                tokio::select! {
                    _ = &mut lives => return,
                    () = serve(application, given, patience) => drop(drain),
                }
                // What others still wait for may run on this thread.
                _ = lives.await;
            });
        });
        Self { connections, drained, life, thread }
    }
}

/// Keeps a timer that ends before most of those that requests set: for each timer that ends before all others a runtime
/// interrupts its own next wait, which takes a system call and a wait in vain, and each call of a request that is alone would
/// set such a timer.
async fn keep_a_timer() {
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

/// Serves what it is given, until there will be no more and all of it is served, or `patience` is at its end.
async fn serve(application: Application, mut given: mpsc::UnboundedReceiver<Connection>, patience: Duration) {
    let (connections, requests) = (Tasks::default(), Tasks::default());
    let (stop, stopped) = watch::channel(());
    while let Some((stream, client)) = given.recv().await {
        if let Ok(stream) = TcpStream::from_std(stream) {
            let service = Service::new(application.clone(), requests.clone(), client);
            connections.spawn(service.serve(stream, stopped.clone()));
        }
    }
    drop(stop);
    let deadline = Instant::now() + patience;
    connections.finish(deadline).await;
    requests.finish(deadline).await;
}
