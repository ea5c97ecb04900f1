//! A page to try the provisioner with: what a dashboard for events shows, and a picture of the clients.
//!
//! `server` answers a browser with `view`, the HTML of what `draft` (an event to be sent), `story` (what became of one),
//! `clients` (the Pods) and `act` (how one ends, and how the embedded API behaves) say. The page is whole
//! without a script; with one, it is told of every change and puts it in its place. Nothing is loaded from elsewhere.

mod act;
mod clients;
mod draft;
mod server;
mod story;
mod view;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use crate::broker::Broker;
use crate::doors::Doors;
use crate::kubernetes::EmbeddedApi;
use crate::sync::{for_each, lock};
use crate::{Server, listen};
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
    /// Tells whoever looks at the page that something has.
    changed: watch::Sender<()>,
}

/// A page that is being served, until this is dropped.
#[derive(Debug)]
pub struct Page(Server);

impl Page {
    /// Serves a page about `broker`, and the Pods of `api`.
    ///
    /// # Errors
    /// When its address can't be listened on.
    pub async fn bind(config: PageConfig, broker: Arc<Broker>, api: Option<Arc<EmbeddedApi>>) -> anyhow::Result<Self> {
        let listener = listen(config.listen).await?;
        let (steps, pods) = (broker.journal.subscribe(), api.as_ref().map(|api| api.subscribe()));
        let clients = Mutex::new(Clients::of(&api.as_ref().map(|api| api.pods(None)).unwrap_or_default()));
        let watched = Arc::new(Watched { config, broker, api, clients, changed: watch::Sender::new(()) });
        let shown = Arc::downgrade(&watched);
        tokio::spawn(for_each(steps, move |_| shown.upgrade().map(|shown| shown.changed.send_replace(()))));
        let shown = Arc::downgrade(&watched);
        if let Some(pods) = pods {
            tokio::spawn(for_each(pods, move |change| {
                let shown = shown.upgrade()?;
                change.iter().for_each(|change| lock(&shown.clients).apply(change));
                shown.changed.send_replace(());
                Some(())
            }));
        }
        Ok(Self(Server::start(listener, server::router(watched))))
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}/", self.0.local_addr)
    }
}
