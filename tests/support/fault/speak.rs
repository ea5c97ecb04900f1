//! How an answer is written onto a connection, whole or spoilt.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Spoken, wire};

/// What becomes of a connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It takes another call.
    Goes,
    /// It is closed.
    Closes,
}

/// How fast a peer is that dawdles.
const TICK: Duration = Duration::from_secs(1);

/// The body that nobody should read.
pub const HUGE: usize = 100_000_000;

/// An answer of the proxy's own, as a response.
pub fn response(spoken: &Spoken) -> Response<Bytes> {
    let (name, value) = &spoken.header;
    let response = Response::builder().status(spoken.code).header(*name, value);
    response.body(spoken.body.clone().into()).expect("spoken headers are valid")
}

/// Waits until the other side has closed the connection.
pub async fn hold(stream: &mut TcpStream) {
    let mut byte = [0];
    while stream.read(&mut byte).await.is_ok_and(|read| read > 0) {}
}

/// The answer, whole, as many times as asked.
pub async fn say(stream: &mut TcpStream, response: &Response<Bytes>, times: usize) -> io::Result<()> {
    stream.write_all(&wire::whole(response).repeat(times)).await
}

/// The part of an answer that comes before the connection is closed.
pub async fn cut(stream: &mut TcpStream, response: &Response<Bytes>, in_head: bool) -> io::Result<()> {
    let length = response.body().len().max(2);
    let head = wire::head(response, length);
    let mut bytes = head.clone();
    bytes.extend_from_slice(response.body());
    let end = if in_head { head.len() / 2 } else { head.len() + length / 2 };
    stream.write_all(&bytes[..end.min(bytes.len())]).await?;
    stream.shutdown().await
}

/// The answer, of which `at_once` bytes come at once and the others one at a time.
async fn drip(stream: &mut TcpStream, bytes: &[u8], at_once: usize) -> io::Result<()> {
    let (first, others) = bytes.split_at(at_once);
    stream.write_all(first).await?;
    for byte in others.chunks(1) {
        let mut peek = [0];
        tokio::select! {
            read = stream.read(&mut peek) => if read.is_ok_and(|read| read == 0) { return Ok(()) },
            () = tokio::time::sleep(TICK) => (),
        }
        stream.write_all(byte).await?;
    }
    Ok(())
}

/// The answer at one byte a second, from its head or from its body on.
pub async fn dawdle(stream: &mut TcpStream, response: &Response<Bytes>, in_body: bool) -> io::Result<()> {
    // A body there must be, or there would be nothing to wait for.
    let length = response.body().len().max(2);
    let head = wire::head(response, length);
    let mut bytes = head.clone();
    bytes.extend_from_slice(response.body());
    drip(stream, &bytes, if in_body { head.len() } else { 0 }).await?;
    hold(stream).await;
    Ok(())
}

/// A body without end, nearly; says how much of it could be sent.
pub async fn flood(stream: &mut (impl AsyncWrite + Unpin), response: &Response<Bytes>) -> usize {
    if stream.write_all(&wire::head(response, HUGE)).await.is_err() {
        return 0;
    }
    let blanks = vec![b' '; 100_000];
    let mut sent = 0;
    while sent < HUGE {
        match stream.write(&blanks).await {
            Ok(written) if written > 0 => sent += written,
            _ => break,
        }
    }
    sent
}
