//! A client's life on a real control plane: the scheduler, the controllers, the API server's eviction, and a kubelet that
//! is played by kwok. What happens to a client reaches the provisioner as it does by Knative.

mod world;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::StreamExt;
use provisioner::reply::{DONE, ENDED, FAILED, RUNNING, TERMINATED};
use provisioner::testing::wanted;
use serde_json::{Value, json};
use tests::events::pending;

use crate::client::{until, until_within};
use crate::cluster::control_plane::add_node;
use crate::harness::Test;
use crate::knative::{Broker, PATIENCE};

pub use world::{Life, Plane, TEMPLATE, pod_name, termination, test};

/// How many clients are timed.
const TIMED: usize = 9;
/// The taint of the node that goes.
const DOOMED: &str = "doomed";

/// What ends a client.
struct Case {
    name: &'static str,
    variables: &'static [(&'static str, &'static str)],
    end: End,
    reason: &'static str,
    exit_code: Option<i32>,
}

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

const PLAIN: Case = Case { name: "", variables: &[], end: End::Deletion, reason: "Deleted", exit_code: Some(137) };

#[rustfmt::skip]
const CASES: &[Case] = &[
    Case {
        name: "a client whose command ends well has ended, though its sidecar runs on", variables: &[TEMPLATE],
        end: End::Exit("0"), reason: "Completed", exit_code: Some(0),
    },
    Case {
        name: "a client whose command fails has ended with its exit code", variables: &[TEMPLATE],
        end: End::Exit("3"), reason: "Error", exit_code: Some(3),
    },
    Case {
        name: "a client that was killed for its memory has ended so", variables: &[TEMPLATE],
        end: End::Exit("137"), reason: "OOMKilled", exit_code: Some(137),
    },
    Case {
        name: "a client that outlives its client_ttl has ended by its deadline", variables: &[("client_ttl", "2s")],
        end: End::Deadline, reason: "DeadlineExceeded", ..PLAIN
    },
    Case { name: "a client that is evicted by the API server has ended so", end: End::Eviction, reason: "Evicted", ..PLAIN },
    Case {
        name: "a client whose node goes has ended with it", variables: &[TEMPLATE],
        end: End::NodeGoes, reason: "NodeLost", exit_code: None,
    },
    Case { name: "a client that somebody deletes has ended so", ..PLAIN },
    Case {
        name: "a client that an event ends has ended by it, and whoever asked is answered",
        end: End::Event, reason: "Terminated", ..PLAIN
    },
];

/// The tests.
pub fn tests(plane: &Plane) -> Vec<Test> {
    let case = |case: &'static Case| test(plane, case.name, move |life| async move { life.ends(case).await });
    let others = [
        test(plane, "a gated client never gets a node, and one that is released does", Life::holds_back_the_gated),
        test(plane, "a client that the broker forgot is settled by the sweep", Life::settles_the_forgotten),
        test(plane, "the sweep takes away who has ended, which frees the quota", Life::frees_the_quota),
        test(plane, "a client is told to run within a second", Life::tells_at_once),
    ];
    CASES.iter().map(case).chain(others).collect()
}

impl Life {
    async fn ends(self, case: &Case) {
        let node = self.namespace.name.as_str();
        let taint = (case.end == End::NodeGoes).then_some(DOOMED);
        if taint.is_some() {
            add_node(&self.namespace.cluster, node, taint).await;
        }
        self.add_template(taint).await;
        let broker = self.broker(case.variables);
        broker.publish(pending("1", "foo")).await;
        self.sink.hears(DONE, "1").await;
        let running = self.sink.hears(RUNNING, "1").await;
        assert!(["pod_ip", "node_name", "started_at"].iter().all(|member| running[member].is_string()), "{running}");
        match case.end {
            End::Exit(code) => self.exit("1", code).await,
            End::Eviction => self.evict("1").await,
            End::NodeGoes => _ = self.namespace.admin().delete(&format!("/api/v1/nodes/{node}")).await.object(),
            End::Deletion => self.delete("1").await,
            End::Event => broker.publish(termination("1")).await,
            End::Deadline => (),
        }
        let ended = self.sink.hears(ENDED, "1").await;
        assert_eq!((&ended["reason"], &ended["pod_uid"]), (&json!(case.reason), &running["pod_uid"]), "{ended}");
        assert_eq!(ended["exit_code"], json!(case.exit_code), "{ended}");
        self.is_told_once(&broker, case.end).await;
    }

