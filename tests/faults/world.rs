//! What surrounds one cell: an API server that works, a sink that takes everything, a proxy in front of each, and the
//! component.

use std::sync::Mutex;
use std::time::Duration;

use host::RuntimeConfig;
use local::kubernetes::{ChangeKind, Config, EmbeddedApi, PodChange};
use provisioner::event::{PING, TERMINATION, UPDATED};
use provisioner::pod::REPORTED;
use provisioner::testing::pod_template;
use serde_json::{Value, json};
use tests::events::{Delivery, binary, pending};
use tests::fault::{Call, Proxy, Recorder, Trap, to_server};
use tests::pods::{is_gated, is_routed};
use tests::{Provisioner, Reply, TOKEN};
use tokio::sync::broadcast;

use crate::table::{Event, Step};

/// The most memory that an instance gets: what is enough in a cluster.
const MEMORY: usize = 64 << 20;

/// How long each step of the kubelet takes that is played.
const KUBELET: Duration = Duration::from_millis(5);

/// How an event ended for its producer, or that it did not.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// 503, or for true 429.
    Retry(bool),
    /// `failed`: its reason and its id.
    Failed(String, String),
    /// `done`, or the report that there was to make: its id.
    Done(String),
    /// 202, and nothing was told.
    Ignored,
}

/// One API server, one sink, and the way to both.
pub struct World {
    pub step: Step,
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
    /// A world in which this call is made for this event.
    pub async fn of(step: Step) -> Self {
        let kubelet = matches!(step.0, Event::Update | Event::Ping).then_some(KUBELET);
        let config = Config { token: TOKEN.to_owned(), pod_templates: vec![template()], kubelet, ..Config::demo() };
        let api = EmbeddedApi::bind(config, ([127, 0, 0, 1], 0).into()).await.expect("a port is free");
        let (trap, sink) = (Trap::default(), Recorder::default());
        let to_api = Proxy::start(to_server(&api.url()), trap.plan()).await;
        let to_sink = Proxy::start(sink.upstream(), trap.plan()).await;
        let changes = Mutex::new(api.subscribe());
        let world = Self { step, api, to_api, to_sink, trap, sink, is_lied_to: false, changes };
        if step.0 != Event::Pending {
            world.make_client(kubelet.is_some()).await;
        }
        world
    }

    /// Makes the client that the event is about, and waits until it runs.
    async fn make_client(&self, has_kubelet: bool) {
        let reply = Provisioner::start(&self.api.url(), &[]).deliver(pending("1", "foo")).await;
        assert_eq!(reply.outcome(), "done", "{reply:?}");
        while has_kubelet && self.client()["status"]["phase"] != "Running" {
            tokio::time::sleep(KUBELET).await;
        }
    }

    fn client(&self) -> Value {
        self.api.pods("default").pop().unwrap_or_default()
    }

    /// The event that is delivered.
    pub fn event(&self) -> Delivery {
        match self.step.0 {
            Event::Pending => {
                let mut event = pending("1", if self.step.1 == Call::Delete { "nope" } else { "foo" });
                let token = format!("Bearer {TOKEN}").parse().expect("a token is ASCII");
                event.headers_mut().insert("authorization", token);
                event
            }
            Event::Update => binary("2", UPDATED, &self.client().to_string()),
            Event::Ping => binary("2", PING, "{}"),
            Event::Termination => {
                binary("2", TERMINATION, &json!({"pending_event": {"source": "/test", "id": "1"}}).to_string())
            }
        }
    }

    /// The component, with the API server and the sink at these places.
    pub fn provisioner(&self, api: &str, sink: &str, timeout: &str) -> Provisioner {
        let mut variables = vec![("kube_api_timeout", timeout)];
        let k_sink = format!("{sink}/client-system/default");
        match self.step {
            (_, Call::Template) => variables.push(("client_pod_template", "base")),
            (_, Call::Review) => variables.push(("sender_audience", "provisioner")),
            (_, Call::Sink) | (Event::Update | Event::Ping, _) => {
                variables.extend([("k_sink", k_sink.as_str()), ("sink_origin", sink)]);
            }
            _ => (),
        }
        let config = RuntimeConfig { max_instance_memory: Some(MEMORY), ..RuntimeConfig::default() };
        Provisioner::start_with(api, &variables, config)
    }

    /// What an answer says to the producer, through the sink where there is one.
    pub fn see(&self, reply: &Reply) -> Result<Seen, String> {
        let event = match (reply.status.as_u16(), self.step) {
            // Who isn't let in is told why.
            (503, (_, call)) if reply.body.is_empty() != (call == Call::Review) => return Ok(Seen::Retry(false)),
            (429, _) if reply.body.is_empty() => return Ok(Seen::Retry(true)),
            (202, (_, Call::Sink)) => self.sink.taken().last().cloned().ok_or("202, and the sink has nothing")?,
            (202, (Event::Update | Event::Ping, _)) => match self.sink.taken().last() {
                Some(report) => report.clone(),
                None => return Ok(Seen::Ignored),
            },
            (200, _) => reply.clone(),
            (code, _) => return Err(format!("answered {code}: {:?}", reply.body)),
        };
        let id = event.attribute("id").to_owned();
        match event.outcome() {
            "done" | "running" => Ok(Seen::Done(id)),
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

    /// Whether it stands on the Pod that its client was reported.
    pub fn check_note(&self) -> Result<(), String> {
        let noted = &self.client()["metadata"]["annotations"][REPORTED];
        let is_reported = matches!(self.step.0, Event::Update | Event::Ping);
        if is_reported == (noted == "running") { Ok(()) } else { Err(format!("{noted} was noted on the Pod")) }
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
