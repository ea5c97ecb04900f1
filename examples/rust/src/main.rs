//! Asks for a client of a gateway: publishes `io.podgateway.client.pending` to a Broker, in structured mode.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use cloudevents::{AttributesReader, Event, EventBuilder, EventBuilderV10};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::json;

/// How long the broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks for a client of a gateway
#[derive(Debug, Parser)]
struct Args {
    /// The event's id; sent again, it stands for the same Pod. A UUID where none is given
    #[arg(long)]
    id: Option<String>,
    /// The event's source
    #[arg(long, default_value = "/examples/rust")]
    source: String,
    /// The gateway
    gateway: String,
    /// The Broker's address, unless K_SINK is set
    broker: Option<String>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let sink = std::env::var("K_SINK").ok().filter(|sink| !sink.is_empty());
    let Some(broker) = sink.or(args.broker) else {
        eprintln!("give the Broker's address, or set K_SINK");
        return ExitCode::from(2);
    };
    let id = args.id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    match publish(&id, &args.source, &args.gateway, &broker) {
        Ok(()) => println!("published: id {id}, source {}, gateway {}", args.source, args.gateway),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn publish(id: &str, source: &str, gateway: &str, broker: &str) -> Result<(), Box<dyn Error>> {
    let event = EventBuilderV10::new().id(id).source(source).ty("io.podgateway.client.pending");
    let event = event.data("application/json", json!({ "gateway_name": gateway })).build()?;
    let sent = async { tokio::time::timeout(PATIENCE, send(&event, broker)).await };
    match tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(sent) {
        Ok(result) => result,
        Err(_) => Err(no_answer(&event, broker, &"it took too long").into()),
    }
}

async fn send(event: &Event, broker: &str) -> Result<(), Box<dyn Error>> {
    let request = Request::post(broker)
        .header("content-type", "application/cloudevents+json")
        .body(Full::new(Bytes::from(serde_json::to_vec(event)?)));
    let request = request.map_err(|error| format!("{broker} is no address: {error}"))?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request).await.map_err(|error| no_answer(event, broker, &innermost(&error)))?;
    let (status, body) = (response.status(), response.into_body().collect().await);
    if status.is_success() {
        return Ok(());
    }
    let body = body.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned()).unwrap_or_default();
    Err(format!("{broker} refuses the event: {status} {body}").into())
}

/// What to do if it isn't known whether the broker took the event.
fn no_answer(event: &Event, broker: &str, why: &dyn std::fmt::Display) -> String {
    let again = format!("--id {} --source {}", event.id(), event.source());
    format!("no answer from {broker}: {why}. Send it again with {again}: there will be one Pod")
}

fn innermost<'e>(error: &'e (dyn Error + 'static)) -> &'e (dyn Error + 'static) {
    error.source().map_or(error, innermost)
}
