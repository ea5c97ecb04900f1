//! What happens to the cluster meanwhile: gateways change, the API server goes and comes back, tokens are rotated.

use std::sync::Arc;
use std::time::Duration;

use local::kubernetes::{EmbeddedApi, Gateway, Mode};
use tests::TOKEN;
use tests::fault::Proxy;

use crate::dice::Dice;

/// Changes the weather for ever.
pub async fn rage(api: Arc<EmbeddedApi>, proxy: Arc<Proxy>, dice: Dice) {
    loop {
        wait(&dice, 100, 900).await;
        match dice.below(8) {
            0 => {
                api.set_available(false);
                wait(&dice, 50, 400).await;
                api.set_available(true);
            }
            1 => {
                proxy.leave().await;
                wait(&dice, 50, 300).await;
                proxy.listen().await;
            }
            2 => {
                api.set_token("rotated");
                wait(&dice, 20, 200).await;
                api.set_token(TOKEN);
            }
            3 => {
                api.set_latency(Duration::from_millis(dice.below(40)));
                wait(&dice, 100, 500).await;
                api.set_latency(Duration::ZERO);
            }
            _ => {
                api.set_gateways(gateways(&dice));
                wait(&dice, 50, 300).await;
                api.set_gateways(["foo", "bar"].map(Gateway::new).to_vec());
            }
        }
    }
}

fn gateways(dice: &Dice) -> Vec<Gateway> {
    let modes = [
        Mode::Down("connection refused".to_owned()),
        Mode::Deny("full".to_owned()),
        Mode::WrongAddress("elsewhere".to_owned()),
    ];
    match dice.below(4) {
        0 => Vec::new(),
        1 => vec![Gateway::new("bar")],
        _ => vec![Gateway::new("foo").with_mode(dice.pick(&modes)), Gateway::new("bar")],
    }
}

async fn wait(dice: &Dice, least: u64, more: u64) {
    tokio::time::sleep(Duration::from_millis(least + dice.below(more))).await;
}
