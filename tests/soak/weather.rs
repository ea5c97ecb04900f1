//! What happens to the cluster meanwhile: gateways change, the API server goes and comes back, clients end.

use std::sync::Arc;
use std::time::Duration;

use local::kubernetes::{EmbeddedApi, Fate, Gateway, Mode};
use provisioner::pod::text;
use tests::fault::Proxy;

use crate::dice::Dice;
use crate::source::{Source, event_of};

/// The gateways that there usually are.
pub fn usual_gateways() -> Vec<Gateway> {
    ["foo", "bar"].map(Gateway::new).to_vec()
}

/// Changes the weather for ever.
pub async fn rage(api: Arc<EmbeddedApi>, to_api: Arc<Proxy>, dice: Dice) {
    loop {
        wait(&dice, 100, 900).await;
        if dice.per_mille(200) {
            to_api.leave().await;
            wait(&dice, 50, 400).await;
            to_api.listen().await;
        } else {
            api.set_gateways(gateways(&dice));
            wait(&dice, 50, 300).await;
            api.set_gateways(usual_gateways());
        }
    }
}

fn gateways(dice: &Dice) -> Vec<Gateway> {
    let usual = || Gateway::new("foo");
    let gateways = [
        usual().with_mode(Mode::Down("connection refused".to_owned())),
        usual().with_mode(Mode::Deny("full".to_owned())),
        Gateway { address: "elsewhere".to_owned(), ..usual() },
    ];
    match dice.below(4) {
        0 => Vec::new(),
        1 => vec![Gateway::new("bar")],
        _ => vec![dice.pick(&gateways), Gateway::new("bar")],
    }
}

/// Lets a client come to its end now and then, for ever.
pub async fn doom(api: Arc<EmbeddedApi>, source: Arc<Source>, dice: Dice) {
    loop {
        wait(&dice, 30, 100).await;
        let pods = api.pods("default");
        let Some(pod) = pods.get(dice.below(pods.len().max(1) as u64) as usize) else { continue };
        let is_lost = dice.per_mille(100);
        if is_lost {
            // Its Pod goes as well, so that a redelivery makes another.
            source.disturb(event_of(pod));
        }
        let fate = if is_lost { Fate::NodeLost } else { Fate::Exit(dice.pick(&[0, 0, 1, 137])) };
        api.meet(text(&pod["metadata"]["uid"]), fate);
    }
}

pub async fn wait(dice: &Dice, least: u64, more: u64) {
    tokio::time::sleep(Duration::from_millis(least + dice.below(more))).await;
}
