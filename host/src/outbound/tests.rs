//! Real sockets on the loopback: what a guest's request meets out there.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::Empty;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::Builder;
use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::observer::{Recorder, Stderr};
use crate::runtime_config::{ClientTls, Pem};
use crate::variables::Variables;
use crate::variables::tests::manifest;

/// A certificate authority, with what it signed.
struct Authority {
    ca_pem: String,
    server: Arc<ServerConfig>,
    /// The same server, for clients with a certificate only.
    strict_server: Arc<ServerConfig>,
    client_cert_pem: String,
    client_key_pem: String,
}

fn authority() -> Authority {
    let ca_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = params.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(params, ca_key);
    let sign = |names: &[&str], key: &KeyPair| {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let params = CertificateParams::new(names).unwrap();
        params.signed_by(key, &issuer).unwrap()
    };
    let (key, client_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let cert = sign(&["localhost", "127.0.0.1"], &key);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca.der().clone()).unwrap();
    Authority {
        ca_pem: ca.pem(),
        server: server_config(&cert, &key, None),
        strict_server: server_config(&cert, &key, Some(roots)),
        client_cert_pem: sign(&["client"], &client_key).pem(),
        client_key_pem: client_key.serialize_pem(),
    }
}

fn server_config(
    cert: &rcgen::Certificate,
    key: &KeyPair,
    clients: Option<rustls::RootCertStore>,
) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let verifier = match clients {
        None => WebPkiClientVerifier::no_client_auth(),
        Some(roots) => {
            let roots = Arc::new(roots);
            WebPkiClientVerifier::builder_with_provider(roots, provider.clone()).build().unwrap()
        }
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

/// A peer that tells the version of HTTP it was asked in.
struct Peer {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Peer {
    async fn start(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let accepted = connections.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::SeqCst);
                match tls.clone() {
                    None => drop(tokio::spawn(answer(tcp))),
                    Some(tls) => drop(tokio::spawn(async move {
                        if let Ok(stream) = TlsAcceptor::from(tls).accept(tcp).await {
                            answer(stream).await;
                        }
                    })),
                }
            }
        });
        Self { address, connections }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Answers `/slow` late, `/stall` with half a body, the rest at once.
async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    let service = service_fn(|request: Request<Incoming>| async move {
        if request.uri().path() == "/slow" {
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        let host = request.headers().get(header::HOST).map(|host| host.to_str().unwrap());
        let text = format!("{:?} {host:?}", request.version());
        let body = Text { text: Some(Bytes::from(text)), ends: request.uri().path() != "/stall" };
        Ok::<_, Infallible>(Response::new(body))
    });
    let builder = Builder::new(TokioExecutor::new());
    drop(builder.serve_connection(TokioIo::new(stream), service).await);
}

/// A body of one piece, that may never end.
struct Text {
    text: Option<Bytes>,
    ends: bool,
}

impl Body for Text {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.text.take() {
            None if !self.ends => Poll::Pending,
            text => Poll::Ready(text.map(|text| Ok(Frame::data(text)))),
        }
    }
}

fn allowing(entry: &str) -> Result<AllowedHosts> {
    let mut manifest = manifest(&[]);
    manifest.component.allowed_outbound_hosts = vec![entry.to_owned()];
    AllowedHosts::resolve(&manifest, &Variables::default())
}

fn outbound(config: RuntimeConfig) -> Outbound {
    Outbound::new("one", allowing("*://*:*"), config, Arc::new(Stderr))
}

fn pem(text: &str) -> Pem {
    ("a test's".to_owned(), text.as_bytes().to_vec())
}

fn trusting(ca_pem: &str, host: &str) -> RuntimeConfig {
    let tls = ClientTls::new(host.to_owned(), Some(pem(ca_pem)), None).unwrap();
    RuntimeConfig { client_tls: vec![tls], ..Default::default() }
}

