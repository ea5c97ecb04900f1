//! What happens to the cluster meanwhile: gateways change, the API server goes and comes back, tokens are rotated.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderValue, Uri};
use local::kubernetes::{EmbeddedApi, Fate, Gateway, Mode};
use provisioner::pod::text;
use tests::fault::{Proxy, Upstream, to_server};

use crate::dice::Dice;
use crate::source::{Source, event_of};

/// What happens to requests on their way from the proxy to the API server.
#[derive(Clone, Copy, Debug, Default)]
pub enum Weather {
    #[default]
    Good,
    Slow(Duration),
    TokenRotated,
    TemplateBad,
}

/// The way from the proxy to the API server.
pub type Road = Arc<Mutex<Weather>>;

/// Leads to the server at `url`.
pub fn lead(road: &Road, url: &str) -> Upstream {
    let (road, server) = (road.clone(), to_server(url));
    Arc::new(move |mut request| {
        let mut latency = Duration::ZERO;
        match *road.lock().unwrap() {
            Weather::Good => (),
            Weather::Slow(time) => latency = time,
            Weather::TokenRotated => {
                request.headers_mut().insert("authorization", HeaderValue::from_static("Bearer rotated"));
            }
            Weather::TemplateBad if request.uri().path().contains("/podtemplates/") => {
                *request.uri_mut() = Uri::from_static("/api/v1/namespaces/default/podtemplates/bad");
            }
            Weather::TemplateBad => (),
        }
        let server = server.clone();
        Box::pin(async move {
            tokio::time::sleep(latency).await;
            server(request).await
        })
    })
}

/// The gateways that there usually are.
pub fn usual_gateways() -> Vec<Gateway> {
    ["foo", "bar"].map(Gateway::new).to_vec()
}

/// Changes the weather for ever.
pub async fn rage(api: Arc<EmbeddedApi>, proxy: Arc<Proxy>, road: Road, dice: Dice) {
    loop {
        wait(&dice, 100, 900).await;
        match dice.below(9) {
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
            2..=4 => {
                let slow = Weather::Slow(Duration::from_millis(dice.below(40)));
                *road.lock().unwrap() = dice.pick(&[slow, Weather::TokenRotated, Weather::TemplateBad]);
                wait(&dice, 20, 300).await;
                *road.lock().unwrap() = Weather::Good;
            }
            _ => {
                api.set_gateways(gateways(&dice));
                wait(&dice, 50, 300).await;
                api.set_gateways(usual_gateways());
            }
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
