//! What a round asks for: clients, good ones and such as can never be, and their ends.

use std::time::Duration;

use provisioner::event::TERMINATION;
use serde_json::json;
use tests::Reply;
use tests::events::{Delivery, binary, pending, pending_with, with_header};

use crate::dice::Dice;
use crate::lane::Lane;
use crate::ledger::Asked;
use crate::source::Source;

/// How many clients a round asks for: what becomes of them has room in a broker's journal.
const ROUND: usize = 200;

/// How many events may be under way before another is asked for.
const AT_ONCE: usize = 48;

impl Lane {
    /// Asks for a round's clients, one in ten twice, and for the end of some.
    pub async fn ask(&self, round: usize, source: &Source, dice: &Dice) -> Asked {
        let mut asked = Asked::default();
        let mut ids = Vec::new();
        for number in 0..ROUND {
            while self.in_flight() >= AT_ONCE {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            let id = format!("{round}-{number}");
            let event = request(&id, dice);
            for _ in 0..=usize::from(dice.per_mille(100)) {
                self.publish(event.clone()).await;
            }
            ids.push(id.clone());
            asked.pending.insert(id);
            if dice.per_mille(150) {
                let id = format!("end-{round}-{number}");
                // One of the latest, which may not be there yet, or one of long ago.
                let target = &ids[ids.len() - 1 - dice.below(ids.len().min(40) as u64) as usize];
                let (event, uids) = ask_to_end(&id, target, source, dice);
                self.publish(event).await;
                asked.ends.insert(id, uids);
            }
        }
        asked
    }

    async fn publish(&self, event: Delivery) {
        assert_eq!(Reply::from(self.broker.url(), event).await.status, 202, "the broker takes every event");
    }
}

/// A pending event: nine of ten can be had.
fn request(id: &str, dice: &Dice) -> Delivery {
    match dice.below(40) {
        0 => pending_with(id, "[1]"),
        1 => pending(id, "-foo-"),
        2 => with_header(pending(id, "foo"), "ce-expirytime", "2020-01-01T00:00:00Z"),
        _ => pending(id, dice.pick(&["foo", "foo", "foo", "bar", "bar", "nope"])),
    }
}

/// An event that asks for the end of a client, and its Pod: now and then of one that never was, or of none.
fn ask_to_end(id: &str, target: &str, source: &Source, dice: &Dice) -> (Delivery, Vec<String>) {
    let (data, uids) = match dice.below(10) {
        0 => (json!({}), Vec::new()),
        1 => (json!({"pending_event": {"source": "/test", "id": "nobody"}}), Vec::new()),
        _ => (json!({"pending_event": {"source": "/test", "id": target}}), source.disturb(target)),
    };
    (binary(id, TERMINATION, &data.to_string()), uids)
}
