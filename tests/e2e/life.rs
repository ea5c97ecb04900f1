//! A client's life on a real control plane: the scheduler, the controllers, the API server's eviction, and a kubelet that
//! is played by kwok. What happens to a client reaches the provisioner as it does by Knative.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use libtest_mimic::Trial;
use provisioner::context::name_based_uuid;
use provisioner::event::TERMINATION;
use provisioner::pod::each;
use provisioner::reply::{DONE, ENDED, RUNNING, TERMINATED};
use provisioner::testing::wanted;
use serde_json::{Value, json};
use tests::cluster::client::until;
use tests::cluster::control_plane::add_node;
use tests::cluster::webhook::Webhook;
use tests::cluster::{Cluster, FOO, Namespace, ROUTED};
use tests::events::{Delivery, binary, pending};
use tests::fault::serving;
use tests::schema::assert_none_noted;

use crate::knative::{Knative, Sink};

/// The taint of the node that goes.
const DOOMED: &str = "doomed";

/// What ends a client.
#[derive(Clone, Copy, PartialEq)]
enum End {
    /// Its command ends with this code, while the gateway's sidecar runs on.
    Exit(&'static str),
    Deadline,
    Eviction,
    NodeGoes,
    Deletion,
    Event,
}

/// What a client ends by, and the reason and the exit code that are told.
const CASES: &[(&str, End, &str, Option<i32>)] = &[
    ("a client whose command ends well has ended, though its sidecar runs on", End::Exit("0"), "Completed", Some(0)),
    ("a client whose command fails has ended with its exit code", End::Exit("3"), "Error", Some(3)),
    ("a client that was killed for its memory has ended so", End::Exit("137"), "OOMKilled", Some(137)),
    ("a client that outlives its client_ttl has ended by its deadline", End::Deadline, "DeadlineExceeded", Some(137)),
    ("a client that is evicted by the API server has ended so", End::Eviction, "Evicted", Some(137)),
    ("a client whose node goes has ended with it", End::NodeGoes, "NodeLost", None),
    ("a client that somebody deletes has ended so", End::Deletion, "Deleted", Some(137)),
    ("a client that an event ends has ended, and whoever asked is answered", End::Event, "Terminated", Some(137)),
];

const FORGOTTEN: &str = "a client that the broker forgot gets no node while it is gated and is settled by the sweep";

/// A test of each case.
pub fn tests(cluster: &Arc<Cluster>) -> Vec<Trial> {
    let case = |&(name, end, reason, exit_code): &_| {
        crate::test(cluster, "life", name, move |cluster| ends(cluster, end, reason, exit_code))
    };
    let forgotten = crate::test(cluster, "life", FORGOTTEN, is_settled_by_the_sweep);
    CASES.iter().map(case).chain([forgotten]).collect()
}

async fn ends(cluster: Arc<Cluster>, end: End, reason: &str, exit_code: Option<i32>) {
    let life = Life::start(cluster).await;
    let node = life.namespace.name.as_str();
    let taint = (end == End::NodeGoes).then_some(DOOMED);
    if taint.is_some() {
        add_node(&life.namespace.cluster, node, taint).await;
    }
    life.add_template(taint).await;
    // Without a template a client is made of the variables alone.
    let variable = if end == End::Deadline { ("client_ttl", "2s") } else { TEMPLATE };
    let broker = life.broker(&[variable]).await;
    broker.publish([pending("1", "foo")]).await;
    life.sink.hears(DONE, "1").await;
    let running = life.sink.hears(RUNNING, "1").await;
    assert!(["pod_ip", "node_name", "started_at"].iter().all(|member| running[member].is_string()), "{running}");
    match end {
        End::Exit(code) => life.exit("1", code).await,
        End::Eviction => life.evict("1").await,
        End::NodeGoes => drop(life.namespace.admin().delete(&format!("/api/v1/nodes/{node}")).await),
        End::Deletion => life.delete("1").await,
        End::Event => broker.publish([termination("1")]).await,
        End::Deadline => (),
    }
    let ended = life.sink.hears(ENDED, "1").await;
    assert_eq!((&ended["reason"], &ended["pod_uid"]), (&json!(reason), &running["pod_uid"]), "{ended}");
    assert_eq!(ended["exit_code"], json!(exit_code), "{ended}");
    is_told_once(&life, &broker, end).await;
}

/// What a sweep finds was told already.
async fn is_told_once(life: &Life, broker: &Knative, end: End) {
    let leaves_its_pod = matches!(end, End::Exit(_) | End::Deadline);
    until("the report is noted, or the Pod is gone", || async {
        match leaves_its_pod {
            true => life.pod("1").await["metadata"]["annotations"]["podgateway.io/reported"] == "ended",
            false => life.namespace.pods().await.is_empty(),
        }
    })
    .await;
    broker.sweep().await;
    let answer = usize::from(end == End::Event);
    assert_eq!([DONE, RUNNING, ENDED, TERMINATED].map(|ty| life.sink.count(ty, "1")), [1, 1, 1, answer]);
    assert_eq!(life.sink.total(), 3 + answer);
    assert_none_noted();
}

async fn is_settled_by_the_sweep(cluster: Arc<Cluster>) {
    let life = Life::start(cluster).await;
    // As a delivery leaves it that was cut after its first call.
    let gated = wanted(&[("client_namespace", &life.namespace.name)]);
    life.namespace.admin().create(&life.namespace.path("pods"), &gated).await;
    until("the scheduler has seen it", || async {
        let pod = life.pod("1").await;
        each(&pod["status"]["conditions"]).any(|condition| condition["reason"] == "SchedulingGated")
    })
    .await;
    let broker = life.broker(&[]).await;
    broker.publish([pending("2", "foo")]).await;
    life.sink.hears(RUNNING, "2").await;
    broker.sweep().await;
    assert!(life.pod("1").await["spec"]["nodeName"].is_null());
    assert_eq!(life.sink.total(), 2, "it is too young");
    life.broker(&[("client_patience", "0s")]).await.sweep().await;
    assert_eq!(life.sink.hears(DONE, "1").await["pod_name"], gated["metadata"]["name"]);
    assert_eq!(life.sink.hears(RUNNING, "1").await["node_name"], "node-1");
}

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
        Self { namespace, sink: Sink::start(), _webhook }
    }

    /// The broker in front of the provisioner with these variables.
    pub async fn broker(&self, variables: &[(&str, &str)]) -> Knative {
        let sink = self.sink.variables();
        let sink = sink.each_ref().map(|(name, value)| (*name, value.as_str()));
        let provisioner = Arc::new(self.namespace.provisioner(&[&sink, variables].concat()));
        let answer = move |request: Request<Bytes>| {
            let provisioner = provisioner.clone();
            async move {
                let reply = provisioner.deliver(request.map(Full::new)).await;
                let mut response = Response::new(reply.body);
                (*response.status_mut(), *response.headers_mut()) = (reply.status, reply.headers);
                Ok(response)
            }
        };
        Knative::start(&self.namespace, serving(answer)).await
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
