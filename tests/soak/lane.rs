//! A broker, its Triggers, the provisioner and the dead letter route, with faults on every way between them.
//!
//! The dead letter sink is a broker of its own, with more patience: what the first gives up on, the second holds until
//! the provisioner has settled it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{Response, Uri};
use local::broker::{Broker, BrokerConfig, Delivery, Filter, Trigger};
use local::cli::triggers::triggers;
use provisioner::event::{PENDING, PING};
use tests::Provisioner;
use tests::events::binary;
use tests::fault::{Proxy, Upstream, serving, to_server};

use crate::chance::{per_mille, way_faults};

/// While a broker may deliver an event again, nothing of it is swept away.
const PATIENT: [(&str, &str); 1] = [("client_retention", "off")];
const IMPATIENT: [(&str, &str); 2] = [("client_retention", "0s"), ("client_patience", "1s")];

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
    pub async fn start(answers_in_sink: bool, kube_api_url: &str) -> Self {
        let ingress = Arc::new(OnceLock::new());
        let to_sink = Proxy::start(late(ingress.clone()), way_faults());
        let sink = to_sink.url();
        let settling = Arc::new(provisioner(kube_api_url, &sink, true, &PATIENT));
        let answering = Arc::new(provisioner(kube_api_url, &sink, answers_in_sink, &PATIENT));
        let sweeping = provisioner(kube_api_url, &sink, true, &IMPATIENT);
        let to_settling = Proxy::start(mortal(&settling), way_faults());
        let to_answering = Proxy::start(mortal(&answering), way_faults());
        let dead_letters = Trigger::new(uri(&format!("{}/dead-letter", to_settling.url())), Filter::default());
        let patient = broker(vec![Trigger { delivery: delivery(11), ..dead_letters }]).await;
        let [to_answer, to_settle] = [&to_answering, &to_settling].map(|proxy| proxy.url().replace("http://", ""));
        let triggers = triggers(to_answer.parse().unwrap(), to_settle.parse().unwrap()).map(|trigger| Trigger {
            delivery: delivery(trigger.delivery.retry.min(3)),
            dead_letter_sink: trigger.dead_letter_sink.map(|_| uri(patient.url())),
            ..trigger
        });
        let broker = broker(triggers.collect()).await;
        _ = ingress.set(to_server(broker.url()));
        Self { broker, patient, answering, settling, sweeping, _proxies: [to_sink, to_settling, to_answering] }
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

    /// What was logged.
    pub fn logs(&self) -> String {
        [&*self.answering, &self.settling, &self.sweeping].map(|provisioner| provisioner.logs().text()).concat()
    }
}

fn late(upstream: Arc<OnceLock<Upstream>>) -> Upstream {
    serving(move |request| {
        let broker = upstream.get().map(|upstream| upstream(request));
        async { broker.ok_or("there is no broker yet")?.await }
    })
}

fn provisioner(kube_api_url: &str, sink: &str, has_sink: bool, patience: &[(&str, &str)]) -> Provisioner {
    let address = "pod-gateway-{gateway}.gateway-system.svc.cluster.local";
    let usual = [("kube_api_timeout", "1s"), ("gateway_address", address), ("client_pod_template", "crawler")];
    let k_sink = format!("{sink}/default/default");
    let sink = [("k_sink", k_sink.as_str()), ("sink_origin", sink)];
    let variables = [&usual[..], patience, if has_sink { &sink } else { &[] }].concat();
    let config = host::RuntimeConfig { max_instance_memory: Some(64 << 20), ..Default::default() };
    Provisioner::start_with(kube_api_url, &variables, config)
}

fn uri(url: &str) -> Uri {
    url.parse().expect("a server's URL is a URI")
}

fn delivery(retry: u32) -> Delivery {
    Delivery { retry, backoff_delay: Duration::from_millis(20), timeout: Some(Duration::from_secs(4)) }
}

async fn broker(triggers: Vec<Trigger>) -> Broker {
    let config = BrokerConfig { triggers, ..BrokerConfig::new(Uri::from_static("http://nobody"), PENDING) };
    Broker::bind(config).await.expect("a port is free")
}

/// A provisioner of which an instance ends where it stands now and then.
fn mortal(provisioner: &Arc<Provisioner>) -> Upstream {
    let provisioner = provisioner.clone();
    serving(move |request| {
        let life = if per_mille(40) { Duration::from_millis(fastrand::u64(..25)) } else { Duration::from_secs(60) };
        let provisioner = provisioner.clone();
        async move {
            let delivery = provisioner.deliver(request.map(Into::into));
            let reply = tokio::time::timeout(life, delivery).await.map_err(|_| "the instance was ended".to_owned())?;
            let mut response = Response::new(reply.body);
            (*response.status_mut(), *response.headers_mut()) = (reply.status, reply.headers);
            Ok(response)
        }
    })
}
