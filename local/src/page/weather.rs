//! How the embedded Kubernetes API behaves, as far as the page lets somebody choose.

use serde::Deserialize;

use crate::kubernetes::{EmbeddedApi, Mode};

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
        let mode = match self {
            Self::WebhooksDown => Mode::Down("dial tcp: connect: connection refused".to_owned()),
            Self::Fair | Self::ApiFails => Mode::Inject,
        };
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
