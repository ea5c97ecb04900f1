//! A client's life on a real control plane: the scheduler, the controllers, the API server's eviction, and a kubelet that
//! is played by kwok. What happens to a client reaches the provisioner as it does by Knative.

mod world;

use std::sync::Arc;

use libtest_mimic::Trial;
use provisioner::pod::each;
use provisioner::reply::{DONE, ENDED, FAILED, RUNNING, TERMINATED};
use provisioner::testing::wanted;
use serde_json::json;
use tests::cluster::Cluster;
use tests::cluster::client::{until, until_within};
use tests::cluster::control_plane::add_node;
use tests::events::pending;

use crate::knative::{Broker, PATIENCE};

pub use world::{Life, TEMPLATE, termination};

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

/// A test of each case.
pub fn tests(cluster: &Arc<Cluster>) -> Vec<Trial> {
    let case = |&(name, end, reason, exit_code): &_| {
        crate::test(cluster, "life", name, move |cluster| ends(cluster, end, reason, exit_code))
    };
    CASES.iter().map(case).collect()
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
    broker.publish(pending("1", "foo")).await;
    life.sink.hears(DONE, "1").await;
    let running = life.sink.hears(RUNNING, "1").await;
    assert!(["pod_ip", "node_name", "started_at"].iter().all(|member| running[member].is_string()), "{running}");
    match end {
        End::Exit(code) => life.exit("1", code).await,
        End::Eviction => life.evict("1").await,
        End::NodeGoes => drop(life.namespace.admin().delete(&format!("/api/v1/nodes/{node}")).await),
        End::Deletion => life.delete("1").await,
        End::Event => broker.publish(termination("1")).await,
        End::Deadline => (),
    }
    let ended = life.sink.hears(ENDED, "1").await;
    assert_eq!((&ended["reason"], &ended["pod_uid"]), (&json!(reason), &running["pod_uid"]), "{ended}");
    assert_eq!(ended["exit_code"], json!(exit_code), "{ended}");
    is_told_once(&life, &broker, end).await;
}

/// What a sweep finds was told already.
async fn is_told_once(life: &Life, broker: &Broker, end: End) {
    let leaves_its_pod = matches!(end, End::Exit(_) | End::Deadline);
    until_within(PATIENCE, "the report is noted, or the Pod is gone", || async {
        match leaves_its_pod {
            true => life.pod("1").await["metadata"]["annotations"]["podgateway.io/reported"] == "ended",
            false => life.namespace.pods().await.is_empty(),
        }
    })
    .await;
    broker.ping().await;
    let answer = usize::from(end == End::Event);
    assert_eq!([DONE, RUNNING, ENDED, TERMINATED].map(|ty| life.sink.count(ty, "1")), [1, 1, 1, answer]);
    assert_eq!(life.sink.total(), 3 + answer);
}

pub async fn a_client_that_the_broker_forgot_gets_no_node_while_it_is_gated_and_is_settled_by_the_sweep(
    cluster: Arc<Cluster>,
) {
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
    broker.publish(pending("2", "foo")).await;
    life.sink.hears(RUNNING, "2").await;
    broker.ping().await;
    assert!(life.pod("1").await["spec"]["nodeName"].is_null());
    assert_eq!(life.sink.total(), 2, "it is too young");
    life.broker(&[("client_patience", "0s")]).await.ping().await;
    assert_eq!(life.sink.hears(DONE, "1").await["pod_name"], gated["metadata"]["name"]);
    assert_eq!(life.sink.hears(RUNNING, "1").await["node_name"], "node-1");
}

pub async fn the_sweep_takes_away_who_has_ended_which_frees_the_quota(cluster: Arc<Cluster>) {
    let life = Life::start(cluster).await;
    life.add_template(None).await;
    let (admin, path) = (life.namespace.admin(), life.namespace.path("resourcequotas"));
    let quota = json!({"metadata": {"name": "clients"}, "spec": {"hard": {"pods": "1"}}});
    admin.create(&path, &quota).await;
    let is_used = async |used: &str| {
        let path = format!("{path}/clients");
        until("the quota is counted", || async { admin.get(&path).await.body["status"]["used"]["pods"] == used }).await;
    };
    is_used("0").await;
    let broker = life.broker(&[TEMPLATE, ("client_retention", "0s"), ("client_patience", "0s")]).await;
    broker.publish(pending("1", "foo")).await;
    life.sink.hears(RUNNING, "1").await;
    is_used("1").await;
    life.exit("1", "0").await;
    life.sink.hears(ENDED, "1").await;
    // Its sidecar keeps its place.
    broker.publish(pending("2", "foo")).await;
    assert_eq!(life.sink.hears(FAILED, "2").await["reason"], "QuotaExceeded");
    broker.ping().await;
    is_used("0").await;
    broker.publish(pending("3", "foo")).await;
    life.sink.hears(RUNNING, "3").await;
    assert_eq!(life.sink.count(ENDED, "1"), 1);
}
