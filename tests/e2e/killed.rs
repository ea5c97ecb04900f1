//! The provisioner's process, killed again and again while events are delivered to it.
//!
//! It is the command with `--kubeconfig`, as a process of its own: nothing gets a chance to tidy up. The points at
//! which it is killed are random; their seed is printed, and `E2E_SEED` sets it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use fastrand::Rng;
use futures::StreamExt;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tests::command::program;
use tests::events::Delivery;
use tests::pods::{is_gated, is_routed};
use tests::provisioner::repository;
use tests::{Reply, pending};
use tokio::sync::watch;

use crate::client::until;
use crate::cluster::Cluster;
use crate::exactly_once::{DELIVERIES, assert_exactly_once, event_of, gateway_of, gateways};
use crate::harness::Test;
use crate::namespace::{Namespace, ROUTED, with_namespace};
use tests::process::Process;

const EVENTS: usize = 200;
const AT_ONCE: usize = 32;
const KILLS: usize = 5;

/// The tests.
pub fn tests() -> Vec<Test> {
    crate::tests![a_provisioner_that_is_killed_again_and_again_makes_one_pod_per_event]
}

/// The command, running; it is killed and started again at will.
pub struct Command {
    process: Process,
    address: watch::Sender<String>,
    flags: Vec<String>,
    log: PathBuf,
}

impl Command {
    /// Starts it for the clients of a namespace, with these variables set.
    pub async fn start(namespace: &Namespace, variables: &[(&str, &str)]) -> Self {
        let mut flags = vec![
            format!("--from={}", repository().join("spin.toml").display()),
            format!("--kubeconfig={}", namespace.cluster.kubeconfig().display()),
            format!("--client-namespace={}", namespace.name),
            "--listen=127.0.0.1:0".to_owned(),
            "--broker-listen=127.0.0.1:0".to_owned(),
        ];
        flags.extend(variables.iter().map(|(name, value)| format!("--variable={name}={value}")));
        let log = namespace.cluster.directory().join(format!("{}-command.log", namespace.name));
        let process = Process::start(&program(), &flags, log.clone());
        let mut command = Self { process, address: watch::Sender::new(String::new()), flags, log };
        command.wait_for_address().await;
        command
    }

    /// Where it listens, whenever it was started last.
    pub fn address(&self) -> watch::Receiver<String> {
        self.address.subscribe()
    }

    /// Kills it where it stands, and starts it again.
    pub async fn kill_and_start(&mut self) {
        self.process.kill();
        // What it said of its address before isn't so any more.
        std::fs::remove_file(&self.log).expect("it has a log");
        self.process = Process::start(&program(), &self.flags, self.log.clone());
        self.wait_for_address().await;
    }

    async fn wait_for_address(&mut self) {
        let said = || {
            let output = self.process.output();
            let line = output.lines().find(|line| line.starts_with("provisioner "))?.to_owned();
            line.split_whitespace().nth(1).map(str::to_owned)
        };
        until("the command says where it listens", || async { said().is_some() }).await;
        self.address.send_replace(said().unwrap_or_default());
    }
}

/// Connections that are kept.
pub type Http = Client<HttpConnector, Full<Bytes>>;

/// Delivers once. Without an answer, the command was killed: it will listen elsewhere, or does so already.
pub async fn attempt(mut request: Delivery, http: &Http, address: &mut watch::Receiver<String>) -> Option<Reply> {
    let base = address.borrow_and_update().clone();
    *request.uri_mut() = format!("{base}/").parse().expect("it is a URI");
    // The command knows its own names alone.
    request.headers_mut().remove("host");
    let answer = match http.request(request).await {
        Ok(response) => Reply::try_read(response).await.ok(),
        Err(_) => None,
    };
    if answer.is_none() {
        _ = tokio::time::timeout(std::time::Duration::from_secs(1), address.changed()).await;
    }
    answer
}

/// Delivers until there is an answer with an event, as a broker does; counts what was in vain.
async fn deliver(event: usize, http: Http, mut address: watch::Receiver<String>, in_vain: Arc<AtomicUsize>) -> Reply {
    loop {
        let request = pending(&event.to_string(), gateway_of(event));
        match attempt(request, &http, &mut address).await {
            Some(reply) if reply.status == 200 => return reply,
            Some(reply) => assert_eq!(reply.status, 503, "{reply:?}"),
            None => (),
        }
        in_vain.fetch_add(1, Ordering::Relaxed);
    }
}

/// Random numbers of a seed that is printed.
pub fn random() -> Rng {
    let given = std::env::var("E2E_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    println!("killing at points of E2E_SEED={seed}");
    Rng::with_seed(seed)
}

/// Kills the command each time that a random number of further answers has come.
async fn kill_at_random(command: &mut Command, answered: &watch::Receiver<usize>) {
    let mut random = random();
    let share = EVENTS * DELIVERIES / (KILLS + 1);
    let mut point = 0;
    for _ in 0..KILLS {
        point += 1 + random.usize(..share);
        if answered.clone().wait_for(|answered| *answered >= point).await.is_err() {
            return;
        }
        command.kill_and_start().await;
    }
}

async fn a_provisioner_that_is_killed_again_and_again_makes_one_pod_per_event(cluster: Arc<Cluster>) {
    with_namespace(cluster, "killed", &[ROUTED], |namespace| async move {
        let _gateways = gateways(&namespace).await;
        let mut command = Command::start(&namespace, &[]).await;
        let http: Http = Client::builder(TokioExecutor::new()).build_http();
        let (address, in_vain) = (command.address(), Arc::new(AtomicUsize::new(0)));
        let (answered, so_far) = watch::channel(0);
        let deliveries = (0..EVENTS * DELIVERIES).map(|delivery| {
            let (event, answered) = (event_of(delivery), &answered);
            let delivered = deliver(event, http.clone(), address.clone(), in_vain.clone());
            async move {
                let reply = delivered.await;
                answered.send_modify(|answered| *answered += 1);
                (event, reply)
            }
        });
        let all = futures::stream::iter(deliveries).buffer_unordered(AT_ONCE).collect::<Vec<_>>();
        let (replies, ()) = tokio::join!(all, kill_at_random(&mut command, &so_far));
        let pods = namespace.pods().await;
        assert!(pods.iter().all(|pod| !is_gated(pod) && is_routed(pod)), "{pods:?}");
        println!("killed {KILLS} times, {} deliveries in vain", in_vain.load(Ordering::Relaxed));
        assert!(in_vain.load(Ordering::Relaxed) > 0, "it was never killed in the middle of anything");
        assert_exactly_once(&namespace, &replies).await;
    })
    .await;
}
