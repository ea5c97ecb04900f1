//! A client of the Kubernetes API, as small as tests need it: a verb, a path and JSON in, a code and JSON out.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{AsyncBufReadExt, Stream, StreamExt, TryStreamExt};
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::fault::Server;

/// How long anything may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(180);

const JSON: &str = "application/json";

/// What the API server said: the code, and the object.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status code.
    pub code: u16,
    /// The object, a `Status` for a refusal; a text where it is no JSON.
    pub body: Value,
}

impl Answer {
    /// The object of a success.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    pub fn object(self) -> Value {
        assert!((200..300).contains(&self.code), "{} {}", self.code, self.body);
        self.body
    }

    /// The message of a refusal.
    pub fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }
}

/// Somebody who may call the API server.
#[derive(Clone)]
pub struct Client {
    /// The API server itself, for calls with headers of their own.
    pub server: Server,
    token: String,
}

impl Client {
    /// Whoever has this token.
    pub fn new(server: Server, token: &str) -> Self {
        Self { server, token: token.to_owned() }
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None).await
    }

    /// `POST` of an object, to be created.
    pub async fn create(&self, path: &str, object: &Value) -> Value {
        self.call("POST", path, Some(object)).await.object()
    }

    /// `DELETE`, at once.
    pub async fn delete(&self, path: &str) -> Value {
        self.call("DELETE", path, Some(&json!({"gracePeriodSeconds": 0}))).await.object()
    }

    /// The items of a list.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        let list = self.get(path).await.object();
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// A merge patch.
    pub async fn patch(&self, path: &str, change: &Value) -> Answer {
        self.send("PATCH", "application/merge-patch+json", path, Some(change)).await
    }

    /// Server-side apply of an object.
    pub async fn apply(&self, path: &str, object: &Value) -> Answer {
        self.send("PATCH", "application/apply-patch+yaml", path, Some(object)).await
    }

    /// Any call with JSON.
    pub async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.send(method, JSON, path, body).await
    }

    async fn send(&self, method: &str, media: &str, path: &str, body: Option<&Value>) -> Answer {
        let answer = tokio::time::timeout(PATIENCE, self.server.answer(self.request(method, media, path, body))).await;
        let answer = answer.expect("there is an answer in time").unwrap_or_else(|error| panic!("{path}: {error}"));
        let text = || Value::String(String::from_utf8_lossy(answer.body()).into_owned());
        let body = serde_json::from_slice(answer.body()).unwrap_or_else(|_| text());
        Answer { code: answer.status().as_u16(), body }
    }

    fn request(&self, method: &str, media: &str, path: &str, body: Option<&Value>) -> Request<Bytes> {
        let request = Request::builder().method(method).uri(path).header("accept", JSON).header("content-type", media);
        let request = request.header("authorization", format!("Bearer {}", self.token));
        request.body(body.map(|body| body.to_string().into()).unwrap_or_default()).expect("the path is valid")
    }

    /// A watch: every change from now on, those that made what is there already included, until either side ends it.
    pub async fn watch(&self, path: &str) -> impl Stream<Item = Value> + use<> {
        let response = self.server.open(self.request("GET", JSON, path, None)).await.expect("there is an answer");
        let bytes = response.into_body().into_data_stream().map_err(std::io::Error::other);
        let lines = bytes.into_async_read().lines();
        let whole = lines.filter_map(|line| std::future::ready(line.ok()));
        whole.map(|line| serde_json::from_str(&line).expect("a change is JSON"))
    }
}

/// Asks until the answer is yes.
///
/// # Panics
/// When it isn't within [`PATIENCE`]; `what` says what never came to be.
pub async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let begin = Instant::now();
    while !is_so().await {
        assert!(begin.elapsed() < PATIENCE, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
