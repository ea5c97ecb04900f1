//! A namespace where clients live, on a control plane, and what may be done to them there.

use std::sync::Arc;

use provisioner::context::name_based_uuid;
use provisioner::event::TERMINATION;
use serde_json::{Value, json};
use tests::events::{Delivery, binary};
use tokio::sync::OnceCell;

use crate::cluster::Cluster;
use crate::cluster::control_plane::ControlPlane;
use crate::gateway::FOO;
use crate::harness::Test;
use crate::knative::{Broker, Sink};
use crate::namespace::{Namespace, ROUTED, with_namespace};
use crate::webhook::Webhook;

/// The control plane of these tests: it is started by the first that runs, and ended with the last.
pub type Plane = Arc<OnceCell<ControlPlane>>;

/// What runs a client that ends, in place of one that is started again.
pub const TEMPLATE: (&str, &str) = ("client_pod_template", "base");
/// A test with the control plane, in a namespace of its own.
pub fn test<F: Future<Output = ()> + 'static>(
    plane: &Plane,
    name: &str,
    run: impl FnOnce(Life) -> F + Send + 'static,
) -> Test {
    let plane = plane.clone();
    let test = Test::new(name, move |cluster: Arc<Cluster>| async move {
        plane.get_or_init(|| ControlPlane::start(&cluster)).await;
        with_namespace(cluster, "life", &[ROUTED], |namespace| async move {
            let webhook = FOO.serve(&namespace).await;
            run(Life { namespace, sink: Sink::start().await, _webhook: webhook }).await;
        })
        .await;
    });
    test.ignored_if(ControlPlane::missing().is_some())
}

/// A namespace where clients live.
pub struct Life {
    /// Itself.
    pub namespace: Arc<Namespace>,
    /// What hears of them.
    pub sink: Arc<Sink>,
    _webhook: Webhook,
}

impl Life {
    /// The broker in front of the provisioner with these variables.
    pub fn broker(&self, variables: &[(&str, &str)]) -> Broker {
        let sink = self.sink.variables();
        let mut all: Vec<_> = sink.iter().map(|(name, value)| (*name, value.as_str())).collect();
        all.extend(variables);
        let provisioner = Arc::new(self.namespace.provisioner(&all));
        let deliver = move |request| {
            let provisioner = provisioner.clone();
            Box::pin(async move { Some(provisioner.deliver(request).await) }) as _
        };
        Broker::start(&self.namespace, Arc::new(deliver))
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
        self.namespace.admin().get(&self.path(id, "")).await.body
    }

    fn path(&self, id: &str, subresource: &str) -> String {
        self.namespace.path(&format!("pods/{}{subresource}", pod_name(id)))
    }

    /// Has the client's command end with this code.
    pub async fn exit(&self, id: &str, code: &str) {
        let annotation = json!({"metadata": {"annotations": {"e2e.podgateway.io/exit": code}}});
        self.namespace.admin().call("PATCH", &self.path(id, ""), Some(&annotation)).await.object();
    }

    /// Asks for the client's end through the API server's eviction.
    pub async fn evict(&self, id: &str) {
        let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod_name(id)}});
        self.namespace.admin().create(&self.path(id, "/eviction"), &eviction).await;
    }

    /// Deletes the client's Pod, as anybody may.
    pub async fn delete(&self, id: &str) {
        self.namespace.admin().call("DELETE", &self.path(id, ""), None).await.object();
    }
}

/// The name of the Pod of a pending event of [`pending`].
pub fn pod_name(id: &str) -> String {
    name_based_uuid(&["/test", id]).to_string()
}

/// The event that asks for the end of a client.
pub fn termination(id: &str) -> Delivery {
    let data = json!({"pending_event": {"source": "/test", "id": id}});
    binary(&format!("end-{id}"), TERMINATION, &data.to_string())
}
