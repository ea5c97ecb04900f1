//! `make soak`: thousands of events with faults switched on at random, and at the end the ledger must balance.
//!
//! Every pending event has its answer and one client at most, every end that was asked for its answer, every client's end is
//! told under one id, and no other Pod exists. Events come in rounds, each around an API server of its own: in one the reply
//! is the answer to the delivery, in the next it goes to the sink. Pods run on a kubelet that is played; an ApiServerSource
//! and a PingSource tell of them, the former not of everything. After each round the books are balanced.
//! `SOAK_EVENTS` and `SOAK_SECONDS` (after which no other round begins) set it up.

mod chance;
mod lane;
mod ledger;
mod round;
mod truth;

use std::time::{Duration, Instant};

use ledger::Ledger;
use round::Round;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

#[tokio::main]
async fn main() {
    let events = setting("SOAK_EVENTS", 10_000) as usize;
    let deadline = Instant::now() + Duration::from_secs(setting("SOAK_SECONDS", 1_800));
    let mut ledger = Ledger::default();
    for number in 0.. {
        if ledger.events >= events || Instant::now() >= deadline {
            break;
        }
        Round::start(number).await.run(&mut ledger).await;
        println!("{:>6} of {events} events", ledger.events);
    }
    ledger.close_books();
}
