//! The server over a real socket, with no component worth the name behind it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::*;
use crate::application::{Application, Options};
use crate::code::Compile;
use crate::observer::Recorder;

/// An application whose component traps after a while.
fn application(recorder: &Arc<Recorder>) -> Application {
    let dir = tempfile::tempdir().unwrap();
    let manifest = "spin_manifest_version = 2\n[application]\nname = \"app\"\n\
        [[trigger.http]]\nroute = \"/...\"\ncomponent = \"one\"\n\
        [component.one]\nsource = \"one.wasm\"\n";
    std::fs::write(dir.path().join("spin.toml"), manifest).unwrap();
    let wat = crate::application::tests::component("(call $sleep (i64.const 100)) unreachable", "");
    std::fs::write(dir.path().join("one.wasm"), wat::parse_str(wat).unwrap()).unwrap();
    let options = Options { observer: Some(recorder.clone()), ..Default::default() };
    Application::load(&dir.path().join("spin.toml"), options, Compile::default()).unwrap()
}

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: tokio::task::JoinHandle<()>,
    recorder: Arc<Recorder>,
}

async fn start() -> Running {
    let recorder = Arc::default();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let router = application(&recorder).router();
    let served = tokio::spawn(serve(listener, router, async { drop(stopped.await) }, Duration::from_secs(10)));
    Running { address, stop, served, recorder }
}

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_stopped_server_closes_idle_connections_and_returns() {
    let running = start().await;
    let mut idle = TcpStream::connect(running.address).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
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
    assert!(running.recorder.text().contains("answered 500"), "{}", running.recorder.text());
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
    use bytes::Bytes;
    use http_body_util::Empty;
    use hyper_util::client::legacy::{Client, connect::HttpConnector};
    use hyper_util::rt::TokioExecutor;

    let running = start().await;
    let client: Client<HttpConnector, Empty<Bytes>> =
        Client::builder(TokioExecutor::new()).http2_only(true).build(HttpConnector::new());
    let uri = format!("http://{}/", running.address);
    let response = client.get(uri.parse().unwrap()).await.unwrap();
    assert_eq!(response.version(), http::Version::HTTP_2);
    assert_eq!(response.status(), 500);
}
