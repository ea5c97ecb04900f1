//! A namespace where clients live, on a control plane, and what may be done to them there.

use std::sync::Arc;

use provisioner::context::name_based_uuid;
use provisioner::event::TERMINATION;
use serde_json::{Value, json};
use tests::cluster::webhook::Webhook;
use tests::cluster::{Cluster, FOO, Namespace, ROUTED};
use tests::events::{Delivery, binary};

use crate::knative::{Broker, Sink};

/// What runs a client that ends, in place of one that is started again.
pub const TEMPLATE: (&str, &str) = ("client_pod_template", "base");

/// A namespace where clients live.
pub struct Life {
    /// Itself.
    pub namespace: Namespace,
    /// What hears of them.
    pub sink: Sink,
    _webhook: Webhook,
}

impl Life {
    /// One on the control plane, which is started by the first that needs it.
    pub async fn start(cluster: Arc<Cluster>) -> Self {
        cluster.start_control_plane().await;
        let namespace = Namespace::create(cluster, "life", &[ROUTED]).await;
        let _webhook = FOO.serve(&namespace).await;
        Self { namespace, sink: Sink::start().await, _webhook }
    }

    /// The broker in front of the provisioner with these variables.
    pub async fn broker(&self, variables: &[(&str, &str)]) -> Broker {
        let sink = self.sink.variables();
        let sink = sink.each_ref().map(|(name, value)| (*name, value.as_str()));
        let provisioner = Arc::new(self.namespace.provisioner(&[&sink, variables].concat()));
        let deliver = move |request| {
            let provisioner = provisioner.clone();
            Box::pin(async move { Some(provisioner.deliver(request).await) }) as _
        };
        Broker::start(&self.namespace, Box::new(deliver)).await
    }

    /// The PodTemplate of clients that aren't started again, and stay on a node with this taint.
    pub async fn add_template(&self, taint: Option<&str>) {
        let mut spec = json!({"restartPolicy": "Never", "containers": [{"name": "client", "image": "crawler:1"}]});
        if let Some(taint) = taint {
            spec["nodeSelector"] = json!({taint: "true"});
            spec["tolerations"] = json!([{"key": taint, "operator": "Exists"}]);
        }
        let template = json!({"metadata": {"name": TEMPLATE.1}, "template": {"spec": spec}});
        self.namespace.admin().create(&self.namespace.path("podtemplates"), &template).await;
    }

    /// The client's Pod.
    pub async fn pod(&self, id: &str) -> Value {
        self.namespace.admin().get(&self.path(id)).await.body
    }

    fn path(&self, id: &str) -> String {
        self.namespace.path(&format!("pods/{}", pod_name(id)))
    }

    /// Has the client's command end with this code.
    pub async fn exit(&self, id: &str, code: &str) {
        let annotation = json!({"metadata": {"annotations": {"e2e.podgateway.io/exit": code}}});
        self.namespace.admin().patch(&self.path(id), &annotation).await.object();
    }

    /// Asks for the client's end through the API server's eviction.
    pub async fn evict(&self, id: &str) {
        let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod_name(id)}});
        self.namespace.admin().create(&format!("{}/eviction", self.path(id)), &eviction).await;
    }

    /// Deletes the client's Pod, as anybody may.
    pub async fn delete(&self, id: &str) {
        self.namespace.admin().call("DELETE", &self.path(id), None).await.object();
    }
}

/// The name of the Pod of a pending event of `tests::pending`.
pub fn pod_name(id: &str) -> String {
    name_based_uuid(&["/test", id]).to_string()
}

/// The event that asks for the end of a client.
pub fn termination(id: &str) -> Delivery {
    let data = json!({"pending_event": {"source": "/test", "id": id}});
    binary(&format!("end-{id}"), TERMINATION, &data.to_string())
}
