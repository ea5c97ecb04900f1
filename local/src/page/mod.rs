//! A page to try the provisioner with: what a dashboard for events shows, and a picture of the clients.
//!
//! `server` answers a browser, `view` writes the HTML of what `draft` (an event to be sent), `story` (what became of
//! one), `clients` (the Pods, and `act`, how one ends) and `weather` (how the embedded API behaves) say. The page is whole without a script;
//! with one, it is told of every change and puts it in its place. Nothing is loaded from elsewhere.

mod act;
mod clients;
mod draft;
mod server;
mod story;
mod view;
mod weather;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

use crate::broker::Broker;
use crate::doors::Doors;
use crate::kubernetes::EmbeddedApi;
use crate::{ListenError, Server, listen};
use clients::Clients;

/// What a page is about.
#[derive(Debug, Clone)]
pub struct PageConfig {
    /// Where it is served; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Who may open it.
    pub doors: Doors,
    /// The address of the provisioner itself.
    pub provisioner: String,
    /// Where the clients are, for a person.
    pub kubernetes: String,
}

/// All that is shown.
#[derive(Debug)]
struct Watched {
    config: PageConfig,
    broker: Arc<Broker>,
    /// None where the clients are in a cluster, which can't be watched with the provisioner's rights.
    api: Option<Arc<EmbeddedApi>>,
    clients: Mutex<Clients>,
}

impl Watched {
    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A page that is being served, until this is dropped.
#[derive(Debug)]
pub struct Page {
    server: Server,
    /// Whoever looks at the page waits for the other end of it, and hangs up once this is gone.
    changed: Arc<watch::Sender<u64>>,
}

impl Page {
    /// Serves a page about `broker`, and the Pods of `api`.
    ///
    /// # Errors
    /// When its address can't be listened on.
    pub async fn bind(
        config: PageConfig,
        broker: Arc<Broker>,
        api: Option<Arc<EmbeddedApi>>,
    ) -> Result<Self, ListenError> {
        let listener = listen(config.listen).await?;
        let changed = Arc::new(watch::Sender::new(0));
        let (steps, pods) = (broker.subscribe(), api.as_ref().map(|api| api.subscribe()));
        let clients = Mutex::new(Clients::of(&api.as_ref().map(|api| api.all_pods()).unwrap_or_default()));
        let watched = Arc::new(Watched { config, broker, api, clients });
        let bell = Arc::downgrade(&changed);
        let ring = move || bell.upgrade().map(|bell| bell.send_modify(|count| *count += 1));
        tokio::spawn(for_each(steps, ring.clone(), |_| ()));
        if let Some(pods) = pods {
            let shown = Arc::downgrade(&watched);
            tokio::spawn(for_each(pods, ring, move |change| {
                if let (Some(shown), Some(change)) = (shown.upgrade(), change) {
                    shown.clients().apply(&change);
                }
            }));
        }
        let router = server::router(watched, Arc::downgrade(&changed));
        Ok(Self { server: Server::start(listener, router), changed })
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}/", self.server.local_addr())
    }

    /// Stops it: browsers that look at it are told that the connection is gone.
    pub async fn shutdown(self) {
        drop(self.changed);
        self.server.shutdown().await;
    }
}

/// Hands on whatever comes, and rings; ends with what it listens to, or when nobody is there to hear it. What came too
/// fast to be read is `None`.
async fn for_each<T: Clone>(
    mut receiver: Receiver<T>,
    ring: impl Fn() -> Option<()>,
    mut take: impl FnMut(Option<T>) + Send,
) {
    loop {
        match receiver.recv().await {
            Ok(item) => take(Some(item)),
            Err(RecvError::Lagged(_)) => take(None),
            Err(RecvError::Closed) => return,
        }
        if ring().is_none() {
            return;
        }
    }
}
