//! The floor: the calls that an event takes, by a bare client that decides nothing.
//!
//! The body of the first call is what the core sends, with another name in it.

use std::sync::Mutex;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use provisioner::outbound::{Answer, Bounds, NoAnswer, Outbound};
use serde_json::json;

use crate::client::{Client, client};
use crate::setup::{Core, Setup};

/// A bare client of the API.
pub struct Floor {
    client: Client,
    url: String,
    headers: HeaderMap,
    pod: String,
    name: String,
    is_verified: bool,
}

/// An outbound that keeps what would be sent.
struct Recorder(Mutex<Option<Request<Vec<u8>>>>);

impl Outbound for Recorder {
    async fn send(&self, request: Request<Vec<u8>>, _: Bounds) -> Answer {
        *self.0.lock().expect("nobody panics with it") = Some(request);
        Err(NoAnswer::CutOff)
    }
}

impl Floor {
    /// A client for the API of `setup`.
    pub async fn new(setup: &Setup) -> Self {
        let recorder = Recorder(Mutex::default());
        let (parts, body) = tests::pending("a-floor-event", "foo").into_parts();
        let body = body.collect().await.expect("the body is there").to_bytes().to_vec();
        Core::new(setup).answer(Request::from_parts(parts, Ok(body)), &recorder).await;
        let request = recorder.0.into_inner().expect("nobody panics with it").expect("the core calls the API");
        let (parts, body) = request.into_parts();
        let pod: serde_json::Value = serde_json::from_slice(&body).expect("a Pod is JSON");
        let mut headers = parts.headers;
        headers.remove("content-length");
        Self {
            client: client(Some(&setup.ca_file)),
            url: parts.uri.to_string(),
            headers,
            name: pod["metadata"]["name"].as_str().expect("a Pod has a name").to_owned(),
            pod: pod.to_string(),
            is_verified: setup.is_verified(),
        }
    }

    /// The calls for the Pod of this number.
    ///
    /// # Errors
    /// What the API answered in the place of a Pod.
    pub async fn event(&self, run: u32, number: u64) -> Result<(), String> {
        let name = format!("{run:08x}-0000-4000-8000-{number:012x}");
        let pod = self.call(Method::POST, &self.url, self.pod.replace(&self.name, &name)).await?;
        if !self.is_verified {
            return Ok(());
        }
        let (_, behind) = pod.split_once("\"uid\":\"").ok_or("a Pod without a uid")?;
        let uid = behind.split('"').next().unwrap_or_default();
        let patch = json!({
            "metadata": {"uid": uid},
            "spec": {"schedulingGates": [{"$patch": "delete", "name": provisioner::pod::GATE}]},
        });
        self.call(Method::PATCH, &format!("{}/{name}", self.url), patch.to_string()).await.map(drop)
    }

    async fn call(&self, method: Method, url: &str, body: String) -> Result<String, String> {
        let media_type = match method {
            Method::PATCH => "application/strategic-merge-patch+json",
            _ => "application/json",
        };
        let mut request =
            Request::builder().method(method).uri(url).body(Bytes::from(body).into()).expect("it is valid");
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert("content-type", media_type.parse().expect("it is ASCII"));
        let response = self.client.request(request).await.map_err(|error| format!("{error:?}"))?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
        let text = String::from_utf8_lossy(&body).into_owned();
        if matches!(status, StatusCode::OK | StatusCode::CREATED) { Ok(text) } else { Err(format!("{status}: {text}")) }
    }
}
