//! As many clients as this machine can do in its time, up to a thousand, each through its whole life, while the
//! provisioner is killed now and then; and the ledger of it all.
//!
//! The provisioner is the command with `--kubeconfig`, as a process of its own: nothing gets a chance to tidy up. The
//! points at which it is killed are random; their seed is printed, and `E2E_SEED` sets it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use provisioner::reply::{DONE, ENDED, FAILED, RUNNING, TERMINATED};
use tests::Reply;
use tests::cluster::Cluster;
use tests::cluster::client::until_within;
use tests::command::Running;
use tests::events::{Delivery, pending};
use tokio::sync::watch;

use crate::knative::{Broker, PATIENCE};
use crate::life::{Life, TEMPLATE, termination};

/// How many clients there are at most.
const CLIENTS: usize = 1_000;
/// How long new ones begin.
const TIME: Duration = Duration::from_secs(150);
/// How many live at once.
const AT_ONCE: usize = 48;
/// How often each pending event is delivered at once.
const COPIES: usize = 3;
/// Between how many events the provisioner is killed, at most.
const KILLS: usize = 300;
const SWEEP: Duration = Duration::from_secs(5);

pub async fn every_event_has_one_answer_and_every_client_one_end_while_the_provisioner_is_killed_again_and_again(
    cluster: Arc<Cluster>,
) {
    let life = Life::start(cluster).await;
    life.add_template(None).await;
    let address = watch::Sender::new(String::new());
    let broker = broker(&life, &address).await;
    let begin = Instant::now();
    let lives = async {
        let clients = (0..CLIENTS).take_while(|_| begin.elapsed() < TIME).map(|number| live(&life, &broker, number));
        let clients = futures::stream::iter(clients).buffer_unordered(AT_ONCE).count().await;
        balance(&life, &broker, clients).await;
        clients
    };
    let mut kills = 0;
    let clients = tokio::select! {
        clients = lives => clients,
        never = run_and_kill(&life, &address, &mut kills) => match never {},
        never = sweep(&broker) => match never {},
    };
    assert!(kills > 0);
    println!("{clients} clients in {:.0?}, the provisioner killed {kills} times", begin.elapsed());
}

fn start(life: &Life) -> Running {
    let sink = life.sink.variables().map(|(name, value)| format!("--variable={name}={value}"));
    let kubeconfig = format!("--kubeconfig={}", life.namespace.cluster.file("kubeconfig").display());
    let namespace = format!("--client-namespace={}", life.namespace.name);
    let own = [TEMPLATE, ("client_retention", "0s"), ("client_patience", "2s")];
    let own = own.map(|(name, value)| format!("--variable={name}={value}"));
    let flags: Vec<&str> = [&kubeconfig, &namespace].into_iter().chain(&sink).chain(&own).map(String::as_str).collect();
    Running::start(&flags)
}

/// A broker in front of the command, wherever that listens.
async fn broker(life: &Life, address: &watch::Sender<String>) -> Broker {
    let (http, address) = (Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>(), address.subscribe());
    let deliver = move |mut request: Delivery| {
        let (http, address) = (http.clone(), address.clone());
        Box::pin(async move {
            // Before the first start it is none.
            *request.uri_mut() = address.borrow().parse().ok()?;
            // The command knows its own names alone.
            request.headers_mut().remove("host");
            Reply::try_read(http.request(request).await.ok()?).await.ok()
        }) as _
    };
    Broker::start(&life.namespace, Box::new(deliver)).await
}

/// Starts the command, and kills it where it stands each time that a random number of further events was told.
async fn run_and_kill(life: &Life, address: &watch::Sender<String>, kills: &mut usize) -> Infallible {
    let given = std::env::var("E2E_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    println!("killing at points of E2E_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    loop {
        let command = start(life);
        address.send_replace(command.address("provisioner"));
        life.sink.hears_in_all(life.sink.total() + 1 + random.usize(..KILLS)).await;
        drop(command);
        *kills += 1;
    }
}

async fn sweep(broker: &Broker) -> Infallible {
    loop {
        tokio::time::sleep(SWEEP).await;
        broker.ping().await;
    }
}

/// One life, from the pending event to what was told last.
async fn live(life: &Life, broker: &Broker, number: usize) {
    let (id, kind) = (number.to_string(), number % 6);
    let copies = (0..COPIES).map(|_| broker.publish(pending(&id, if kind == 5 { "nope" } else { "foo" })));
    futures::future::join_all(copies).await;
    if kind == 5 {
        return assert_eq!(life.sink.hears(FAILED, &id).await["reason"], "GatewayNotInjected");
    }
    life.sink.hears(RUNNING, &id).await;
    match kind {
        0 => life.exit(&id, "0").await,
        1 => life.exit(&id, "1").await,
        2 => life.evict(&id).await,
        3 => life.delete(&id).await,
        _ => broker.publish(termination(&id)).await,
    }
    let reason = ["Completed", "Error", "Evicted", "Deleted", "Terminated"][kind];
    let ended = life.sink.hears(ENDED, &id).await;
    assert_eq!(ended["reason"], reason, "{ended}");
}

/// Every event has one answer, every client that was made has run and has ended, and nothing is left of any.
async fn balance(life: &Life, broker: &Broker, clients: usize) {
    until_within(PATIENCE, "nothing is left", || async {
        broker.ping().await;
        life.namespace.pods().await.is_empty()
    })
    .await;
    let told = (0..clients).map(|number| {
        let counts = [DONE, FAILED, RUNNING, ENDED].map(|ty| life.sink.count(ty, &number.to_string()));
        assert_eq!(counts, if number % 6 == 5 { [0, 1, 0, 0] } else { [1, 0, 1, 1] }, "event {number}");
        counts.iter().sum::<usize>() + life.sink.count(TERMINATED, &number.to_string())
    });
    assert_eq!(told.sum::<usize>(), life.sink.total(), "nothing is told of what nobody asked for");
}
