//! A broker, its Trigger, the provisioner and the dead letter route, with faults on every way between them.
//!
//! The dead letter sink is a broker of its own, with more patience: what the first gives up on, the second holds until
//! the provisioner has settled it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use local::broker::{BackoffPolicy, Broker, BrokerConfig, Delivery};
use provisioner::event::PENDING;
use tests::Provisioner;
use tests::fault::{Proxy, Upstream, to_server};

use crate::dice::Dice;

/// How replies go back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As the answer to the delivery.
    Response,
    /// To the sink, which is the broker.
    Sink,
}

/// One way from an event to its answer.
pub struct Lane {
    pub mode: Mode,
    pub broker: Broker,
    pub patient: Broker,
    pub provisioners: [Arc<Provisioner>; 2],
    _proxies: [Proxy; 3],
}

impl Lane {
    /// Lays a lane to the API server at `kube_api_url`.
    pub async fn start(mode: Mode, kube_api_url: &str, dice: &Dice) -> Self {
        let ingress = Arc::new(OnceLock::new());
        let to_sink = Proxy::start(late(ingress.clone()), dice.way_faults()).await;
        let sink = to_sink.url();
        let settling = Arc::new(provisioner(kube_api_url, Some(&sink)));
        let answering = Arc::new(provisioner(kube_api_url, (mode == Mode::Sink).then_some(&sink)));
        let to_settling = serve(&settling, dice).await;
        let to_answering = serve(&answering, dice).await;
        let patient = broker(&format!("{}/dead-letter", to_settling.url()), 60, None).await;
        let broker = broker(&format!("{}/", to_answering.url()), 3, Some(&patient)).await;
        _ = ingress.set(to_server(&broker.url()));
        let provisioners = [answering, settling];
        Self { mode, broker, patient, provisioners, _proxies: [to_sink, to_settling, to_answering] }
    }

    /// How many events are under way.
    pub fn in_flight(&self) -> usize {
        self.broker.in_flight() + self.patient.in_flight()
    }

    /// How many steps and dead letters the brokers hold in memory.
    pub fn kept(&self) -> usize {
        let kept = |broker: &Broker| broker.events().len() + broker.dead_letters().len();
        kept(&self.broker) + kept(&self.patient)
    }

    /// Waits until every event has come to its end.
    pub async fn wait_idle(&self) {
        while self.in_flight() > 0 {
            self.broker.wait_idle().await;
            self.patient.wait_idle().await;
        }
    }

    /// Whether an instance trapped since the last time; forgets the log.
    pub fn has_trapped(&self) -> bool {
        self.provisioners.iter().fold(false, |trapped, provisioner| {
            let text = provisioner.logs().text();
            provisioner.logs().clear();
            trapped || text.contains("the component failed") || text.contains("gave no response")
        })
    }
}

fn late(upstream: Arc<OnceLock<Upstream>>) -> Upstream {
    Arc::new(move |request| match upstream.get() {
        Some(upstream) => upstream(request),
        None => Box::pin(std::future::ready(Err("there is no broker yet".to_owned()))),
    })
}

fn provisioner(kube_api_url: &str, sink: Option<&String>) -> Provisioner {
    let address = "pod-gateway-{gateway}.gateway-system.svc.cluster.local";
    let mut variables = vec![("kube_api_timeout", "1s"), ("gateway_address", address)];
    let k_sink = sink.map(|sink| format!("{sink}/default/default")).unwrap_or_default();
    if let Some(sink) = sink {
        variables.extend([("k_sink", k_sink.as_str()), ("sink_origin", sink)]);
    }
    let config = host::RuntimeConfig { max_instance_memory: Some(64 << 20), ..Default::default() };
    Provisioner::start_with(kube_api_url, &variables, config)
}

async fn broker(subscriber: &str, retry: u32, dead_letters: Option<&Broker>) -> Broker {
    let subscriber = subscriber.parse().expect("a proxy's URL is a URI");
    let mut config = BrokerConfig::new(subscriber, PENDING);
    let (backoff_policy, backoff_delay) = (BackoffPolicy::Linear, Duration::from_millis(20));
    let trigger = &mut config.triggers[0];
    trigger.delivery = Delivery { retry, backoff_policy, backoff_delay, timeout: Some(Duration::from_secs(4)) };
    trigger.dead_letter_sink = dead_letters.map(|broker| broker.url().parse().expect("a broker's URL is a URI"));
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
