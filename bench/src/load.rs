//! Events, so many at a time, and how long each takes.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use serde::Serialize;
use serde_json::{Value, json};
use tests::events::pending_with;
use tokio::task::JoinSet;

use crate::client::{Client, client};
use crate::floor::Floor;

/// What events are sent to.
#[derive(Clone)]
pub enum Target {
    /// The API, by the calls alone.
    Floor(Arc<Floor>),
    /// A provisioner.
    Http {
        /// With the connections to it.
        client: Arc<Client>,
        /// Where it is.
        url: String,
        /// How many bytes stand in an event's data beside what is needed.
        padding: usize,
        /// The sender's token, where it has to say who it is.
        token: Option<String>,
    },
}

/// How an event ended, or why it has to come again.
enum Ended {
    Done(Value),
    Again(String),
}

/// How long a broker waits before it delivers again; every time twice as long as before.
const BACKOFF: Duration = Duration::from_millis(50);

/// The longest that it waits.
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);

/// How often at most: more than that is an error.
const REDELIVERIES: u64 = 100;

impl Target {
    /// A provisioner at this URL.
    pub fn http(url: &str) -> Self {
        let url = format!("{}/", url.trim_end_matches('/'));
        Self::Http { client: Arc::new(client(None)), url, padding: 0, token: None }
    }

    /// The same, to which a sender says who it is.
    pub fn by(&self, sender: String) -> Self {
        let mut by = self.clone();
        if let Self::Http { token, .. } = &mut by {
            *token = Some(sender);
        }
        by
    }

    /// The same, whose events are larger.
    pub fn padded(&self, bytes: usize) -> Self {
        let mut padded = self.clone();
        if let Self::Http { padding, .. } = &mut padded {
            *padding = bytes;
        }
        padded
    }

    /// One event of which nobody has heard yet, delivered until it is done. Gives the uid of its Pod, where there is an
    /// answer that says it, and how often it was delivered again.
    ///
    /// # Panics
    /// When it fails, or is never done.
    pub async fn event(&self) -> (Value, u64) {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let (mut last, mut wait) = (String::new(), BACKOFF);
        for redeliveries in 0..REDELIVERIES {
            match self.deliver(number).await {
                Ended::Done(uid) => return (uid, redeliveries),
                Ended::Again(why) => last = why,
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_BACKOFF);
        }
        panic!("event {number} is never done: {last}");
    }

    async fn deliver(&self, number: u64) -> Ended {
        let run = std::process::id();
        match self {
            Self::Floor(floor) => {
                floor.event(run, number).await.map_or_else(Ended::Again, |()| Ended::Done(Value::Null))
            }
            Self::Http { client, url, padding, token } => {
                let mut data = json!({"gateway_name": "foo"});
                if *padding > 0 {
                    data["padding"] = json!("x".repeat(*padding));
                }
                let mut request = pending_with(&format!("{run}-{number}"), &data.to_string());
                *request.uri_mut() = url.parse().expect("the target is a URL");
                if let Some(token) = token {
                    let value = format!("Bearer {token}").parse().expect("a token is ASCII");
                    request.headers_mut().insert("authorization", value);
                }
                deliver(client, request).await
            }
        }
    }
}

async fn deliver(client: &Client, request: tests::events::Delivery) -> Ended {
    let response = match client.request(request).await {
        Ok(response) => response,
        Err(error) => return Ended::Again(format!("{error:?}")),
    };
    let (head, body) = response.into_parts();
    let Ok(body) = body.collect().await else { return Ended::Again("cut off".to_owned()) };
    let body: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
    let outcome = head.headers.get("ce-type").and_then(|ty| ty.to_str().ok()).unwrap_or_default();
    match head.status.as_u16() {
        200 if outcome.ends_with(".done") => Ended::Done(body["pod_uid"].clone()),
        code @ (429 | 500..) => Ended::Again(format!("{code}")),
        code => panic!("an event was answered {code} {outcome} {body}"),
    }
}

/// What events took.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Sample {
    /// How many were done.
    pub events: usize,
    /// How many in a second.
    pub events_per_second: f64,
    /// Half of them took less, in milliseconds.
    pub p50_ms: f64,
    /// Nine of ten took less.
    pub p90_ms: f64,
    /// All but one of a hundred took less.
    pub p99_ms: f64,
    /// The slowest.
    pub max_ms: f64,
    /// How many deliveries had to be made again.
    pub redeliveries: u64,
    /// How many Pods the answers spoke of, where they do.
    pub pods: usize,
}

/// How long load lasts.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// So long.
    Time(Duration),
    /// So many events.
    Events(usize),
}

/// What one of those who send events has seen.
#[derive(Default)]
pub struct Seen {
    milliseconds: Vec<f64>,
    redeliveries: u64,
    uids: HashSet<String>,
}

/// Keeps `at_once` events under way.
pub async fn load(target: &Target, at_once: usize, until: Until) -> Sample {
    let begin = Instant::now();
    let taken = Arc::new(AtomicU64::new(0));
    let mut senders = JoinSet::new();
    for _ in 0..at_once {
        senders.spawn(send(target.clone(), begin, until, taken.clone()));
    }
    let mut all = Seen::default();
    while let Some(seen) = senders.join_next().await {
        let seen = seen.expect("every event is done");
        all.milliseconds.extend(seen.milliseconds);
        all.redeliveries += seen.redeliveries;
        all.uids.extend(seen.uids);
    }
    all.sample(begin.elapsed())
}

async fn send(target: Target, begin: Instant, until: Until, taken: Arc<AtomicU64>) -> Seen {
    let mut seen = Seen::default();
    loop {
        let number = taken.fetch_add(1, Ordering::Relaxed);
        let is_over = match until {
            Until::Time(time) => begin.elapsed() >= time,
            Until::Events(events) => number >= events as u64,
        };
        if is_over {
            return seen;
        }
        let begin = Instant::now();
        let (uid, redeliveries) = target.event().await;
        seen.note(begin.elapsed());
        seen.redeliveries += redeliveries;
        seen.uids.extend(uid.as_str().map(str::to_owned));
    }
}

impl Seen {
    /// Notes what an event took.
    pub fn note(&mut self, time: Duration) {
        self.milliseconds.push(time.as_secs_f64() * 1e3);
    }

    /// What they took together, in a time in which all of them came.
    pub fn sample(mut self, elapsed: Duration) -> Sample {
        self.milliseconds.sort_by(f64::total_cmp);
        let times = &self.milliseconds;
        let at = |part: f64| times.get(((times.len() as f64 * part) as usize).min(times.len().saturating_sub(1)));
        let at = |part: f64| at(part).copied().unwrap_or_default();
        Sample {
            events: times.len(),
            events_per_second: times.len() as f64 / elapsed.as_secs_f64(),
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            max_ms: at(1.0),
            redeliveries: self.redeliveries,
            pods: self.uids.len(),
        }
    }
}
