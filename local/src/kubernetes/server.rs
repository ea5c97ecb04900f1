//! The embedded API on a port: HTTP in front of `api`, and a handle to it.
//!
//! Each request is read whole, with a limit, then answered under one lock.
//! Nothing is decided here.

use super::admission::Gateway;
use super::api::{self, Api};
use super::config::Config;
use super::kubelet::Fate;
use super::observe::PodChange;
use super::status::Status;
use super::store::Stamp;
use crate::doors::Doors;
use crate::{ListenError, Server, listen};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use chrono::Utc;
use http::header::{AUTHORIZATION, HeaderValue};
use http::{Request, Response, StatusCode};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::task::JoinSet;

/// The largest body that an API server takes.
const BODY_LIMIT: usize = 3 * 1024 * 1024;

#[derive(Clone, Debug)]
struct Shared(Arc<Mutex<Api>>);

impl Shared {
    fn api(&self) -> MutexGuard<'_, Api> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// A running embedded Kubernetes API. It stops when it is dropped.
#[derive(Debug)]
pub struct EmbeddedApi {
    shared: Shared,
    changes: broadcast::Sender<PodChange>,
    server: Server,
    proxy: Option<Server>,
    connections: Arc<AtomicU64>,
    /// Ends with this.
    _kubelet: JoinSet<()>,
}

impl EmbeddedApi {
    /// Starts it on an address; port 0 takes a free one.
    pub async fn bind(config: Config, address: SocketAddr) -> Result<Self, ListenError> {
        Self::bind_with(config, address, None).await
    }

    /// The same over HTTPS, as an API server has it. `tls` names the versions of HTTP that it speaks, by ALPN.
    pub async fn bind_tls(config: Config, address: SocketAddr, tls: rustls::ServerConfig) -> Result<Self, ListenError> {
        Self::bind_with(config, address, Some(tls)).await
    }

    async fn bind_with(
        config: Config,
        address: SocketAddr,
        tls: Option<rustls::ServerConfig>,
    ) -> Result<Self, ListenError> {
        let listener = listen(address).await?;
        let (changes, _) = broadcast::channel(1024);
        let step = config.kubelet;
        let shared = Shared(Arc::new(Mutex::new(Api::new(config, Utc::now(), changes.clone()))));
        let router = Router::new().fallback(serve).with_state(shared.clone());
        let connections = Arc::default();
        let server = match tls {
            Some(tls) => Server::start_tls(listener, tls, Arc::clone(&connections), router),
            None => Server::start(listener, router),
        };
        let _kubelet = step.map(|step| run_kubelet(shared.clone(), step)).into_iter().collect();
        Ok(Self { shared, changes, server, proxy: None, connections, _kubelet })
    }

    /// Serves the same API on another address without asking for the token,
    /// as `kubectl proxy` does: kubectl sends no token over plain HTTP.
    /// Returns the address to give to `kubectl --server=http://`.
    pub async fn proxy(&mut self, address: SocketAddr, doors: Doors) -> Result<SocketAddr, ListenError> {
        let listener = listen(address).await?;
        let router = Router::new().fallback(serve_with_token).with_state(self.shared.clone());
        let server = Server::start(listener, doors.guard(router, refuse));
        Ok(self.proxy.insert(server).local_addr())
    }

    /// The address that it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// The address as `kube_api_url`.
    pub fn url(&self) -> String {
        format!("http://{}", self.local_addr())
    }

    /// The Pods of a namespace, by name.
    pub fn pods(&self, namespace: &str) -> Vec<Value> {
        self.shared.api().store.list(Some(namespace)).cloned().collect()
    }

    /// The Pods of all namespaces.
    pub fn all_pods(&self) -> Vec<Value> {
        self.shared.api().store.list(None).cloned().collect()
    }

    /// The gateways whose webhooks see every new Pod.
    pub fn gateways(&self) -> Vec<Gateway> {
        self.shared.api().config.gateways.clone()
    }

    /// Whether it answers, or is said not to.
    pub fn is_available(&self) -> bool {
        self.shared.api().available
    }

    /// Every change of a Pod from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<PodChange> {
        self.changes.subscribe()
    }

    /// How many requests there have been of each verb, as RBAC calls it, whatever the answer.
    pub fn calls(&self) -> BTreeMap<&'static str, u64> {
        self.shared.api().calls.clone()
    }

    /// How many connections over TLS there have been.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Lets a client that runs come to its end; false where there is none of this uid.
    pub fn meet(&self, uid: &str, fate: Fate) -> bool {
        self.shared.api().meet(uid, fate, Utc::now())
    }

    /// Takes all Pods away without a word to anybody, as if they had never been.
    pub fn clear(&self) {
        self.shared.api().store.clear();
    }

    /// False: every request is answered 503, until true. A connection that
    /// is refused is what `shutdown` leaves.
    pub fn set_available(&self, available: bool) {
        self.shared.api().available = available;
    }

    /// Replaces the gateways; an empty list is a cluster without webhooks.
    pub fn set_gateways(&self, gateways: Vec<Gateway>) {
        self.shared.api().config.gateways = gateways;
    }

    /// Stops it: requests in flight are answered, new ones refused.
    pub async fn shutdown(self) {
        if let Some(proxy) = self.proxy {
            proxy.shutdown().await;
        }
        self.server.shutdown().await;
    }
}

/// Has every Pod take its next step, again and again.
async fn run_kubelet(shared: Shared, step: Duration) {
    loop {
        tokio::time::sleep(step).await;
        shared.api().tick(&Stamp::now());
    }
}

async fn serve(State(shared): State<Shared>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let response = match to_bytes(body, BODY_LIMIT).await {
        Ok(body) => shared.api().answer(&Request::from_parts(parts, body), &Stamp::now()),
        Err(_) => api::failure(&Status::request_entity_too_large(BODY_LIMIT)),
    };
    response.map(Body::from)
}

fn refuse(why: String) -> Response<Body> {
    api::failure(&Status::new(StatusCode::FORBIDDEN, "Forbidden", why)).map(Body::from)
}

async fn serve_with_token(state: State<Shared>, mut request: Request<Body>) -> Response<Body> {
    let token = format!("Bearer {}", state.api().config.token);
    if let Ok(value) = HeaderValue::from_str(&token) {
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    serve(state, request).await
}
