//! `make soak`: thousands of events with faults switched on at random, and at the end the ledger must balance.
//!
//! Every pending event has its answer, every `done` its one Pod, and no other Pod exists. Two lanes run beside each
//! other against one API server: in one the reply is the answer to the delivery, in the other it goes to the sink.
//! Events come in rounds; after each the Pods are counted against the answers and removed, so that memory can be flat.
//! `SOAK_EVENTS`, `SOAK_SEED` and `SOAK_SECONDS` (after which no other round begins) set it up.

mod dice;
mod lane;
mod ledger;
mod memory;
mod weather;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{Request, Uri};
use local::kubernetes::{Config, EmbeddedApi};
use serde_json::Value;
use tests::TOKEN;
use tests::fault::{Proxy, Upstream, to_server};

use dice::Dice;
use lane::{Lane, Mode};
use ledger::Ledger;
use weather::Road;

/// How many events a round has, in both lanes together.
const ROUND: usize = 400;

/// How many events may be under way in a lane before another is asked for.
const AT_ONCE: usize = 16;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn main() -> ExitCode {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let (events, seed) = (setting("SOAK_EVENTS", 10_000), setting("SOAK_SEED", now));
    let deadline = Instant::now() + Duration::from_secs(setting("SOAK_SECONDS", 1_800));
    println!("SOAK_EVENTS={events} SOAK_SEED={seed}");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("there are threads");
    match runtime.block_on(soak(events as usize, &Dice::new(seed), deadline)) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

async fn soak(events: usize, dice: &Dice, deadline: Instant) -> bool {
    let config = Config { token: TOKEN.to_owned(), ..Config::demo() };
    let api = Arc::new(EmbeddedApi::bind(config, ([127, 0, 0, 1], 0).into()).await.expect("a port is free"));
    let road = Road::default();
    let to_api = Arc::new(Proxy::start(road.to(&api.url()), dice.api_faults()).await);
    let url = to_api.url();
    let lanes = [Lane::start(Mode::Response, &url, dice).await, Lane::start(Mode::Sink, &url, dice).await];
    let cleaner = to_server(&api.url());
    let (mut ledger, mut rounds) = (Ledger::default(), Vec::new());
    while ledger.events < events && Instant::now() < deadline {
        round(rounds.len(), &lanes, (&api, &to_api, &road), dice, &mut ledger).await;
        clear(&api, &cleaner).await;
        rounds.push(memory::resident());
        println!("{:>6} of {events} events, {} MB", ledger.events, memory::resident());
    }
    let letters = lanes.iter().flat_map(|lane| lane.patient.dead_letters());
    letters.for_each(|letter| ledger.problem(format!("lost: {}", letter.reason)));
    ledger.count_dead_letters(lanes.iter().map(|lane| lane.broker.dead_letters().len()).sum());
    let balances = ledger.close_books();
    let kept: usize = lanes.iter().map(Lane::kept).sum();
    println!("journals  {kept} steps and dead letters, which the brokers keep until they have 10,000 each");
    memory::is_flat(&rounds) && balances
}

/// Asks for a round's Pods in every weather, waits until every event has come to its end, and balances.
async fn round(
    number: usize,
    lanes: &[Lane; 2],
    (api, to_api, road): (&Arc<EmbeddedApi>, &Arc<Proxy>, &Road),
    dice: &Dice,
    ledger: &mut Ledger,
) {
    let since = chrono::Utc::now();
    let storm = tokio::spawn(weather::rage(api.clone(), to_api.clone(), road.clone(), dice.clone()));
    let asked = futures::future::join_all(lanes.iter().map(|lane| ask(lane, number, dice))).await.concat();
    futures::future::join_all(lanes.iter().map(Lane::wait_idle)).await;
    storm.abort();
    _ = storm.await;
    restore(api, to_api, road).await;
    let seen: Vec<_> = lanes.iter().flat_map(|lane| ledger::seen(&lane.broker, since)).collect();
    tests::schema::assert_none_noted();
    ledger.balance(&asked.into_iter().collect::<BTreeSet<_>>(), &seen, &api.pods("default"));
    for lane in lanes.iter().filter(|lane| lane.has_trapped()) {
        ledger.problem(format!("an instance trapped in the lane {:?}", lane.mode));
    }
}

/// Asks for half a round's Pods; one event in ten comes twice.
async fn ask(lane: &Lane, round: usize, dice: &Dice) -> Vec<String> {
    let broker = to_server(&lane.broker.url());
    let uri: Uri = lane.broker.url().parse().expect("a broker's URL is a URI");
    let mut asked = Vec::new();
    for number in 0..ROUND / 2 {
        while lane.in_flight() >= AT_ONCE {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let id = format!("{:?}-{round}-{number}", lane.mode);
        let gateway = dice.pick(&["foo", "foo", "foo", "bar", "bar", "nope"]);
        for _ in 0..=usize::from(dice.per_mille(100)) {
            let mut request: Request<Bytes> = tests::pending(&id, gateway).map(|_| Bytes::new());
            *request.body_mut() = serde_json::json!({ "gateway_name": gateway }).to_string().into();
            *request.uri_mut() = uri.clone();
            // The broker answers to its own name alone.
            request.headers_mut().remove("host");
            let taken = broker(request).await.expect("the broker is up");
            assert_eq!(taken.status(), 202, "the broker takes every event");
        }
        asked.push(id);
    }
    asked
}

/// Good weather again.
async fn restore(api: &EmbeddedApi, to_api: &Proxy, road: &Road) {
    api.set_available(true);
    road.clear();
    api.set_gateways(["foo", "bar"].map(local::kubernetes::Gateway::new).to_vec());
    to_api.listen().await;
}

/// Removes every Pod.
async fn clear(api: &EmbeddedApi, cleaner: &Upstream) {
    for pod in api.pods("default") {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let request = Request::builder()
            .method("DELETE")
            .uri(format!("/api/v1/namespaces/default/pods/{name}"))
            .header("authorization", format!("Bearer {TOKEN}"))
            .header("content-type", "application/json")
            .body(Bytes::from_static(b"{\"gracePeriodSeconds\":0}"));
        cleaner(request.expect("a Pod's name is a path")).await.expect("the API server is up");
    }
    let left: Vec<Value> = api.pods("default");
    assert!(left.is_empty(), "{} Pods can't be removed", left.len());
}
