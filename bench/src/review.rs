//! What the review of a sender's token adds: the component with `sender_audience` beside itself without, in turns.

use std::path::Path;

use serde_json::{Map, Value};

use crate::child::Child;
use crate::load::Target;
use crate::measure::{Field, HOST, progress};
use crate::peer::Peer;
use crate::plan::{Plan, Turns};
use crate::roles::Role;

/// The component's name where every sender is reviewed.
pub const REVIEWED: &str = "reviewed";

const AUDIENCE: &str = "client-system/provisioner";

/// By the number of events at once. What is reviewed is compared with what isn't.
pub async fn measure(peer: Peer, plan: &Plan, turns: Turns, directory: &Path) -> Value {
    let token = peer.sender(AUDIENCE).await;
    let role = Role::Host(peer.setup.with("sender_audience", AUDIENCE));
    let reviewed = Child::start(&role, &directory.join("reviewed.log")).await;
    let mut field = Field::start(peer, directory, None).await;
    field.targets.retain(|(name, _)| *name == HOST);
    field.targets.push((REVIEWED, Target::http(reviewed.url()).by(token)));
    field.warm_up().await;
    let mut all = Map::new();
    for at_once in plan.at_once {
        progress(&format!("the review of senders at {at_once} at once"));
        all.insert(at_once.to_string(), field.rounds(turns, *at_once, true).await.into());
    }
    all.into()
}
