//! `--check`: for each gateway, what would become of a client, as a table or as JSON.
//!
//! The provisioner's own core asks, with a server-side dry run, so that what it says of a Pod here is what it will say
//! of it in earnest. Nothing is created.

use http::header::HeaderMap;
use provisioner::config::Config;
use provisioner::context::Context;
use provisioner::event::Pending;
use provisioner::gateway::injected_address;
use provisioner::kubernetes::{Api, Call, Token, read_object, verdict};
use provisioner::outbound::{Bounds, Outbound};
use provisioner::provision::{LARGEST_ANSWER, Outcome, Provisioning};
use provisioner::reason::{Failure, Reason};
use serde_json::{Value, json};
use uuid::Uuid;

use super::output::{Tone, coloured};
use crate::kubernetes::ROUTED_GATEWAY;

/// What became of the check of each gateway.
pub struct Report(Vec<Row>);

struct Row {
    gateway: String,
    address: Option<String>,
    problem: Option<String>,
}

impl Report {
    /// How many gateways can't take clients.
    pub fn failed(&self) -> usize {
        self.0.iter().filter(|row| row.problem.is_some()).count()
    }

    /// The table, line by line.
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
        [line(&header, "INJECTED", Tone::Plain)].into_iter().chain(rows).collect()
    }

    /// An array of `gateway`, `injected`, `address` and `problem`; the last two may be null.
    pub fn json(&self) -> Value {
        let row = |row: &Row| {
            json!({
                "gateway": row.gateway,
                "injected": row.address.is_some(),
                "address": row.address,
                "problem": row.problem,
            })
        };
        self.0.iter().map(row).collect()
    }
}

impl Row {
    fn header() -> Self {
        Self { gateway: "GATEWAY".into(), address: Some("ADDRESS".into()), problem: Some("PROBLEM".into()) }
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
}

/// Rehearses a client of each gateway, one after the other.
pub async fn check(gateways: &[String], config: &Config, token: &Token, outbound: &impl Outbound) -> Report {
    let mut rows = Vec::new();
    for gateway in gateways {
        rows.push(check_gateway(gateway, config, token, outbound).await);
    }
    Report(rows)
}

async fn check_gateway(gateway: &str, config: &Config, token: &Token, outbound: &impl Outbound) -> Row {
    let api = || Api::new(config, token, HeaderMap::new());
    // Of an event that nobody has sent, for a Pod that nobody has.
    let context = Context { source: "/check".to_owned(), id: Uuid::new_v4().to_string(), ..Context::default() };
    let rehearsed = match Pending::new(&context, gateway, config) {
        Ok(pending) => Provisioning { pending: &pending, config, api: api(), outbound }.rehearse().await,
        Err(failure) => Err(Outcome::Failed(failure)),
    };
    let (address, problem) = match rehearsed {
        Ok(pod) => (injected_address(&pod).ok().map(str::to_owned), None),
        Err(Outcome::Failed(failure)) => (None, Some(explain(&failure, &api(), config, outbound).await)),
        // Nobody has given up on anything: this is what heals, or what somebody has to heal.
        Err(Outcome::Retry(retry)) => (None, Some(format!("events would wait: {}", retry.cause))),
        Err(Outcome::Done(_)) => (None, Some("it was there already".to_owned())),
    };
    Row { gateway: gateway.to_owned(), address, problem }
}

/// What is wrong, and where it can be told, why.
async fn explain(failure: &Failure, api: &Api<'_>, config: &Config, outbound: &impl Outbound) -> String {
    let reason = format!("{:?}: {}", failure.reason, failure.message);
    if failure.reason != Reason::GatewayNotInjected {
        return reason;
    }
    let bounds = Bounds { answer: LARGEST_ANSWER, ..config.bounds() };
    let answer = verdict(Call::Get, outbound.send(api.get_namespace(), bounds).await);
    let namespace = answer.and_then(|body| read_object(&body, "Namespace"));
    let name = &config.client_namespace;
    match namespace.map(|namespace| namespace["metadata"]["labels"][ROUTED_GATEWAY] == "true") {
        Ok(false) => format!("GatewayNotInjected: the namespace {name} is not labelled {ROUTED_GATEWAY}: \"true\""),
        Ok(true) => {
            format!("GatewayNotInjected: no webhook acts on {} in {name}: is it installed?", config.gateway_key)
        }
        // The provisioner's own Role can't look.
        Err(_) => reason,
    }
}
