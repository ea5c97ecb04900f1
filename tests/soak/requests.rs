//! What a round asks for: clients, good ones and such as can never be, and their ends.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::BodyExt;
use provisioner::event::TERMINATION;
use serde_json::json;
use tests::events::{Delivery, binary, pending, pending_with};
use tests::fault::{Upstream, to_server};

use crate::dice::Dice;
use crate::lane::Lane;
use crate::ledger::Asked;
use crate::source::Source;

/// How many clients a round asks for, in both lanes together.
const ROUND: usize = 400;

/// How many events may be under way in a lane before another is asked for.
const AT_ONCE: usize = 24;

impl Asked {
    /// What another asked for as well.
    pub fn add(&mut self, other: Self) {
        self.pending.extend(other.pending);
        self.forgotten.extend(other.forgotten);
        self.ends.extend(other.ends);
    }
}

impl Lane {
    /// What the ids of its events begin with.
    pub fn name(&self) -> String {
        format!("{:?}", self.mode)
    }

    /// Asks for half a round's clients, one in ten twice, and for the end of some.
    pub async fn ask(&self, round: usize, source: &Source, dice: &Dice) -> Asked {
        let broker = to_server(self.broker.url());
        let mut asked = Asked::default();
        let mut ids = Vec::new();
        for number in 0..ROUND / 2 {
            while self.in_flight() >= AT_ONCE {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            let id = format!("{}-{round}-{number}", self.name());
            let event = request(&id, dice);
            if dice.per_mille(30) {
                self.forget(event, Duration::from_millis(dice.below(25))).await;
                asked.forgotten.insert(id);
                continue;
            }
            for _ in 0..=usize::from(dice.per_mille(100)) {
                self.publish(&broker, event.clone()).await;
            }
            ids.push(id.clone());
            asked.pending.insert(id);
            if dice.per_mille(150) {
                let id = format!("end-{}-{round}-{number}", self.name());
                // One of the latest, which may not be there yet, or one of long ago.
                let target = &ids[ids.len() - 1 - dice.below(ids.len().min(40) as u64) as usize];
                let (event, uids) = ask_to_end(&id, target, source, dice);
                self.publish(&broker, event).await;
                asked.ends.insert(id, uids);
            }
        }
        asked
    }

    async fn publish(&self, broker: &Upstream, event: Delivery) {
        let (mut parts, body) = event.into_parts();
        parts.uri = self.broker.url().parse::<Uri>().expect("a broker's URL is a URI");
        // The broker answers to its own name alone.
        parts.headers.remove("host");
        let body: Bytes = body.collect().await.expect("the body is there").to_bytes();
        let taken = broker(Request::from_parts(parts, body)).await.expect("the broker is up");
        assert_eq!(taken.status(), 202, "the broker takes every event");
    }
}

/// A pending event: nine of ten can be had.
fn request(id: &str, dice: &Dice) -> Delivery {
    match dice.below(40) {
        0 => pending_with(id, "[1]"),
        1 => pending(id, "-foo-"),
        2 => {
            let mut late = pending(id, "foo");
            late.headers_mut().insert("ce-expirytime", http::HeaderValue::from_static("2020-01-01T00:00:00Z"));
            late
        }
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
