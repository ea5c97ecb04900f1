//! `--check`: for each gateway, what would become of a client, as a table or as JSON.
//!
//! The provisioner's own core asks, with a server-side dry run, so that what it says of a Pod here is what it will say
//! of it in earnest. Nothing is created. What a dry run can't show is read from how the gateways' webhooks are
//! registered, where whoever asks may look.

use http::header::HeaderMap;
use provisioner::cluster::Cluster;
use provisioner::config::Config;
use provisioner::context::Context;
use provisioner::event::Pending;
use provisioner::gateway::injected_address;
use provisioner::kubernetes::{Api, Call, Retry, Token, Verdict, read_object, settled, verdict};
use provisioner::manifest::manifest;
use provisioner::outbound::{Bounds, Outbound};
use provisioner::provision::Provisioning;
use provisioner::reason::{Failure, Reason};
use serde_json::{Value, json};
use uuid::Uuid;

use super::output::{Tone, coloured};
use super::webhooks::{Findings, Webhooks};
use crate::kubernetes::ROUTED_GATEWAY;

/// What became of the check of each gateway.
pub struct Report(Vec<Row>);

struct Row {
    gateway: String,
    address: Option<String>,
    problem: Option<String>,
    advice: Vec<String>,
}

/// The largest list of webhooks that is read, in bytes: each has a certificate.
const LARGEST_LIST: usize = 16 << 20;

impl Report {
    /// How many gateways can't take clients.
    pub fn failed(&self) -> usize {
        self.0.iter().filter(|row| row.problem.is_some()).count()
    }

    /// The table, and below it each advice once, line by line.
    pub fn lines(&self) -> Vec<String> {
        let header = Row::header();
        let width =
            |text: fn(&Row) -> &str| self.0.iter().chain([&header]).map(|row| text(row).len()).max().unwrap_or(0);
        let (gateway, address) = (width(|row| &row.gateway), width(Row::address));
        let line = |row: &Row, injected: &str, tone| {
            let problem = row.problem.as_deref().unwrap_or("none");
            coloured(&format!("{:gateway$}  {injected:8}  {:address$}  {problem}", row.gateway, row.address()), tone)
        };
        let rows = self.0.iter().map(|row| line(row, row.injected(), row.tone()));
        let mut advice: Vec<&String> = Vec::new();
        for one in self.0.iter().flat_map(|row| &row.advice) {
            if !advice.contains(&one) {
                advice.push(one);
            }
        }
        let advice = advice.into_iter().map(|one| coloured(one, Tone::Wait));
        [line(&header, "INJECTED", Tone::Plain)].into_iter().chain(rows).chain(advice).collect()
    }

    /// An array of `gateway`, `injected`, `address`, `problem` and `advice`; `address` and `problem` may be null.
    pub fn json(&self) -> Value {
        let row = |row: &Row| {
            json!({
                "gateway": row.gateway,
                "injected": row.address.is_some(),
                "address": row.address,
                "problem": row.problem,
                "advice": row.advice,
            })
        };
        self.0.iter().map(row).collect()
    }
}

impl Row {
    fn header() -> Self {
        let (address, problem) = (Some("ADDRESS".into()), Some("PROBLEM".into()));
        Self { gateway: "GATEWAY".into(), address, problem, advice: Vec::new() }
    }

    fn address(&self) -> &str {
        self.address.as_deref().unwrap_or("-")
    }

    fn injected(&self) -> &'static str {
        if self.address.is_some() { "yes" } else { "no" }
    }

    fn tone(&self) -> Tone {
        if self.problem.is_some() { Tone::Bad } else { Tone::Good }
    }

    /// What is to be said of the webhooks that are asked for its clients.
    fn judged_by(&self, webhooks: Option<&Webhooks>, config: &Config, others: &[&str]) -> Findings {
        let context = nobodys_event();
        let pending = Pending::new(&context, &self.gateway, config);
        let (Some(webhooks), Ok(pending)) = (webhooks, pending) else { return Findings::default() };
        webhooks.judge(&manifest(&pending, config, None)["metadata"]["labels"], others)
    }

    fn note(&mut self, Findings { problem, advice }: Findings) {
        self.problem = self.problem.take().or(problem);
        self.advice = advice;
    }
}

