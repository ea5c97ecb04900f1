//! HTTP/1.1 by hand: requests off a connection, answers as the bytes that go onto it.

use std::io;

use bytes::{Bytes, BytesMut};
use http::{Request, Response, header};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The largest head of a request that is read.
const LARGEST_HEAD: usize = 64 << 10;

/// The next request of a connection, or `None` when it has been closed.
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Request<Bytes>>> {
    let mut bytes = BytesMut::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if bytes.len() > LARGEST_HEAD || stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let head = bytes.split_to(end + 4);
    let request = parse(&head).ok_or_else(|| invalid("no request"))?;
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let length: usize = length.unwrap_or_default();
    while bytes.len() < length {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(invalid("a request that was cut off"));
        }
    }
    Ok(Some(request.map(|()| bytes.split_to(length).freeze())))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
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
pub fn head(response: &Response<Bytes>, length: usize) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {}\r\n", response.status()).into_bytes();
    let own = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION];
    for (name, value) in response.headers().iter().filter(|(name, _)| !own.contains(name)) {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    // A 204 has no body, and says nothing of its length.
    if response.status() != http::StatusCode::NO_CONTENT {
        head.extend_from_slice(format!("content-length: {length}\r\n").as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// A whole answer.
pub fn whole(response: &Response<Bytes>) -> Vec<u8> {
    let mut bytes = head(response, response.body().len());
    bytes.extend_from_slice(response.body());
    bytes
}
