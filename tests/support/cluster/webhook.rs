//! An admission webhook over HTTPS, as Kubernetes calls it, and its registration.
//!
//! What it does to a Pod is a function. It can go down and come back at the same address, and it can keep its callers
//! waiting; a test says when.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube_core::DynamicObject;
use kube_core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview, Operation};
use rustls::ServerConfig;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::cluster::client::until;
use crate::cluster::gateway::KEY;
use crate::cluster::namespace::{Namespace, ROUTED};

/// What a webhook does: to the Pod, at this operation; an error denies the request.
pub type Act = Arc<dyn Fn(&mut Value, &Operation) -> Result<(), String> + Send + Sync>;

/// An action that does the same to every Pod and denies none.
pub fn always(change: impl Fn(&mut Value) + Send + Sync + 'static) -> Act {
    Arc::new(move |pod, _| {
        change(pod);
        Ok(())
    })
}

struct Shared {
    act: Act,
    tls: Arc<ServerConfig>,
    calls: AtomicUsize,
    held: AtomicUsize,
    is_slow: watch::Sender<bool>,
}

/// A webhook that serves until it is dropped.
pub struct Webhook {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// None while it is down.
    server: Option<Server>,
}

/// What serves, until `stop` is dropped.
struct Server {
    stop: oneshot::Sender<Infallible>,
    task: JoinHandle<()>,
}

/// How a webhook is registered.
#[derive(Clone, Copy, Debug)]
pub struct Registration {
    /// Its name; webhooks are called in the order of their names.
    pub name: &'static str,
    /// What becomes of a request when it can't be asked.
    pub failure_policy: &'static str,
    /// The operations for which it is called.
    pub operations: &'static [&'static str],
    /// How long the API server waits for it.
    pub timeout_seconds: u32,
    /// The gateway for whose clients alone it is called, by its `objectSelector`; nothing for every Pod.
    pub clients_of: Option<&'static str>,
}

impl Registration {
    /// As the gateways' chart registers theirs.
    pub const fn usual(name: &'static str) -> Self {
        Self { name, failure_policy: "Fail", operations: &["CREATE"], timeout_seconds: 5, clients_of: None }
    }

    /// The same, called for the clients of the gateway of this name alone.
    pub const fn selective(name: &'static str) -> Self {
        Self { clients_of: Some(name), ..Self::usual(name) }
    }

    fn object_selector(&self) -> Value {
        self.clients_of.map_or_else(|| json!({}), |gateway| json!({"matchLabels": {KEY: gateway}}))
    }
}

impl Webhook {
    /// Serves on a free port.
    pub async fn start(namespace: &Namespace, act: Act) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Shared {
            act,
            tls: namespace.cluster.authority.server_config(),
            calls: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
            is_slow: watch::Sender::new(false),
        };
        let shared = Arc::new(shared);
        Self { address, server: Some(Server::start(listener, shared.clone())), shared }
    }

    /// Registers it for the Pods of this one namespace, as the gateways' chart does for all that have the label, and
    /// waits until the API server knows: only a webhook that is up can be seen to be known.
    pub async fn register(&self, namespace: &Namespace, registration: Registration) {
        let path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
        namespace.admin().create(path, &self.configuration(namespace, registration)).await;
        until("the API server calls the webhook", || async {
            namespace.try_out_client_of(registration.clients_of).await;
            self.calls() > 0
        })
        .await;
    }

    fn configuration(&self, namespace: &Namespace, registration: Registration) -> Value {
        json!({
            "metadata": {"name": format!("{}-{}", registration.name, namespace.name)},
            "webhooks": [{
                "name": format!("{}.gateway.example", registration.name),
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "timeoutSeconds": registration.timeout_seconds,
                "failurePolicy": registration.failure_policy,
                "namespaceSelector": {"matchLabels": {
                    ROUTED.0: ROUTED.1,
                    "kubernetes.io/metadata.name": namespace.name,
                }},
                "objectSelector": registration.object_selector(),
                "rules": [{
                    "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"],
                    "operations": registration.operations,
                }],
                "clientConfig": {
                    "url": format!("https://{}/wh/mutating/setgateway", self.address),
                    "caBundle": encoded(&namespace.cluster.authority.pem()),
                },
            }],
        })
    }

    /// How often it was called.
    pub fn calls(&self) -> usize {
        self.shared.calls.load(Ordering::SeqCst)
    }

    /// Stops listening, and closes every connection.
    pub async fn go_down(&mut self) {
        if let Some(Server { stop, task }) = self.server.take() {
            drop(stop);
            task.await.expect("a server does not panic");
        }
    }

    /// Listens again where it did before, if it is down.
    pub async fn come_back(&mut self) {
        if self.server.is_none() {
            let listener = TcpListener::bind(self.address).await.expect("its port is still free");
            self.server = Some(Server::start(listener, self.shared.clone()));
        }
    }

    /// From now on keeps every caller waiting, or lets all go.
    pub fn set_slow(&self, is_slow: bool) {
        self.shared.is_slow.send_replace(is_slow);
    }

    /// Waits until it has kept somebody waiting.
    pub async fn holds(&self) {
        until("the webhook is asked", || async { self.shared.held.load(Ordering::SeqCst) > 0 }).await;
    }
}

