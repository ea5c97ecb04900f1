//! What the gateways' webhooks cost the creation of a client, on a real API server: where each is called for every
//! gateway's clients, and where each is called for its own.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tests::cluster::Cluster;
use tests::cluster::webhook::Registration;

use crate::floor::Floor;
use crate::load::{Target, Until, load};
use crate::peer::Peer;
use crate::plan::Plan;
use crate::rounds::{Turn, summary};

/// The webhooks that are called for every client.
pub const ALL: &str = "all";
/// The webhooks that are called for their own.
pub const OWN: &str = "own";

/// By the number of gateways and of creations at once.
pub async fn measure(plan: &Plan, cluster: &Arc<Cluster>) -> Value {
    let mut rows = Vec::new();
    for gateways in plan.gateways {
        eprintln!("measuring: {gateways} gateways");
        let mut peers = [
            Peer::of_gateways(cluster, *gateways, Registration::usual).await,
            Peer::of_gateways(cluster, *gateways, Registration::selective).await,
        ];
        for at_once in plan.at_once {
            let [all, own] = rounds(plan, &mut peers, *at_once).await;
            let mut row =
                Map::from_iter([("gateways".to_owned(), json!(gateways)), ("at_once".to_owned(), json!(at_once))]);
            row.insert(ALL.to_owned(), summary(&all, &all));
            row.insert(OWN.to_owned(), summary(&own, &all));
            rows.push(row);
        }
    }
    json!(rows)
}

/// The two in turn.
async fn rounds(plan: &Plan, peers: &mut [Peer; 2], at_once: usize) -> [Vec<Turn>; 2] {
    let mut turns = [Vec::new(), Vec::new()];
    for round in 0..=plan.real_turns.rounds {
        for (peer, turns) in peers.iter_mut().zip(&mut turns) {
            let target = Target::Floor(Arc::new(Floor::new(&peer.setup).await));
            let sample = load(&target, at_once, Until::Time(plan.real_turns.window)).await;
            peer.clear().await;
            // The first is for the connections and the caches.
            if round > 0 {
                turns.push(Turn { sample, calls: 0, connections: None });
            }
        }
    }
    turns
}
