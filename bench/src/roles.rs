//! What this program is when it has started itself: an API, or a provisioner.
//!
//! A role says one line of JSON once it is ready, answers each line that it reads with one, and ends with its input.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use host::{Application, Compile, Options, RuntimeConfig, VariableSources};
use local::kubernetes::{Config, EmbeddedApi, Gateway};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tests::cluster::certificates::Authority;
use tests::provisioner::repository;
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};
use tokio::net::TcpListener;

use crate::native;
use crate::setup::Setup;
use crate::spread::middle;
use crate::tls::Tls;

/// What there is to be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Role {
    /// The embedded API over TLS, its authority's certificate in this file.
    Api {
        /// Where the certificate goes.
        ca_file: PathBuf,
        /// The token that it accepts.
        token: String,
        /// Whether there are gateways.
        gateways: bool,
    },
    /// The component in its host.
    Host(Setup),
    /// The core without WebAssembly.
    Native(Setup),
}

/// How often an instance is made to see how long it takes.
const INSTANCES: usize = 1000;

/// Any port of the loopback interface.
pub const ANY_PORT: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

/// Is this, until the input ends.
pub async fn play(role: Role) {
    match role {
        Role::Api { ca_file, token, gateways } => api(ca_file, token, gateways).await,
        Role::Host(setup) => host(&setup).await,
        Role::Native(setup) => native::serve(&setup, orders()).await,
    }
}

/// The lines of the input.
pub type Orders = Lines<BufReader<Stdin>>;

fn orders() -> Orders {
    BufReader::new(tokio::io::stdin()).lines()
}

/// Says something to whoever started this.
pub fn say(value: &Value) {
    println!("{value}");
}

async fn api(ca_file: PathBuf, token: String, gateways: bool) {
    let authority = Authority::new();
    let mut tls = (*authority.server_config()).clone();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    std::fs::write(ca_file, authority.pem()).expect("a certificate can be written");
    let mut config = Config { token, ..Config::demo() };
    config.gateways = if gateways { ["foo", "bar"].map(Gateway::new).to_vec() } else { Vec::new() };
    let api = EmbeddedApi::bind(config, ANY_PORT.into()).await.expect("a port is free");
    let connections: Arc<AtomicU64> = Arc::default();
    let listener = Tls::bind(tls, Arc::clone(&connections)).await;
    say(&json!({"url": format!("https://{}", listener.local_addr)}));
    tokio::spawn(axum::serve(listener, api.router()).into_future());
    let mut orders = orders();
    while let Ok(Some(order)) = orders.next_line().await {
        if order == "clear" {
            api.clear();
        }
        let calls: u64 = api.calls().values().sum();
        let pods = if order == "pods" { api.pods(None).len() } else { 0 };
        say(&json!({"calls": calls, "connections": connections.load(Ordering::Relaxed), "pods": pods}));
    }
}

async fn host(setup: &Setup) {
    let begin = Instant::now();
    let how = Compile { is_optimized: true, ..Compile::default() };
    let application = Application::load(&repository().join("spin.toml"), options(setup), how)
        .unwrap_or_else(|error| panic!("{error} (make bench builds the component first)"));
    let loaded = begin.elapsed();
    let listener = TcpListener::bind(SocketAddr::from(ANY_PORT)).await.expect("a port is free");
    let address = listener.local_addr().expect("a listener has an address");
    say(&json!({"url": format!("http://{address}"), "load_ms": loaded.as_secs_f64() * 1e3}));
    let own = application.clone();
    let answer_orders = async move {
        let mut orders = orders();
        while let Ok(Some(_)) = orders.next_line().await {
            say(&json!({"instance_us": instance(&own).await}));
        }
    };
    host::serve(listener, application.router(), answer_orders, Duration::from_secs(10)).await;
}

fn options(setup: &Setup) -> Options {
    let runtime_config = setup.service_account.with_extension("toml");
    let text = format!(
        "[[client_tls]]\ncomponent_ids = [\"provisioner\"]\nhosts = [\"127.0.0.1\"]\nca_roots_file = {:?}\n",
        setup.ca_file
    );
    std::fs::write(&runtime_config, text).expect("a runtime config can be written");
    Options {
        variables: VariableSources { flags: setup.set_variables(), ..VariableSources::default() },
        runtime_config: RuntimeConfig::from_file(&runtime_config).expect("the runtime config is sound"),
        mounts: [("/serviceaccount".to_owned(), setup.service_account.clone())].into(),
        ..Options::default()
    }
}

/// What every request pays: an instance, from nothing to an answer without a call. The median, in microseconds.
async fn instance(application: &Application) -> f64 {
    let mut times = Vec::new();
    for _ in 0..INSTANCES {
        let begin = Instant::now();
        let answer = application.handle(tests::events::bare("GET", "/healthz")).await;
        assert_eq!(answer.status(), 200);
        times.push(begin.elapsed().as_secs_f64() * 1e6);
    }
    middle(times)
}
