//! `--check`: for each gateway, what would become of a client, as a table or as JSON.
//!
//! The provisioner's own core asks, with a server-side dry run, so that what it says of a Pod here is what it will say
//! of it in earnest. Nothing is created. What a dry run can't show is read from how the gateways' webhooks are
//! registered, where whoever asks may look.

use std::collections::HashSet;

use anstyle::Style;
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
use serde::Serialize;
use uuid::Uuid;

use super::output::{BAD, GOOD, PLAIN, WAIT, coloured};
use super::webhooks::{Findings, Webhooks};
use crate::kubernetes::ROUTED_GATEWAY;

/// What became of the check of a gateway.
#[derive(Serialize)]
pub struct Row {
    gateway: String,
    injected: bool,
    address: Option<String>,
    /// Why it can't take clients.
    pub problem: Option<String>,
    advice: Vec<String>,
}

/// The largest list of webhooks that is read, in bytes: each has a certificate.
const LARGEST_LIST: usize = 16 << 20;

/// The table, and below it each advice once, line by line.
pub fn lines(rows: &[Row]) -> Vec<String> {
    let mut table = vec![(["GATEWAY", "INJECTED", "ADDRESS", "PROBLEM"], PLAIN)];
    for Row { gateway, injected, address, problem, .. } in rows {
        let (injected, address) = (if *injected { "yes" } else { "no" }, address.as_deref().unwrap_or("-"));
        let tone = if problem.is_some() { BAD } else { GOOD };
        table.push(([gateway, injected, address, problem.as_deref().unwrap_or("none")], tone));
    }
    let width = |column: usize| table.iter().map(|(cells, _)| cells[column].len()).max().unwrap_or_default();
    let (first, second, third) = (width(0), width(1), width(2));
    let line = |([gateway, injected, address, problem], tone): &([&str; 4], Style)| {
        coloured(&format!("{gateway:first$}  {injected:second$}  {address:third$}  {problem}"), *tone)
    };
    let mut told = HashSet::new();
    let advice = rows.iter().flat_map(|row| &row.advice).filter(|one| told.insert(*one));
    table.iter().map(line).chain(advice.map(|one| coloured(one, WAIT))).collect()
}

/// Rehearses a client of each gateway, one after the other.
pub async fn check(gateways: &[String], config: &Config, token: &Token, outbound: &impl Outbound) -> Vec<Row> {
    let cluster = Cluster { config, api: Api::new(config, token, HeaderMap::new()), outbound };
    let webhooks = webhooks(&cluster).await;
    let mut rows = Vec::new();
    for gateway in gateways {
        // An event that nobody has sent, for a Pod that nobody has.
        let context = Context { source: "/check".to_owned(), id: Uuid::new_v4().to_string(), ..Context::default() };
        let pending = Pending::new(&context, gateway, config);
        let Findings { problem, advice } = match (&webhooks, &pending) {
            (Ok(Some(webhooks)), Ok(pending)) => {
                webhooks.judge(&manifest(pending, config, None)["metadata"]["labels"], gateways)
            }
            (Err(advice), _) => Findings { advice: vec![advice.clone()], problem: None },
            _ => Findings::default(),
        };
        let rehearsed = rehearse(pending, &cluster).await;
        let problem = rehearsed.clone().err().or(problem);
        let address = rehearsed.unwrap_or_default();
        rows.push(Row { gateway: gateway.clone(), injected: address.is_some(), address, problem, advice });
    }
    rows
}

/// The gateways' webhooks in the client namespace; none where the API has no webhooks at all, as the embedded one.
async fn webhooks(cluster: &Cluster<'_, impl Outbound>) -> Result<Option<Webhooks>, String> {
    let Cluster { config, api, outbound } = cluster;
    let unseen = |verdict: Verdict| {
        format!(
            "how the gateways' webhooks are registered was not looked at: {}. It takes the rights to list \
             mutatingwebhookconfigurations and to get the Namespace {}",
            Retry::from(verdict).cause,
            config.client_namespace
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

/// The address of the gateway that takes the client, where it is told; or why none does.
async fn rehearse(
    pending: Result<Pending<'_>, Failure>,
    cluster: &Cluster<'_, impl Outbound>,
) -> Result<Option<String>, String> {
    let rehearsed = match pending {
        Ok(pending) => Provisioning { pending: &pending, cluster }.rehearse().await,
        Err(failure) => Err(failure.into()),
    };
    match settled(rehearsed) {
        Ok(Ok(pod)) => Ok(injected_address(&pod).ok().map(str::to_owned)),
        Ok(Err(failure)) => Err(explain(&failure, cluster).await),
        // Nobody has given up on anything: this is what heals, or what somebody has to heal.
        Err(retry) => Err(format!("events would wait: {}", retry.cause)),
    }
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
            let key = &cluster.config.gateway_key;
            format!("GatewayNotInjected: no webhook acts on this value of {key} in {name}: is that gateway installed?")
        }
        // The provisioner's own Role can't look.
        Err(_) => reason,
    }
}