    /// What a sweep finds was told already.
    async fn is_told_once(&self, broker: &Broker, end: End) {
        if matches!(end, End::Exit(_) | End::Deadline) {
            let is_noted =
                || async { self.pod("1").await["metadata"]["annotations"]["podgateway.io/reported"] == "ended" };
            until("the report is noted", is_noted).await;
        } else {
            until_within(PATIENCE, "the Pod is gone", || async { self.namespace.pods().await.is_empty() }).await;
        }
        broker.ping().await;
        let answer = usize::from(end == End::Event);
        assert_eq!([DONE, RUNNING, ENDED, TERMINATED].map(|ty| self.sink.count(ty, "1")), [1, 1, 1, answer]);
        assert_eq!(self.sink.total(), 3 + answer);
    }

    /// As a delivery leaves it that was cut after its first call.
    async fn add_gated(&self, id: &str) {
        let pod = wanted(&[("client_namespace", &self.namespace.name)]);
        assert_eq!(pod["metadata"]["name"], pod_name(id), "the maker of Pods has its own event");
        self.namespace.admin().create(&self.namespace.path("pods"), &pod).await;
    }

    async fn holds_back_the_gated(self) {
        self.add_gated("1").await;
        let is_seen = || async {
            let conditions = self.pod("1").await["status"]["conditions"].as_array().cloned().unwrap_or_default();
            conditions.iter().any(|condition| condition["reason"] == "SchedulingGated")
        };
        until("the scheduler has seen it", is_seen).await;
        let broker = self.broker(&[]);
        broker.publish(pending("2", "foo")).await;
        self.sink.hears(RUNNING, "2").await;
        assert!(self.pod("1").await["spec"]["nodeName"].is_null());
        assert_eq!(self.sink.count(RUNNING, "1"), 0);
        broker.publish(pending("1", "foo")).await;
        assert_eq!(self.sink.hears(RUNNING, "1").await["node_name"], "node-1");
    }

    async fn settles_the_forgotten(self) {
        self.add_gated("1").await;
        self.broker(&[]).ping().await;
        assert_eq!(self.sink.total(), 0, "it is too young");
        let broker = self.broker(&[("client_patience", "0s")]);
        broker.ping().await;
        assert_eq!(self.sink.hears(DONE, "1").await["pod_name"], pod_name("1"));
        self.sink.hears(RUNNING, "1").await;
    }

    async fn frees_the_quota(self) {
        self.add_template(None).await;
        let quota = json!({"metadata": {"name": "clients"}, "spec": {"hard": {"pods": "1"}}});
        self.namespace.admin().create(&self.namespace.path("resourcequotas"), &quota).await;
        self.waits_for_quota("0").await;
        let broker = self.broker(&[TEMPLATE, ("client_retention", "0s"), ("client_patience", "0s")]);
        broker.publish(pending("1", "foo")).await;
        self.sink.hears(RUNNING, "1").await;
        self.waits_for_quota("1").await;
        self.exit("1", "0").await;
        self.sink.hears(ENDED, "1").await;
        // Its sidecar keeps its place.
        broker.publish(pending("2", "foo")).await;
        assert_eq!(self.sink.hears(FAILED, "2").await["reason"], "QuotaExceeded");
        broker.ping().await;
        self.waits_for_quota("0").await;
        broker.publish(pending("3", "foo")).await;
        self.sink.hears(RUNNING, "3").await;
        assert_eq!(self.sink.count(ENDED, "1"), 1);
    }

    async fn waits_for_quota(&self, used: &str) {
        let path = self.namespace.path("resourcequotas/clients");
        let is_used = || async { self.namespace.admin().get(&path).await.body["status"]["used"]["pods"] == used };
        until("the quota is counted", is_used).await;
    }

    /// From the moment in which anybody can see it. A machine that has other things to do may take longer now and then.
    async fn tells_at_once(self) {
        let broker = self.broker(&[]);
        let changes = self.namespace.admin().watch(&self.namespace.path("pods?watch=1")).await;
        let is_running = |change: &Value| std::future::ready(change["object"]["status"]["phase"] == "Running");
        // The first such change of each.
        let mut known = BTreeSet::new();
        let new = changes
            .filter(is_running)
            .filter(move |change| std::future::ready(known.insert(change["object"]["metadata"]["name"].to_string())));
        let (mut new, mut times) = (std::pin::pin!(new), Vec::new());
        for number in 0..TIMED {
            let id = number.to_string();
            broker.publish(pending(&id, "foo")).await;
            new.next().await.expect("the watch goes on");
            let begin = Instant::now();
            self.sink.hears(RUNNING, &id).await;
            times.push(begin.elapsed());
        }
        times.sort();
        println!("running was told after {:?} at the median, {:?} at the latest", times[TIMED / 2], times[TIMED - 1]);
        assert!(times[TIMED / 2] < Duration::from_secs(1), "{times:?}");
    }
}