/// Rehearses a client of each gateway, one after the other.
pub async fn check(gateways: &[String], config: &Config, token: &Token, outbound: &impl Outbound) -> Report {
    let mut rows = Vec::new();
    for gateway in gateways {
        rows.push(check_gateway(gateway, config, token, outbound).await);
    }
    let webhooks = webhooks(&Api::new(config, token, HeaderMap::new()), config, outbound).await;
    for row in &mut rows {
        let others: Vec<&str> = gateways.iter().map(String::as_str).filter(|other| *other != row.gateway).collect();
        row.note(match &webhooks {
            Ok(webhooks) => row.judged_by(webhooks.as_ref(), config, &others),
            Err(advice) => Findings { advice: vec![advice.clone()], problem: None },
        });
    }
    Report(rows)
}

/// The gateways' webhooks in the client namespace; none where the API has no webhooks at all, as the embedded one.
async fn webhooks(api: &Api<'_>, config: &Config, outbound: &impl Outbound) -> Result<Option<Webhooks>, String> {
    let unseen = |verdict: Verdict| {
        format!(
            "how the gateways' webhooks are registered was not looked at, which takes the rights to list \
             mutatingwebhookconfigurations and to get the Namespace {}: {}",
            config.client_namespace,
            Retry::from(verdict).cause
        )
    };
    let bounds = Bounds { answer: LARGEST_LIST, ..config.bounds() };
    let look = async |request, kind| {
        let answer = verdict(Call::Get, outbound.send(request, bounds).await);
        answer.and_then(|body| read_object(&body, kind))
    };
    let list = match look(api.get_webhooks(), "MutatingWebhookConfigurationList").await {
        Err(Verdict::NotFound(_)) => return Ok(None),
        list => list.map_err(unseen)?,
    };
    let namespace = look(api.get_namespace(), "Namespace").await.map_err(unseen)?;
    Ok(Some(Webhooks::of(&list, &namespace, &config.gateway_key)))
}

async fn check_gateway(gateway: &str, config: &Config, token: &Token, outbound: &impl Outbound) -> Row {
    let cluster = Cluster { config, api: Api::new(config, token, HeaderMap::new()), outbound };
    let context = nobodys_event();
    let rehearsed = match Pending::new(&context, gateway, config) {
        Ok(pending) => Provisioning { pending: &pending, cluster: &cluster }.rehearse().await,
        Err(failure) => Err(failure.into()),
    };
    let (address, problem) = match settled(rehearsed) {
        Ok(Ok(pod)) => (injected_address(&pod).ok().map(str::to_owned), None),
        Ok(Err(failure)) => (None, Some(explain(&failure, &cluster).await)),
        // Nobody has given up on anything: this is what heals, or what somebody has to heal.
        Err(retry) => (None, Some(format!("events would wait: {}", retry.cause))),
    };
    Row { gateway: gateway.to_owned(), address, problem, advice: Vec::new() }
}

/// An event that nobody has sent, for a Pod that nobody has.
fn nobodys_event() -> Context {
    Context { source: "/check".to_owned(), id: Uuid::new_v4().to_string(), ..Context::default() }
}

/// What is wrong, and where it can be told, why.
async fn explain(failure: &Failure, cluster: &Cluster<'_, impl Outbound>) -> String {
    let reason = format!("{:?}: {}", failure.reason, failure.message);
    if failure.reason != Reason::GatewayNotInjected {
        return reason;
    }
    let answer = cluster.ask(Call::Get, cluster.api.get_namespace()).await;
    let namespace = answer.and_then(|body| read_object(&body, "Namespace"));
    let name = &cluster.config.client_namespace;
    match namespace.map(|namespace| namespace["metadata"]["labels"][ROUTED_GATEWAY] == "true") {
        Ok(false) => format!("GatewayNotInjected: the namespace {name} is not labelled {ROUTED_GATEWAY}: \"true\""),
        Ok(true) => {
            format!("GatewayNotInjected: no webhook acts on {} in {name}: is it installed?", cluster.config.gateway_key)
        }
        // The provisioner's own Role can't look.
        Err(_) => reason,
    }
}
