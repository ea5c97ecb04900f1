//! The embedded API on a port: HTTP in front of `api`, and a handle to it.
//!
//! Each request is read whole, with a limit, then answered under one lock. Nothing is decided here.

use super::admission::Gateway;
use super::api::{self, Api};
use super::config::Config;
use super::kubelet::Fate;
use super::status::Status;
use super::store::PodChange;
use crate::sync::lock;
use crate::{Server, listen};
use anyhow::Result;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::response::Response;
use chrono::Utc;
use http::{Request, StatusCode};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use tokio::sync::broadcast;

/// The largest body that an API server takes.
const BODY_LIMIT: usize = 3 * 1024 * 1024;

type Shared = Arc<Mutex<Api>>;

/// A running embedded Kubernetes API. It stops when it is dropped.
#[derive(Debug)]
pub struct EmbeddedApi {
    api: Shared,
    server: Server,
}

impl EmbeddedApi {
    /// Starts it on an address; port 0 takes a free one.
    pub async fn bind(config: Config, address: SocketAddr) -> Result<Self> {
        let bound = listen(address).await?;
        let (step, doors) = (config.kubelet, config.open_to.clone());
        let api: Shared = Arc::new(Mutex::new(Api::new(config, Utc::now())));
        if let Some(step) = step {
            tokio::spawn(run_kubelet(Arc::downgrade(&api), step));
        }
        let router = router(api.clone());
        let router = match doors {
            Some(doors) => doors.guard(router, refuse),
            None => router,
        };
        Ok(Self { api, server: Server::start(bound, router) })
    }

    /// What answers its requests, for whoever serves it in another way as well.
    pub fn router(&self) -> Router {
        router(self.api.clone())
    }

    /// The address as `kube_api_url`.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.local_addr)
    }

    /// The Pods of a namespace, or of all of them, by name.
    pub fn pods<'a>(&self, namespace: impl Into<Option<&'a str>>) -> Vec<Value> {
        lock(&self.api).store.list(namespace.into()).cloned().collect()
    }

    /// The gateways whose webhooks see every new Pod.
    pub fn gateways(&self) -> Vec<Gateway> {
        lock(&self.api).config.gateways.clone()
    }

    /// Whether it answers, or is said not to.
    pub fn is_available(&self) -> bool {
        lock(&self.api).available
    }

    /// Every change of a Pod from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<PodChange> {
        lock(&self.api).store.changes.subscribe()
    }

    /// How many requests there have been of each verb, as RBAC calls it, whatever the answer.
    pub fn calls(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.api).calls.clone()
    }

    /// Lets a client that runs come to its end; false where there is none of this uid.
    pub fn meet(&self, uid: &str, fate: Fate) -> bool {
        lock(&self.api).meet(uid, fate, Utc::now())
    }

    /// Takes all Pods away without a word to anybody, as if they had never been.
    pub fn clear(&self) {
        lock(&self.api).store.clear();
    }

    /// False: every request is answered 503, until true. A connection that is refused is what `shutdown` leaves.
    pub fn set_available(&self, available: bool) {
        lock(&self.api).available = available;
    }

    /// Replaces the gateways; an empty list is a cluster without webhooks.
    pub fn set_gateways(&self, gateways: Vec<Gateway>) {
        lock(&self.api).config.gateways = gateways;
    }

    /// Stops it: requests in flight are answered, new ones refused.
    pub async fn shutdown(self) {
        self.server.shutdown().await;
    }
}

/// Has every Pod take its next step, again and again, until the API is gone.
async fn run_kubelet(api: Weak<Mutex<Api>>, step: Duration) {
    loop {
        tokio::time::sleep(step).await;
        let Some(api) = api.upgrade() else { return };
        lock(&api).tick(Utc::now());
    }
}

fn router(api: Shared) -> Router {
    Router::new().fallback(async move |request: Request<Body>| {
        let (parts, body) = request.into_parts();
        match to_bytes(body, BODY_LIMIT).await {
            Ok(body) => lock(&api).answer(&Request::from_parts(parts, body), Utc::now()),
            Err(_) => {
                let message = format!("Request entity too large: limit is {BODY_LIMIT}");
                api::failure(&Status::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message))
            }
        }
    })
}

fn refuse(why: String) -> Response {
    api::failure(&Status::new(StatusCode::FORBIDDEN, "Forbidden", why))
}
