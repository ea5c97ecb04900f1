//! The server over a real socket, with no component worth the name behind it.

use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;

use super::*;
use crate::spin::application::Options;
use crate::spin::logs::{LogCapture, Logs};

const ANY: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// An application whose component traps after a while.
fn application(capture: &LogCapture) -> Application {
    let dir = tempfile::tempdir().unwrap();
    let manifest = "spin_manifest_version = 2\n[application]\nname = \"app\"\n\
        [[trigger.http]]\nroute = \"/...\"\ncomponent = \"one\"\n\
        [component.one]\nsource = \"one.wasm\"\n";
    std::fs::write(dir.path().join("spin.toml"), manifest).unwrap();
    let wat = crate::spin::application::tests::component("(call $sleep (i64.const 100)) unreachable", "");
    std::fs::write(dir.path().join("one.wasm"), wat::parse_str(wat).unwrap()).unwrap();
    let options = Options { logs: Logs::Capture(capture.clone()), ..Default::default() };
    Application::load(&dir.path().join("spin.toml"), options).unwrap()
}

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: tokio::task::JoinHandle<()>,
    capture: LogCapture,
}

async fn start() -> Running {
    let capture = LogCapture::default();
    let server = Server::bind(application(&capture), ANY.into()).await.unwrap();
    let address = server.local_addr();
    let (stop, stopped) = oneshot::channel();
    let served = tokio::spawn(server.serve(async { drop(stopped.await) }));
    Running { address, stop, served, capture }
}

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn health_is_answered_without_the_component() {
    let running = start().await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
    let answer = ask(running.address, &get("/.well-known/spin/health")).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\nOK"), "{answer}");
    let answer = ask(running.address, &get("/.well-known/spin/other")).await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    let answer = ask(running.address, &get("/")).await;
    assert!(answer.starts_with("HTTP/1.1 500") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn a_request_without_a_host_gets_no_answer() {
    let running = start().await;
    assert_eq!(ask(running.address, "GET / HTTP/1.1\r\n\r\n").await, "");
}

#[tokio::test]
async fn a_port_in_use_is_an_error_with_the_address_in_it() {
    let running = start().await;
    let error = Server::bind(application(&running.capture), running.address).await.unwrap_err();
    assert!(error.to_string().starts_with(&running.address.to_string()), "{error}");
}

#[tokio::test]
async fn a_stopped_server_closes_idle_connections_and_returns() {
    let running = start().await;
    let mut idle = TcpStream::connect(running.address).await.unwrap();
    idle.write_all(b"GET /.well-known/spin/health HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
    let mut head = [0; 12];
    idle.read_exact(&mut head).await.unwrap();
    running.stop.send(()).unwrap();
    let served = tokio::time::timeout(Duration::from_secs(5), running.served);
    served.await.expect("should return soon").unwrap();
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    assert!(TcpStream::connect(running.address).await.is_err());
}

#[tokio::test]
async fn a_client_that_goes_away_does_not_stop_the_component() {
    let running = start().await;
    let mut client = TcpStream::connect(running.address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(30)).await;
    drop(client);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(running.capture.text().contains("answered 500"), "{}", running.capture.text());
}

#[tokio::test]
async fn a_stopped_server_lets_a_running_request_end() {
    let running = start().await;
    let address = running.address;
    let request = "GET / HTTP/1.1\r\nhost: h\r\n\r\n";
    let asked = tokio::spawn(async move { ask(address, request).await });
    tokio::time::sleep(Duration::from_millis(30)).await;
    running.stop.send(()).unwrap();
    running.served.await.unwrap();
    assert!(asked.await.unwrap().starts_with("HTTP/1.1 500"));
}

#[tokio::test]
async fn http_2_is_served_to_clients_that_begin_with_it() {
    use hyper_util::client::legacy::{Client, connect::HttpConnector};

    let running = start().await;
    let client: Client<HttpConnector, BoxBody> =
        Client::builder(TokioExecutor::new()).http2_only(true).build(HttpConnector::new());
    let uri = format!("http://{}/.well-known/spin/health", running.address);
    let response = client.get(uri.parse().unwrap()).await.unwrap();
    assert_eq!(response.version(), http::Version::HTTP_2);
    assert_eq!(response.status(), 200);
}
