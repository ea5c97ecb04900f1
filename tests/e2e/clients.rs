//! As many clients as this machine can do in its time, up to a thousand, each through its whole life, while the
//! provisioner is killed now and then; and the ledger of it all.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use provisioner::reply::{DONE, ENDED, FAILED, RUNNING};
use tests::events::pending;

use crate::client::until_within;
use crate::harness::Test;
use crate::killed::{Command, Http, attempt, random};
use crate::knative::{Broker, PATIENCE};
use crate::life::{Life, Plane, TEMPLATE, termination, test};

/// How many clients there are at most.
const CLIENTS: usize = 1_000;
/// How long new ones begin.
const TIME: Duration = Duration::from_secs(150);
/// How many live at once.
const AT_ONCE: usize = 48;
/// Between how many events the provisioner is killed, at most.
const KILLS: usize = 300;
const SWEEP: Duration = Duration::from_secs(5);

/// The tests.
pub fn tests(plane: &Plane) -> Vec<Test> {
    vec![test(
        plane,
        "every pending event is answered and every client has one end while the provisioner is killed",
        run,
    )]
}

async fn run(life: Life) {
    life.add_template(None).await;
    let sink = life.sink.variables();
    let sink = sink.iter().map(|(name, value)| (*name, value.as_str()));
    let variables: Vec<_> = sink.chain([TEMPLATE, ("client_retention", "0s"), ("client_patience", "2s")]).collect();
    let mut command = Command::start(&life.namespace, &variables).await;
    let broker = broker(&life, &command);
    let begin = Instant::now();
    let lives = async {
        let clients = (0..CLIENTS).take_while(|_| begin.elapsed() < TIME).map(|number| live(&life, &broker, number));
        futures::stream::iter(clients).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await
    };
    let mut kills = 0;
    let reasons = tokio::select! {
        reasons = lives => reasons,
        never = async { tokio::join!(kill(&life, &mut command, &mut kills), sweep(&broker)).0 } => match never {},
    };
    balance(&life, &broker, &reasons).await;
    println!("{} clients in {:.0?}, the provisioner killed {kills} times", reasons.len(), begin.elapsed());
    println!(
        "{:?}",
        reasons.into_iter().fold(BTreeMap::new(), |mut sums, reason| {
            *sums.entry(reason).or_insert(0) += 1;
            sums
        })
    );
    assert!(kills > 0);
}

fn broker(life: &Life, command: &Command) -> Broker {
    let http: Http = Client::builder(TokioExecutor::new()).build_http();
    let address = command.address();
    let deliver = move |request| {
        let (http, mut address) = (http.clone(), address.clone());
        Box::pin(async move { attempt(request, &http, &mut address).await }) as _
    };
    Broker::start(&life.namespace, Arc::new(deliver))
}

/// One life, from the pending event to what was told last. Gives the reason of its end.
async fn live(life: &Life, broker: &Broker, number: usize) -> String {
    let (id, kind) = (number.to_string(), number % 6);
    broker.publish(pending(&id, if kind == 5 { "nope" } else { "foo" })).await;
    if kind == 5 {
        return text(&life.sink.hears(FAILED, &id).await["reason"]);
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
    reason.to_owned()
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Kills the provisioner each time that a random number of further events was told.
async fn kill(life: &Life, command: &mut Command, kills: &mut usize) -> Infallible {
    let mut random = random();
    loop {
        let point = life.sink.total() + 1 + random.usize(..KILLS);
        life.sink.hears_in_all(point).await;
        command.kill_and_start().await;
        *kills += 1;
    }
}

async fn sweep(broker: &Broker) -> Infallible {
    loop {
        tokio::time::sleep(SWEEP).await;
        broker.ping().await;
    }
}

/// Every event has one answer, every client that was made has run and has ended, and nothing is left of any.
async fn balance(life: &Life, broker: &Broker, reasons: &[String]) {
    until_within(PATIENCE, "nothing is left", || async {
        broker.ping().await;
        life.namespace.pods().await.is_empty()
    })
    .await;
    for id in (0..reasons.len()).map(|number| number.to_string()) {
        let counts = [DONE, FAILED, RUNNING, ENDED].map(|ty| life.sink.count(ty, &id));
        let is_failed = counts[1] > 0;
        assert_eq!(counts, if is_failed { [0, 1, 0, 0] } else { [1, 0, 1, 1] }, "event {id}");
    }
    assert_eq!(life.sink.ids().len(), reasons.len(), "nothing is told of what nobody asked for");
}
