//! What surrounds one cell: an API server that works, a sink that takes everything, a proxy in front of each, and the
//! component.

use std::sync::Mutex;

use host::RuntimeConfig;
use local::kubernetes::{ChangeKind, Config, EmbeddedApi, PodChange};
use provisioner::testing::pod_template;
use serde_json::{Value, json};
use tests::fault::{Call, Proxy, Recorder, Trap, to_server};
use tests::pods::{is_gated, is_routed};
use tests::{Provisioner, Reply, TOKEN};
use tokio::sync::broadcast;

/// The most memory that an instance gets: what is enough in a cluster.
const MEMORY: usize = 64 << 20;

/// How an event ended for its producer, or that it did not.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// 503, or for true 429.
    Retry(bool),
    /// `failed`: its reason and its id.
    Failed(String, String),
    /// `done`: its id.
    Done(String),
}

/// One API server, one sink, and the way to both.
pub struct World {
    pub call: Call,
    pub api: EmbeddedApi,
    pub to_api: Proxy,
    pub to_sink: Proxy,
    pub trap: Trap,
    pub sink: Recorder,
    /// Whether a removal is answered that did not happen.
    pub is_lied_to: bool,
    changes: Mutex<broadcast::Receiver<PodChange>>,
}

impl World {
    /// A world in which `call` is made.
    pub async fn of(call: Call) -> Self {
        let config = Config { token: TOKEN.to_owned(), pod_templates: vec![template()], ..Config::demo() };
        let api = EmbeddedApi::bind(config, ([127, 0, 0, 1], 0).into()).await.expect("a port is free");
        let (trap, sink) = (Trap::default(), Recorder::default());
        let to_api = Proxy::start(to_server(&api.url()), trap.plan()).await;
        let to_sink = Proxy::start(sink.upstream(), trap.plan()).await;
        let changes = Mutex::new(api.subscribe());
        Self { call, api, to_api, to_sink, trap, sink, is_lied_to: false, changes }
    }

    /// The component, with the API server and the sink at these places.
    pub fn provisioner(&self, api: &str, sink: &str, timeout: &str) -> Provisioner {
        let mut variables = vec![("kube_api_timeout", timeout)];
        let k_sink = format!("{sink}/client-system/default");
        match self.call {
            Call::Template => variables.push(("client_pod_template", "base")),
            Call::Sink => variables.extend([("k_sink", k_sink.as_str()), ("sink_origin", sink)]),
            _ => (),
        }
        let config = RuntimeConfig { max_instance_memory: Some(MEMORY), ..RuntimeConfig::default() };
        Provisioner::start_with(api, &variables, config)
    }

    /// The gateway to ask for, so that the call is made.
    pub fn gateway(&self) -> &'static str {
        if self.call == Call::Delete { "nope" } else { "foo" }
    }

    /// What an answer says to the producer, by way of the sink where there is one.
    pub fn see(&self, reply: &Reply) -> Result<Seen, String> {
        let event = match (reply.status.as_u16(), self.call) {
            (503, _) if reply.body.is_empty() => return Ok(Seen::Retry(false)),
            (429, _) if reply.body.is_empty() => return Ok(Seen::Retry(true)),
            (202, Call::Sink) => self.sink.taken().last().cloned().ok_or("202, and the sink has nothing")?,
            (200, _) => reply.clone(),
            (code, _) => return Err(format!("answered {code}: {:?}", reply.body)),
        };
        let id = event.attribute("id").to_owned();
        match event.outcome() {
            "done" => Ok(Seen::Done(id)),
            "failed" => Ok(Seen::Failed(event.json()["reason"].as_str().unwrap_or_default().to_owned(), id)),
            other => Err(format!("answered with the event {other:?}")),
        }
    }

    /// What must hold at any time: one Pod of the event at most, and none that was ever free without its gateway.
    pub fn check(&self) -> Result<usize, String> {
        let mut changes = self.changes.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        while let Ok(change) = changes.try_recv() {
            if change.kind != ChangeKind::Deleted && !is_gated(&change.pod) && !is_routed(&change.pod) {
                return Err(format!("a Pod was free without a gateway: {}", change.pod));
            }
        }
        let pods = self.api.pods("default").len();
        if pods > 1 { Err(format!("{pods} Pods of one event")) } else { Ok(pods) }
    }

    /// Whether the sink was told one thing only, however often.
    pub fn check_sink(&self) -> Result<(), String> {
        let mut ids: Vec<_> = self.sink.taken().iter().map(|event| event.attribute("id").to_owned()).collect();
        ids.dedup();
        if ids.len() > 1 { Err(format!("the sink was told different things: {ids:?}")) } else { Ok(()) }
    }
}

fn template() -> Value {
    let mut template = pod_template(|_| ());
    template["metadata"] = json!({"name": "base", "namespace": "default"});
    template
}
