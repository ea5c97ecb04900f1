//! Waits at the start for a cluster that does not answer yet.
//!
//! Any answer will do, a refusal too: what the provisioner may do there is for `--check` and for its own answers to tell.
//! What can come right, such as an API server that is just being started, is waited for as long as a delivery would wait
//! for it; what can't is an error at once, as with kubectl.

use std::time::Duration;

use anyhow::ensure;
use host::outbound::ErrorCode;
use http::Request;
use http_body_util::{BodyExt, Empty};
use provisioner::config::Config;
use tokio::time::{Instant, sleep};

use super::client::{Client, options};

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(500);

/// Waits until the Kubernetes API answers anything, for `delivery_timeout` at most.
///
/// # Errors
/// It does not answer, and what the last try met.
pub async fn reach(client: &Client, config: &Config) -> anyhow::Result<()> {
    let (patience, url) = (config.delivery_timeout(), config.kube_api_url.join(""));
    let end = Instant::now() + patience;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let Err(code) = ask(client, config, left.min(config.kube_api_timeout)).await else { return Ok(()) };
        let (can_heal, problem) = judged(&code);
        ensure!(can_heal, "no answer from {url}: {problem}");
        let is_left = Instant::now() + PAUSE < end;
        ensure!(is_left, "no answer from {url} within {} s: {problem}", patience.as_secs_f64());
        sleep(PAUSE).await;
    }
}

/// One question that needs no rights, and of whose answer only its head is read.
async fn ask(client: &Client, config: &Config, timeout: Duration) -> Result<(), ErrorCode> {
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    let request = Request::get(config.kube_api_url.join("/version")).body(body);
    let request = request.map_err(|_| ErrorCode::HttpRequestUriInvalid)?;
    client.0.send(request, options(timeout)).await.map(drop)
}

/// Whether it can come right by itself, and what it is, in words.
fn judged(code: &ErrorCode) -> (bool, String) {
    let (can_heal, words) = match code {
        ErrorCode::ConnectionRefused => (true, "the connection is refused; is this the right cluster, and is it up?"),
        ErrorCode::ConnectionTimeout | ErrorCode::ConnectionReadTimeout => {
            (true, "it is silent; is this machine in its network?")
        }
        ErrorCode::DnsError(_) => (true, "its name can't be resolved"),
        ErrorCode::TlsProtocolError => {
            (false, "there is no TLS with it: see the kubeconfig's certificate-authority, and its user's certificate")
        }
        ErrorCode::HttpRequestDenied => (false, "allowed_outbound_hosts does not allow it"),
        ErrorCode::HttpRequestUriInvalid | ErrorCode::DestinationIpProhibited => return (false, format!("{code:?}")),
        _ => return (true, format!("{code:?}")),
    };
    (can_heal, words.to_owned())
}
