//! A broker, its Trigger, the provisioner and the dead letter route, with faults on every way between them.
//!
//! The dead letter sink is a broker of its own, with more patience: what the first gives up on, the second holds until
//! the provisioner has settled it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use local::broker::{Broker, BrokerConfig, Delivery, Filter, Trigger};
use provisioner::event::{ADDED, DELETED, PENDING, PING, TERMINATION, UPDATED};
use tests::Provisioner;
use tests::events::binary;
use tests::fault::{Proxy, Upstream, to_server};

use crate::dice::Dice;

/// One way from an event to its answer.
pub struct Lane {
    pub broker: Broker,
    pub patient: Broker,
    answering: Arc<Provisioner>,
    settling: Arc<Provisioner>,
    sweeping: Provisioner,
    _proxies: [Proxy; 3],
}

impl Lane {
    /// Lays a lane to the API server at `kube_api_url`. Who asks is answered in the response, or through the sink, which
    /// is the broker.
    pub async fn start(answers_in_sink: bool, kube_api_url: &str, dice: &Dice) -> Arc<Self> {
        let ingress = Arc::new(OnceLock::new());
        let to_sink = Proxy::start(late(ingress.clone()), dice.way_faults()).await;
        let sink = to_sink.url();
        let settling = Arc::new(provisioner(kube_api_url, Some(&sink), &PATIENT));
        let answering = Arc::new(provisioner(kube_api_url, answers_in_sink.then_some(&sink), &PATIENT));
        let sweeping = provisioner(kube_api_url, Some(&sink), &IMPATIENT);
        let to_settling = serve(&settling, dice).await;
        let to_answering = serve(&answering, dice).await;
        let dead_letters = Trigger::new(uri(&format!("{}/dead-letter", to_settling.url())), Filter::default());
        let patient = broker(vec![Trigger { delivery: delivery(11), ..dead_letters }]).await;
        let broker = broker(triggers(&to_answering.url(), &to_settling.url(), &patient)).await;
        _ = ingress.set(to_server(broker.url()));
        let proxies = [to_sink, to_settling, to_answering];
        Arc::new(Self { broker, patient, answering, settling, sweeping, _proxies: proxies })
    }

    /// Sweeps once all is over: who has ended may go, and what was not told is told.
    pub async fn sweep(&self) {
        // What it leaves comes with the next one.
        _ = self.sweeping.deliver(binary("sweep", PING, "{}")).await;
    }

    /// How many events are under way.
    pub fn in_flight(&self) -> usize {
        self.broker.in_flight() + self.patient.in_flight()
    }

    /// Waits until every event has come to its end.
    pub async fn wait_idle(&self) {
        while self.in_flight() > 0 {
            self.broker.wait_idle().await;
            self.patient.wait_idle().await;
        }
    }

    /// What was logged since the last time, which is forgotten.
    pub fn take_logs(&self) -> String {
        let take = |provisioner: &Provisioner| {
            let text = provisioner.logs().text();
            provisioner.logs().clear();
            text
        };
        [&*self.answering, &self.settling, &self.sweeping].map(take).concat()
    }
}

fn late(upstream: Arc<OnceLock<Upstream>>) -> Upstream {
    Arc::new(move |request| match upstream.get() {
        Some(upstream) => upstream(request),
        None => Box::pin(std::future::ready(Err("there is no broker yet".to_owned()))),
    })
}

/// While a broker may deliver an event again, nothing of it is swept away.
const PATIENT: [(&str, &str); 1] = [("client_retention", "off")];
const IMPATIENT: [(&str, &str); 2] = [("client_retention", "0s"), ("client_patience", "1s")];

fn provisioner(kube_api_url: &str, sink: Option<&String>, patience: &[(&'static str, &'static str)]) -> Provisioner {
    let address = "pod-gateway-{gateway}.gateway-system.svc.cluster.local";
    let mut variables =
        vec![("kube_api_timeout", "1s"), ("gateway_address", address), ("client_pod_template", "client")];
    variables.extend(patience);
    let k_sink = sink.map(|sink| format!("{sink}/default/default")).unwrap_or_default();
    if let Some(sink) = sink {
        variables.extend([("k_sink", k_sink.as_str()), ("sink_origin", sink)]);
    }
    let config = host::RuntimeConfig { max_instance_memory: Some(64 << 20), ..Default::default() };
    Provisioner::start_with(kube_api_url, &variables, config)
}

fn uri(url: &str) -> Uri {
    url.parse().expect("a server's URL is a URI")
}

fn delivery(retry: u32) -> Delivery {
    Delivery { retry, backoff_delay: Duration::from_millis(20), timeout: Some(Duration::from_secs(4)) }
}

/// The Triggers of `deploy/`: who asks is answered, and the sources' events go where there is a sink.
fn triggers(answering: &str, settling: &str, patient: &Broker) -> Vec<Trigger> {
    let trigger = |subscriber: &str, ty| {
        let trigger = Trigger::new(uri(&format!("{subscriber}/")), Filter::of_type(ty));
        Trigger { delivery: delivery(3), dead_letter_sink: Some(uri(patient.url())), ..trigger }
    };
    let asked = [PENDING, TERMINATION].map(|ty| trigger(answering, ty));
    let changes = [ADDED, UPDATED, DELETED].map(|ty| trigger(settling, ty));
    let sweep = Trigger { delivery: delivery(0), dead_letter_sink: None, ..trigger(settling, PING) };
    asked.into_iter().chain(changes).chain([sweep]).collect()
}

async fn broker(triggers: Vec<Trigger>) -> Broker {
    let config = BrokerConfig { triggers, ..BrokerConfig::new(Uri::from_static("http://nobody"), PENDING) };
    Broker::bind(config).await.expect("a port is free")
}

/// Serves a provisioner, behind a proxy that loses what it will, and ends an instance where it stands now and then.
async fn serve(provisioner: &Arc<Provisioner>, dice: &Dice) -> Proxy {
    let served = to_server(&provisioner.serve(std::future::pending()).await.0);
    let (provisioner, chance) = (provisioner.clone(), dice.clone());
    let upstream: Upstream = Arc::new(move |request| {
        if chance.per_mille(40) {
            let after = Duration::from_millis(chance.below(25));
            return Box::pin(end_within(provisioner.clone(), request, after));
        }
        served(request)
    });
    Proxy::start(upstream, dice.way_faults()).await
}

/// Delivers to an instance that has so long to live.
async fn end_within(
    provisioner: Arc<Provisioner>,
    request: Request<Bytes>,
    after: Duration,
) -> Result<Response<Bytes>, String> {
    let delivery = provisioner.deliver(request.map(Into::into));
    let reply = tokio::time::timeout(after, delivery).await.map_err(|_| "the instance was ended".to_owned())?;
    let mut response = Response::new(reply.body);
    (*response.status_mut(), *response.headers_mut()) = (reply.status, reply.headers);
    Ok(response)
}
