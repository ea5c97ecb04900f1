//! The core's way out without a component around it: the same connections, the same trust, the same allowed hosts.
//!
//! A cluster that does not answer yet is waited for at the start. Any answer will do, a refusal too: what the provisioner
//! may do there is for `--check` and for its own answers to tell. What can come right, such as an API server that is just
//! being started, is waited for as long as a delivery would wait for it; what can't is an error at once, as with kubectl.

use std::time::Duration;

use anyhow::ensure;
use bytes::Bytes;
use host::outbound::{ErrorCode, Outbound, RequestOptions, WasiBody};
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use provisioner::config::Config;
use provisioner::outbound::{Answer, Bounds, NoAnswer, Outbound as CoreOutbound};
use tokio::time::{Instant, sleep, timeout};

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(500);

/// Sends the core's requests natively.
pub struct Client(pub Outbound);

impl CoreOutbound for Client {
    async fn send(&self, request: Request<Vec<u8>>, bounds: Bounds) -> Answer {
        let exchange = async {
            let response = self.0.send(request.map(boxed), options(bounds.call)).await;
            let (parts, body) = response.map_err(|code| NoAnswer::Host(judged(&code).1))?.into_parts();
            let body = Limited::new(body, bounds.answer).collect().await;
            let body = body.map_err(|_| NoAnswer::CutOff)?;
            Ok(Response::from_parts(parts, body.to_bytes().to_vec()))
        };
        timeout(bounds.call, exchange).await.unwrap_or(Err(NoAnswer::Late(bounds.call)))
    }
}

fn boxed(body: Vec<u8>) -> WasiBody {
    Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed_unsync()
}

/// The same bound on each part of a call.
fn options(timeout: Duration) -> RequestOptions {
    RequestOptions {
        connect_timeout: Some(timeout),
        first_byte_timeout: Some(timeout),
        between_bytes_timeout: Some(timeout),
    }
}

/// Waits until the Kubernetes API answers anything, for `delivery_timeout` at most.
///
/// # Errors
/// It does not answer, and what the last try met.
pub async fn reach(client: &Client, config: &Config) -> anyhow::Result<()> {
    let (patience, url) = (config.delivery_timeout(), config.kube_api_url.join(""));
    let end = Instant::now() + patience;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        // It needs no rights, and only the head of its answer is read.
        let request = Request::get(config.kube_api_url.join("/version")).body(boxed(Vec::new()));
        let request = request.expect("a base URL and a path make a URI");
        let asked = client.0.send(request, options(left.min(config.kube_api_timeout))).await;
        let Err(code) = asked else { return Ok(()) };
        let (can_heal, problem) = judged(&code);
        ensure!(can_heal, "no answer from {url}: {problem}");
        let is_left = Instant::now() + PAUSE < end;
        ensure!(is_left, "no answer from {url} within {} s: {problem}", patience.as_secs_f64());
        sleep(PAUSE).await;
    }
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
        _ => return (true, format!("{code:?}")),
    };
    (can_heal, words.to_owned())
}
