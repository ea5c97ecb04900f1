//! As many clients as this machine can do in its time, up to a thousand, each through its whole life, while the
//! provisioner is killed now and then; and the ledger of it all.
//!
//! The provisioner is the command with `--kubeconfig`, as a process of its own: nothing gets a chance to tidy up. The
//! points at which it is killed are random.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use provisioner::reply::{DONE, ENDED, FAILED, RUNNING, TERMINATED};
use tests::cluster::Cluster;
use tests::cluster::client::until;
use tests::command::Running;
use tests::events::pending;
use tests::fault::{serving, to_server};
use tests::schema::assert_none_noted;
use tokio::sync::watch;

use crate::knative::Knative;
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
    let listening = address.subscribe();
    // A call waits for the next start, as in Knative's activator, or the broker could give up between two.
    let provisioner = serving(move |request| {
        let mut listening = listening.clone();
        async move {
            let url = listening.wait_for(|url| !url.is_empty()).await.map_err(|end| end.to_string())?.clone();
            to_server(&url)(request).await
        }
    });
    let broker = Knative::start(&life.namespace, provisioner).await;
    let begin = Instant::now();
    let lives = async {
        let clients = (0..CLIENTS).take_while(|_| begin.elapsed() < TIME).map(|number| live(&life, &broker, number));
        let clients = futures::stream::iter(clients).buffer_unordered(AT_ONCE).count().await;
        balance(&life, clients).await;
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
    // Longer than the broker goes on with an event that each kill cuts, as it has to be.
    let own = [TEMPLATE, ("client_retention", "0s"), ("client_patience", "30s")];
    let own = own.map(|(name, value)| format!("--variable={name}={value}"));
    let flags: Vec<&str> = [&kubeconfig, &namespace].into_iter().chain(&sink).chain(&own).map(String::as_str).collect();
    Running::start(&flags)
}

/// Starts the command, and kills it where it stands each time that a random number of further events was told.
async fn run_and_kill(life: &Life, address: &watch::Sender<String>, kills: &mut usize) -> Infallible {
    loop {
        let command = start(life);
        address.send_replace(command.address("provisioner"));
        life.sink.hears_in_all(life.sink.total() + 1 + fastrand::usize(..KILLS)).await;
        drop(command);
        address.send_replace(String::new());
        *kills += 1;
    }
}

async fn sweep(broker: &Knative) -> Infallible {
    loop {
        tokio::time::sleep(SWEEP).await;
        broker.ping();
    }
}

/// One life, from the pending event to what was told last.
async fn live(life: &Life, broker: &Knative, number: usize) {
    let (id, kind) = (number.to_string(), number % 6);
    // A copy that comes when the client has ended would make another.
    broker.publish((0..COPIES).map(|_| pending(&id, if kind == 5 { "nope" } else { "foo" }))).await;
    if kind == 5 {
        return assert_eq!(life.sink.hears(FAILED, &id).await["reason"], "GatewayNotInjected");
    }
    life.sink.hears(RUNNING, &id).await;
    match kind {
        0 => life.exit(&id, "0").await,
        1 => life.exit(&id, "1").await,
        2 => life.evict(&id).await,
        3 => life.delete(&id).await,
        _ => broker.publish([termination(&id)]).await,
    }
    let reason = ["Completed", "Error", "Evicted", "Deleted", "Terminated"][kind];
    let ended = life.sink.hears(ENDED, &id).await;
    assert_eq!(ended["reason"], reason, "{ended}");
}

/// Every event has one answer, every client that was made has run and has ended, and nothing is left of any.
async fn balance(life: &Life, clients: usize) {
    assert_none_noted();
    until("nothing is left", || async { life.namespace.pods().await.is_empty() }).await;
    let told = (0..clients).map(|number| {
        let counts = [DONE, FAILED, RUNNING, ENDED].map(|ty| life.sink.count(ty, &number.to_string()));
        assert_eq!(counts, if number % 6 == 5 { [0, 1, 0, 0] } else { [1, 0, 1, 1] }, "event {number}");
        counts.iter().sum::<usize>() + life.sink.count(TERMINATED, &number.to_string())
    });
    assert_eq!(told.sum::<usize>(), life.sink.total(), "nothing is told of what nobody asked for");
}
