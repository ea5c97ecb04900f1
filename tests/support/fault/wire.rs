//! HTTP/1.1 by hand: requests off a connection, and answers onto it, whole or spoilt.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response, StatusCode, header};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A connection, with TLS or without.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// How fast a peer is that dawdles.
const TICK: Duration = Duration::from_secs(1);

/// The body that nobody should read.
const HUGE: usize = 100_000_000;

/// The next request of a connection, or `None` when it has been closed.
pub async fn read(stream: &mut impl Stream) -> io::Result<Option<Request<Bytes>>> {
    let mut bytes = BytesMut::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let head = bytes.split_to(end + 4);
    let request = parse(&head).ok_or(io::ErrorKind::InvalidData)?;
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let length: usize = length.unwrap_or_default();
    while bytes.len() < length {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(request.map(|()| bytes.split_to(length).freeze())))
}

fn parse(head: &[u8]) -> Option<Request<()>> {
    let mut lines = std::str::from_utf8(head).ok()?.split("\r\n").filter(|line| !line.is_empty());
    let mut words = lines.next()?.split(' ');
    let mut request = Request::builder().method(words.next()?).uri(words.next()?);
    for line in lines {
        let (name, value) = line.split_once(':')?;
        request = request.header(name, value.trim());
    }
    request.body(()).ok()
}

/// An answer's head, for a body of `length` bytes.
fn head(response: &Response<Bytes>, length: usize) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {}\r\n", response.status()).into_bytes();
    let own = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION];
    for (name, value) in response.headers().iter().filter(|(name, _)| !own.contains(name)) {
        head.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    // A 204 has no body, and says nothing of its length.
    if response.status() != StatusCode::NO_CONTENT {
        head.extend(format!("content-length: {length}\r\n").into_bytes());
    }
    head.extend(b"\r\n");
    head
}

/// A whole answer.
pub fn whole(response: &Response<Bytes>) -> Vec<u8> {
    [&head(response, response.body().len())[..], response.body()].concat()
}

/// The two parts of an answer that is to be spoilt: its head, and a body of which something can be missing.
pub fn parts(response: &Response<Bytes>) -> (Vec<u8>, Vec<u8>) {
    let mut body = response.body().to_vec();
    body.resize(body.len().max(2), b' ');
    (head(response, body.len()), body)
}

/// Waits until the other side has closed the connection.
pub async fn hold(stream: &mut impl Stream) {
    while stream.read(&mut [0]).await.is_ok_and(|read| read > 0) {}
}

/// Writes one byte a second, until the other side has closed the connection.
pub async fn drip(stream: &mut impl Stream, bytes: &[u8]) -> io::Result<()> {
    for byte in bytes {
        stream.write_all(&[*byte]).await?;
        if tokio::time::timeout(TICK, hold(stream)).await.is_ok() {
            break;
        }
    }
    Ok(())
}

/// Writes a body that is nearly without end.
pub async fn flood(stream: &mut impl Stream, response: &Response<Bytes>) -> io::Result<()> {
    stream.write_all(&head(response, HUGE)).await?;
    let blanks = [b' '; 100_000];
    for _ in 0..HUGE / blanks.len() {
        stream.write_all(&blanks).await?;
    }
    Ok(())
}
