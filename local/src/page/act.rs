//! What whoever looks at the page can do: to a client that runs, and to the embedded Kubernetes API.

use cloudevents::EventBuilder;
use provisioner::event::TERMINATION;
use provisioner::pod::{EVENT_ID, EVENT_SOURCE};
use serde::Deserialize;
use serde_json::json;

use super::Watched;
use super::clients::Client;
use crate::broker::new_event;
use crate::kubernetes::{EmbeddedApi, Fate, Mode};

/// How a client is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// An event asks for its end.
    Terminate,
    /// Its command ends well.
    Complete,
    /// Its command ends with an error.
    Fail,
    /// Its node goes.
    LoseNode,
}

impl Act {
    /// Does it to the client; false where that is not possible any more.
    pub fn on(self, client: &Client, watched: &Watched) -> bool {
        let meet = |fate| watched.api.as_ref().is_some_and(|api| api.meet(&client.pod.metadata.uid, fate));
        match self {
            Self::Complete => meet(Fate::Exit(0)),
            Self::Fail => meet(Fate::Exit(1)),
            Self::LoseNode => meet(Fate::NodeLost),
            Self::Terminate => {
                let pending = json!({"source": client.annotation(EVENT_SOURCE), "id": client.annotation(EVENT_ID)});
                let data = json!({ "pending_event": pending });
                watched.broker.publish(new_event("/page", TERMINATION, data).build().expect("it has every attribute"))
            }
        }
    }
}

/// What the API does with requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weather {
    /// It answers.
    Fair,
    /// It answers everything with 503.
    ApiFails,
    /// It can't reach the gateways' webhooks, so it admits no Pod.
    WebhooksDown,
}

impl Weather {
    /// How it is now.
    pub fn of(api: &EmbeddedApi) -> Self {
        let is_down = |mode: &Mode| matches!(mode, Mode::Down(_));
        match api.is_available() {
            false => Self::ApiFails,
            true if api.gateways().iter().any(|gateway| is_down(&gateway.mode)) => Self::WebhooksDown,
            true => Self::Fair,
        }
    }

    /// Makes it so.
    pub fn set(self, api: &EmbeddedApi) {
        let down = Mode::Down("dial tcp: connect: connection refused".to_owned());
        let mode = if self == Self::WebhooksDown { down } else { Mode::Inject };
        api.set_gateways(api.gateways().into_iter().map(|gateway| gateway.with_mode(mode.clone())).collect());
        api.set_available(self != Self::ApiFails);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::Config;

    #[tokio::test]
    async fn the_weather_that_is_set_is_the_weather_that_is() {
        let api = EmbeddedApi::bind(Config::demo(), ([127, 0, 0, 1], 0).into()).await.unwrap();
        assert_eq!(Weather::of(&api), Weather::Fair);
        for weather in [Weather::WebhooksDown, Weather::ApiFails, Weather::Fair] {
            weather.set(&api);
            assert_eq!(Weather::of(&api), weather);
        }
        api.shutdown().await;
    }
}
