//! An admission webhook over HTTPS, as Kubernetes calls it, and its registration.
//!
//! What it does to a Pod is a function. It can be down, and it can keep its callers waiting; a test says when.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use provisioner::pod::text;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::cluster::client::until;
use crate::cluster::gateway::KEY;
use crate::cluster::namespace::{Namespace, ROUTED};
use crate::fault::{Proxy, serving};

/// What a webhook does: to the Pod, at this operation, `CREATE` or `UPDATE`; an error denies the request.
pub type Act = Arc<dyn Fn(&mut Value, &str) -> Result<(), String> + Send + Sync>;

/// An action that does the same to every Pod and denies none.
pub fn always(change: impl Fn(&mut Value) + Send + Sync + 'static) -> Act {
    Arc::new(move |pod, _| {
        change(pod);
        Ok(())
    })
}

/// How a webhook is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum State {
    /// It answers.
    Up,
    /// It closes every connection that it is asked on.
    Down,
    /// It keeps its callers waiting, until it is in another state.
    Slow,
}

/// A webhook that serves until it is dropped.
pub struct Webhook {
    /// How it is, and how often it was asked since it is so.
    state: watch::Sender<(State, usize)>,
    _server: Proxy,
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

    /// For the Pods of this one namespace, as the gateways' chart does for all that have the label.
    fn configuration(&self, namespace: &Namespace, url: &str) -> Value {
        let selector = self.clients_of.map_or_else(|| json!({}), |gateway| json!({"matchLabels": {KEY: gateway}}));
        json!({
            "metadata": {"name": format!("{}-{}", self.name, namespace.name)},
            "webhooks": [{
                "name": format!("{}.gateway.example", self.name),
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "timeoutSeconds": self.timeout_seconds,
                "failurePolicy": self.failure_policy,
                "namespaceSelector": {"matchLabels": {
                    ROUTED.0: ROUTED.1,
                    "kubernetes.io/metadata.name": namespace.name,
                }},
                "objectSelector": selector,
                "rules": [{
                    "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": self.operations,
                }],
                "clientConfig": {
                    "url": format!("{url}/wh/mutating/setgateway"),
                    "caBundle": STANDARD.encode(namespace.cluster.authority.pem()),
                },
            }],
        })
    }
}

impl Webhook {
    /// Serves on a free port, registers it, and waits until the API server asks it.
    pub async fn start(namespace: &Namespace, registration: Registration, act: Act) -> Self {
        let state = watch::Sender::new((State::Up, 0));
        let tls = TlsAcceptor::from(namespace.cluster.authority.server_config());
        let served = state.clone();
        let server = Proxy::serve(serving(move |request| answer(request, served.clone(), act.clone())), Some(tls));
        let configuration = registration.configuration(namespace, &server.url());
        let path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
        namespace.admin().create(path, &configuration).await;
        until("the API server asks the webhook", || async {
            namespace.try_out(registration.clients_of).await;
            state.borrow().1 > 0
        })
        .await;
        Self { state, _server: server }
    }

    /// From now on it is so.
    pub fn set(&self, state: State) {
        self.state.send_replace((state, 0));
    }

    /// Waits until it was asked since it is as it is.
    pub async fn is_asked(&self) {
        until("the webhook is asked", || async { self.state.borrow().1 > 0 }).await;
    }
}

async fn answer(
    request: Request<Bytes>,
    state: watch::Sender<(State, usize)>,
    act: Act,
) -> Result<Response<Bytes>, String> {
    let mut review: Value = serde_json::from_slice(request.body()).expect("it is a review");
    state.send_modify(|(_, asked)| *asked += 1);
    let mut current = state.subscribe();
    let (current, _) = *current.wait_for(|(state, _)| *state != State::Slow).await.expect("it serves");
    if current == State::Down {
        return Err("it closes the connection".to_owned());
    }
    let request = review["request"].take();
    let mut pod = request["object"].clone();
    review["response"] = match act(&mut pod, text(&request["operation"])) {
        Ok(()) => {
            let patch = json!(json_patch::diff(&request["object"], &pod)).to_string();
            json!({"uid": request["uid"], "allowed": true, "patchType": "JSONPatch", "patch": STANDARD.encode(patch)})
        }
        Err(message) => json!({"uid": request["uid"], "allowed": false, "status": {"message": message}}),
    };
    let response = Response::builder().header("content-type", "application/json");
    Ok(response.body(review.to_string().into()).expect("it is an answer"))
}
