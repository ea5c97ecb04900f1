//! What surrounds one cell: an API server that works, a sink that takes everything, a proxy in front of each, and the
//! component.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use host::RuntimeConfig;
use http::{Response, StatusCode};
use local::kubernetes::{ChangeKind, Config, EmbeddedApi, PodChange};
use provisioner::event::{PING, TERMINATION, UPDATED};
use provisioner::pod::text;
use provisioner::testing::pod_template;
use serde_json::{Value, json};
use tests::events::{Delivery, binary, pending};
use tests::fault::{Call, Fault, Plan, Proxy, Upstream, serving, to_server};
use tests::pods::{is_gated, is_routed};
use tests::{Provisioner, Reply, TOKEN, schema};
use tokio::sync::broadcast;

use crate::table::{Event, Step};

/// The most memory that an instance gets: of an answer that has 100 MB it can't take much.
const MEMORY: usize = 16 << 20;

/// How long each step of the kubelet takes that is played.
const KUBELET: Duration = Duration::from_millis(5);

/// What an event ends in when nothing goes wrong, in the document's words.
pub const AS_USUAL: &str = "as usual";

/// A fault that the next call of its kind meets, once.
type Trap = Arc<Mutex<Option<(Call, Fault)>>>;

/// One API server, one sink, and the way to both.
pub struct World {
    pub step: Step,
    pub api: EmbeddedApi,
    pub to_api: Proxy,
    pub to_sink: Proxy,
    /// Whether a removal is answered that did not happen.
    pub is_lied_to: bool,
    trap: Trap,
    taken: Arc<Mutex<Vec<Reply>>>,
    changes: Mutex<broadcast::Receiver<PodChange>>,
}

impl World {
    /// A world in which this call is made for this event.
    pub async fn of(step: Step) -> Self {
        let kubelet = matches!(step.0, Event::Update | Event::Ping).then_some(KUBELET);
        let config =
            Config { token: TOKEN.to_owned(), pod_templates: vec![pod_template(|_| ())], kubelet, ..Config::demo() };
        let api = EmbeddedApi::bind(config, ([127, 0, 0, 1], 0).into()).await.expect("a port is free");
        let (trap, taken) = (Trap::default(), Arc::default());
        let to_api = Proxy::start(to_server(&api.url()), plan(&trap));
        let to_sink = Proxy::start(sink(&taken), plan(&trap));
        let changes = Mutex::new(api.subscribe());
        let world = Self { step, api, to_api, to_sink, is_lied_to: false, trap, taken, changes };
        if step.0 != Event::Pending || step.1 == Call::Get {
            world.make_client(kubelet.is_some()).await;
        }
        world
    }

    /// Makes the client that the event is about, and waits until it runs; or the Pod that an earlier delivery of the
    /// event made, which never heard of it.
    async fn make_client(&self, has_kubelet: bool) {
        if self.step.1 == Call::Get && self.step.0 == Event::Pending {
            self.set(Call::Create, Fault::LoseAnswer);
        }
        let reply = Provisioner::start(&self.to_api.url(), &[]).deliver(pending("1", "foo")).await;
        assert_eq!(reply.outcome() == "done", self.step.0 != Event::Pending, "{reply:?}");
        while has_kubelet && self.client()["status"]["phase"] != "Running" {
            tokio::time::sleep(KUBELET).await;
        }
    }

    pub fn client(&self) -> Value {
        self.api.pods("default").pop().unwrap_or_default()
    }

    /// Lets the next `call` meet `fault`.
    pub fn set(&self, call: Call, fault: Fault) {
        *self.trap.lock().unwrap() = Some((call, fault));
    }

    /// Whether a call met it.
    pub fn has_sprung(&self) -> bool {
        self.trap.lock().unwrap().is_none()
    }

    /// The events that the sink was given, each as if it had been an answer.
    pub fn taken(&self) -> Vec<Reply> {
        self.taken.lock().unwrap().clone()
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

    /// The component, for which the server of the world's call may be elsewhere.
    pub fn provisioner(&self, elsewhere: Option<String>, timeout: &str) -> Provisioner {
        let (mut api, mut sink) = (self.to_api.url(), self.to_sink.url());
        if let Some(url) = elsewhere {
            *(if self.step.1 == Call::Sink { &mut sink } else { &mut api }) = url;
        }
        let mut variables = vec![("kube_api_timeout", timeout)];
        let k_sink = format!("{sink}/client-system/default");
        match self.step {
            (_, Call::Template) => variables.push(("client_pod_template", "crawler")),
            (_, Call::Review) => variables.push(("sender_audience", "provisioner")),
            (_, Call::Sink) | (Event::Update | Event::Ping, _) => {
                variables.extend([("k_sink", k_sink.as_str()), ("sink_origin", &sink)]);
            }
            _ => (),
        }
        let config = RuntimeConfig { max_instance_memory: Some(MEMORY), ..RuntimeConfig::default() };
        Provisioner::start_with(&api, &variables, config)
    }

    /// What an answer says to the producer, through the sink where there is one, in the document's words; and the id of the
    /// event that says so.
    pub fn see(&self, reply: &Reply) -> (String, String) {
        let code = reply.status.as_u16();
        // Who isn't let in is told why.
        let has_problem = code == 503 && self.step.1 == Call::Review;
        let told = match (code, self.taken().pop()) {
            (503 | 429, _) if reply.body.is_empty() != has_problem => return (code.to_string(), String::new()),
            (202, None) => return (code.to_string(), String::new()),
            (202, Some(told)) => told,
            (200, _) => reply.clone(),
            _ => panic!("{reply:?}"),
        };
        let end = match told.outcome() {
            "done" | "running" => AS_USUAL.to_owned(),
            "failed" => format!("failed, `{}`", text(&told.json()["reason"])),
            _ => panic!("{told:?}"),
        };
        (end, told.attribute("id").to_owned())
    }

    /// What must hold at any time: one Pod of the event at most, and none that was ever free without its gateway.
    pub fn check(&self) -> usize {
        let mut changes = self.changes.lock().unwrap();
        while let Ok(PodChange { kind, pod }) = changes.try_recv() {
            assert!(kind == ChangeKind::Deleted || is_gated(&pod) || is_routed(&pod), "free without a gateway: {pod}");
        }
        let pods = self.api.pods("default").len();
        assert!(pods <= 1, "{pods} Pods of one event");
        pods
    }
}

fn plan(trap: &Trap) -> Plan {
    let trap = trap.clone();
    Arc::new(move |call| trap.lock().unwrap().take_if(|(meant, _)| *meant == call).map(|(_, fault)| fault))
}

/// A sink that takes every event and remembers it.
fn sink(taken: &Arc<Mutex<Vec<Reply>>>) -> Upstream {
    let taken = taken.clone();
    serving(move |request| {
        let (parts, body) = request.into_parts();
        schema::note(&parts.headers, &body);
        taken.lock().unwrap().push(Reply::new(StatusCode::OK, parts.headers, body));
        std::future::ready(Ok(Response::builder().status(202).body(Bytes::new()).unwrap()))
    })
}