impl Server {
    fn start(listener: TcpListener, shared: Arc<Shared>) -> Self {
        let (stop, stopped) = oneshot::channel();
        Self { stop, task: tokio::spawn(serve(listener, shared, stopped)) }
    }
}

/// Waits until a client of `gateway` can be made, through every webhook that is called for it: the API server keeps
/// connections to those that went down, and learns only by using one that it is closed.
pub async fn wait_until_reached(namespace: &Namespace, gateway: &str) {
    until("the API server reaches every webhook", || async {
        namespace.try_out_client_of(Some(gateway)).await.code == 201
    })
    .await;
}

fn encoded(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, stopped: oneshot::Receiver<Infallible>) {
    let mut connections = JoinSet::new();
    tokio::select! {
        () = accept(listener, &shared, &mut connections) => (),
        _ = stopped => (),
    }
    connections.shutdown().await;
}

async fn accept(listener: TcpListener, shared: &Arc<Shared>, connections: &mut JoinSet<()>) {
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve_connection(stream, shared.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve_connection(stream: TcpStream, shared: Arc<Shared>) {
    let Ok(stream) = TlsAcceptor::from(shared.tls.clone()).accept(stream).await else { return };
    let service = service_fn(move |request| answer(request, shared.clone()));
    // The API server closes connections as it likes.
    _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Full<Bytes>>, Infallible> {
    let bytes = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    shared.calls.fetch_add(1, Ordering::SeqCst);
    wait_while_slow(&shared).await;
    let review = serde_json::from_slice::<AdmissionReview<DynamicObject>>(&bytes).ok();
    let request: Option<AdmissionRequest<DynamicObject>> = review.and_then(|review| review.try_into().ok());
    Ok(match request {
        Some(request) => json_response(&review_of(&request, &shared.act)),
        None => bad_request(),
    })
}

async fn wait_while_slow(shared: &Shared) {
    let mut is_slow = shared.is_slow.subscribe();
    if *is_slow.borrow() {
        shared.held.fetch_add(1, Ordering::SeqCst);
    }
    // The sender lives as long as `shared`, so this ends by its word alone.
    _ = is_slow.wait_for(|is_slow| !is_slow).await;
}

fn review_of(request: &AdmissionRequest<DynamicObject>, act: &Act) -> Value {
    let response = AdmissionResponse::from(request);
    let response = match patch(request, act) {
        Ok(patch) => response.with_patch(patch).expect("a patch is JSON"),
        Err(reason) => response.deny(reason),
    };
    serde_json::to_value(response.into_review()).expect("a review is JSON")
}

/// The difference that the webhook makes, as a JSON patch.
fn patch(request: &AdmissionRequest<DynamicObject>, act: &Act) -> Result<json_patch::Patch, String> {
    let before = serde_json::to_value(&request.object).expect("an object is JSON");
    let mut after = before.clone();
    act(&mut after, &request.operation)?;
    Ok(json_patch::diff(&before, &after))
}

fn json_response(body: &Value) -> Response<Full<Bytes>> {
    let response = Response::builder().header("content-type", "application/json");
    response.body(Bytes::from(body.to_string()).into()).expect("a JSON response is valid")
}

fn bad_request() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}