fn timeouts(millis: u64) -> RequestOptions {
    let limit = Some(Duration::from_millis(millis));
    RequestOptions { connect_timeout: limit, first_byte_timeout: limit, between_bytes_timeout: limit }
}

async fn send(outbound: &Outbound, uri: &str, options: RequestOptions) -> Result<Response<WasiBody>, ErrorCode> {
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    let request = Request::get(uri).header(header::HOST, "guest").body(body);
    outbound.send(request.unwrap(), options).await
}

async fn get(outbound: &Outbound, uri: &str) -> Result<String, ErrorCode> {
    let response = send(outbound, uri, RequestOptions::default()).await?;
    let body = response.into_body().collect().await.unwrap().to_bytes();
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn plain_requests_share_one_connection() {
    let peer = Peer::start(None).await;
    let outbound = outbound(RuntimeConfig::default());
    for _ in 0..5 {
        let answer = get(&outbound, &format!("http://{}/", peer.address)).await.unwrap();
        assert_eq!(answer, format!("HTTP/1.1 Some(\"{}\")", peer.address));
    }
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn without_pooling_every_request_has_its_own_connection() {
    let peer = Peer::start(None).await;
    let outbound = outbound(RuntimeConfig { connection_pooling: false, ..Default::default() });
    for _ in 0..3 {
        get(&outbound, &format!("http://{}/", peer.address)).await.unwrap();
    }
    assert_eq!(peer.connections(), 3);
}

#[tokio::test]
async fn a_trusted_peer_is_asked_in_http_2_over_one_connection() {
    let authority = authority();
    let peer = Peer::start(Some(authority.server)).await;
    let outbound = outbound(trusting(&authority.ca_pem, "127.0.0.1"));
    let uri = format!("https://{}/", peer.address);
    for _ in 0..3 {
        assert!(get(&outbound, &uri).await.unwrap().starts_with("HTTP/2.0"));
    }
    let both = tokio::join!(get(&outbound, &uri), get(&outbound, &uri));
    assert!(both.0.is_ok() && both.1.is_ok());
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn a_peer_without_http_2_is_asked_in_http_1() {
    let mut authority = authority();
    Arc::make_mut(&mut authority.server).alpn_protocols.clear();
    let peer = Peer::start(Some(authority.server)).await;
    let outbound = outbound(trusting(&authority.ca_pem, "127.0.0.1"));
    let answer = get(&outbound, &format!("https://{}/", peer.address)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1"), "{answer}");
}

#[tokio::test]
async fn only_the_hosts_named_trust_the_authority() {
    let authority = authority();
    let peer = Peer::start(Some(authority.server)).await;
    let outbound = outbound(trusting(&authority.ca_pem, "localhost"));
    let port = peer.address.port();
    assert!(get(&outbound, &format!("https://localhost:{port}/")).await.is_ok());
    let error = get(&outbound, &format!("https://127.0.0.1:{port}/")).await.unwrap_err();
    assert!(matches!(error, ErrorCode::TlsProtocolError), "{error:?}");
}

#[tokio::test]
async fn a_client_certificate_is_presented_where_there_is_one() {
    let authority = authority();
    let peer = Peer::start(Some(authority.strict_server)).await;
    let uri = format!("https://{}/", peer.address);
    assert!(get(&outbound(trusting(&authority.ca_pem, "127.0.0.1")), &uri).await.is_err());
    let client = [pem(&authority.client_cert_pem), pem(&authority.client_key_pem)];
    let tls = ClientTls::new("127.0.0.1".to_owned(), Some(pem(&authority.ca_pem)), Some(client)).unwrap();
    let config = RuntimeConfig { client_tls: vec![tls], ..Default::default() };
    assert!(get(&outbound(config), &uri).await.is_ok());
}

#[track_caller]
fn assert_code(result: &Result<String, ErrorCode>, expected: &str) {
    let code = format!("{:?}", result.as_ref().expect_err("should fail"));
    assert!(code.contains(expected), "{code} is not {expected}");
}

#[tokio::test]
async fn failures_to_connect_have_spins_codes() {
    let outbound = outbound(RuntimeConfig::default());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    assert_code(&get(&outbound, &format!("http://{address}/")).await, "ConnectionRefused");
    assert_code(&get(&outbound, "http://nowhere.invalid/").await, "DnsError");
    assert_code(&get(&outbound, &format!("https://[::1]:{}/", address.port())).await, "Error");
}

#[tokio::test]
async fn a_peer_that_speaks_no_tls_is_a_tls_error() {
    let peer = Peer::start(None).await;
    let outbound = outbound(RuntimeConfig::default());
    let result = get(&outbound, &format!("https://{}/", peer.address)).await;
    assert_code(&result, "TlsProtocolError");
}

#[tokio::test]
async fn a_slow_connect_and_a_slow_answer_are_different_timeouts() {
    // A full backlog drops further connections, so they hang.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let full = socket.listen(0).unwrap();
    let address = full.local_addr().unwrap();
    let _waiting = TcpStream::connect(address).await.unwrap();
    let outbound = outbound(RuntimeConfig::default());
    let options = RequestOptions { connect_timeout: Some(Duration::from_millis(100)), ..Default::default() };
    let started = Instant::now();
    let result = send(&outbound, &format!("http://{address}/"), options).await;
    assert!(matches!(result, Err(ErrorCode::ConnectionTimeout)), "{result:?}");

    let peer = Peer::start(None).await;
    let result = send(&outbound, &format!("http://{}/slow", peer.address), timeouts(100)).await;
    assert!(matches!(result, Err(ErrorCode::ConnectionReadTimeout)), "{result:?}");
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_body_that_stalls_is_a_timeout() {
    let peer = Peer::start(None).await;
    let outbound = outbound(RuntimeConfig::default());
    let response = send(&outbound, &format!("http://{}/stall", peer.address), timeouts(100)).await;
    let mut body = response.unwrap().into_body();
    assert!(body.frame().await.unwrap().is_ok());
    let error = body.frame().await.unwrap().unwrap_err();
    assert!(matches!(error, wasmtime_wasi_http::Error::ConnectionReadTimeout), "{error:?}");
}

#[tokio::test]
async fn a_denied_destination_is_named_in_one_line() {
    let recorder = Arc::new(Recorder::default());
    let outbound = Outbound::new("one", allowing("http://a"), RuntimeConfig::default(), recorder.clone());
    assert_code(&get(&outbound, "http://b:81/path").await, "HttpRequestDenied");
    assert!(recorder.text().contains("\"http://b:81\""), "{}", recorder.text());
    assert_eq!(recorder.text().matches('\n').count(), 1);
}

#[tokio::test]
async fn an_entry_that_turned_out_bad_denies_everything() {
    let recorder = Arc::new(Recorder::default());
    let outbound = Outbound::new("one", allowing("{{ gone }}"), RuntimeConfig::default(), recorder.clone());
    assert_code(&get(&outbound, "http://always/").await, "HttpRequestDenied");
    assert!(recorder.text().contains("gone"), "{}", recorder.text());
}

#[tokio::test]
async fn the_first_that_names_component_and_host_exactly_counts() {
    let authority = authority();
    let peer = Peer::start(Some(authority.server.clone())).await;
    let ours = || ClientTls::new("127.0.0.1".to_owned(), Some(pem(&authority.ca_pem)), None).unwrap();
    let public = || ClientTls::new("127.0.0.1".to_owned(), None, None).unwrap();
    let elsewhere = ClientTls { component_ids: vec!["other".to_owned()], ..public() };
    for (client_tls, expected) in [(vec![elsewhere, ours(), public()], true), (vec![public(), ours()], false)] {
        let outbound = outbound(RuntimeConfig { client_tls, ..Default::default() });
        assert_eq!(get(&outbound, &format!("https://{}/", peer.address)).await.is_ok(), expected);
    }
}
