//! `--check`: for each gateway, what would become of a client, as a table or as JSON.
//!
//! The provisioner's own core asks, with a server-side dry run, so that what it says of a Pod here is what it will say
//! of it in earnest. Nothing is created.

use cloudevents::{EventBuilder, EventBuilderV10};
use http::header::HeaderMap;
use provisioner::config::Config;
use provisioner::event::{PENDING, PendingClient};
use provisioner::gateway::injected_address;
use provisioner::kubernetes::{Api, Token};
use provisioner::outbound::Outbound;
use provisioner::pod;
use provisioner::provision::Delivery;
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
    let rehearsed = match wish(gateway, config) {
        Ok(client) => {
            let name = &pod::name(&client.context);
            Delivery { client: &client, name, config, api: api(), outbound }.rehearse().await
        }
        Err(failure) => Err(failure),
    };
    let (address, problem) = match rehearsed {
        Ok(pod) => (injected_address(&pod).ok().map(str::to_owned), None),
        Err(failure) => (None, Some(explain(&failure, &api(), config, outbound).await)),
    };
    Row { gateway: gateway.to_owned(), address, problem }
}

/// A pending event that nobody has sent, for a Pod that nobody has.
fn wish(gateway: &str, config: &Config) -> Result<PendingClient, Failure> {
    let event = EventBuilderV10::new()
        .id(Uuid::new_v4().to_string())
        .source("/check")
        .ty(PENDING)
        .data("application/json", json!({ "gateway_name": gateway }))
        .build();
    PendingClient::from_event(&event.expect("it has its id, type and source"), config)
}

/// What is wrong, and where it can be told, why.
async fn explain(failure: &Failure, api: &Api<'_>, config: &Config, outbound: &impl Outbound) -> String {
    let reason = match failure.reason {
        // Nobody has given up on anything: this is what heals, or what somebody has to heal.
        Reason::Undeliverable => format!("events would wait: {}", failure.message),
        reason => format!("{reason:?}: {}", failure.message),
    };
    if failure.reason != Reason::GatewayNotInjected {
        return reason;
    }
    let namespace = api.read_object(outbound.send(api.get_namespace()).await, "Namespace");
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
