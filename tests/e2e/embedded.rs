//! The embedded Kubernetes API beside a real one: the same requests to both, and the answers are the same.
//!
//! `cases` is the table of requests. Each is sent to both servers, one after the other, and the two answers are compared
//! by what `view` sees of them: the code, of a refusal the `reason`, the message and the causes, of a Pod all that the
//! component reads, of a list its items. Uids and versions are compared by where the same one stands again.
//!
//! The table has what the component sends, and what it can be answered. What kubectl asks besides, and what the embedded
//! API refuses, is for the tests in `local/src/kubernetes/`.

mod cases;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use local::kubernetes::{Config, EmbeddedApi, Gateway, Mode};
use provisioner::pod::text;
use serde_json::Value;
use tests::cluster::webhook::{Registration, State, Webhook, always};
use tests::cluster::{ADMIN, Cluster, FOO, Namespace, ROUTED};
use tests::fault::{Upstream, to_server};

use cases::Case;
use view::View;

pub async fn the_embedded_api_answers_as_a_real_one_does(cluster: Arc<Cluster>) {
    let namespace = Namespace::create(cluster, "embedded", &[ROUTED]).await;
    compare(&namespace, Vec::new(), &cases::plain()).await;
}

pub async fn gateways_webhooks_are_the_same_to_a_pod(cluster: Arc<Cluster>) {
    let full = "it is full".to_owned();
    let said = full.clone();
    let deny = move |pod: &mut Value, _: &str| match pod["metadata"]["annotations"]["setGateway"] == FOO.value {
        true => Err(said.clone()),
        false => Ok(()),
    };
    for (mode, act) in [
        (Mode::Inject, always(|pod| FOO.inject(pod))),
        (Mode::Deny(full), Arc::new(deny) as _),
        (Mode::Down("refused".to_owned()), always(|_| ())),
    ] {
        let namespace = Namespace::create(cluster.clone(), "embedded", &[ROUTED]).await;
        let webhook = Webhook::start(&namespace, Registration::usual("foo"), act).await;
        let is_down = matches!(mode, Mode::Down(_));
        webhook.set(if is_down { State::Down } else { State::Up });
        let cases = cases::routed(is_down);
        compare(&namespace, vec![Gateway::new("foo").with_mode(mode)], &cases).await;
    }
}

/// Sends every case to both; says all that differs, should anything.
async fn compare(namespace: &Namespace, gateways: Vec<Gateway>, cases: &[Case]) {
    let labels = BTreeMap::from([ROUTED].map(|(key, value)| (key.to_owned(), value.to_owned())));
    let namespaces = BTreeMap::from([(namespace.name.clone(), labels)]);
    let config = Config { namespaces, gateways, token: ADMIN.to_owned(), ..Config::demo() };
    let api = EmbeddedApi::bind(config, ([127, 0, 0, 1], 0).into()).await.expect("a port is free");
    let sides = [to_server(&api.url()), namespace.admin().server.upstream()];
    let [mut embedded, mut real] = sides.map(|server| Side::new(namespace, server));
    let mut differences = Vec::new();
    for case in cases {
        let (ours, theirs) = (embedded.answer(case).await, real.answer(case).await);
        if ours != theirs {
            differences.push(format!("- {} ({}):\n  {ours}\n  {theirs}", case.name, case.request));
        }
    }
    assert!(differences.is_empty(), "{} of {} answers:\n{}", differences.len(), cases.len(), differences.join("\n"));
}

/// One of the two servers, and what is known of the Pods in it.
struct Side {
    namespace: String,
    server: Upstream,
    /// Uid and version of the Pods, by name.
    known: BTreeMap<String, [String; 2]>,
    next_page: String,
    view: View,
}

impl Side {
    fn new(namespace: &Namespace, server: Upstream) -> Self {
        let namespace = namespace.name.clone();
        Self { namespace, server, known: BTreeMap::new(), next_page: String::new(), view: View::default() }
    }

    /// Sends a request; gives what there is to see of the answer.
    async fn answer(&mut self, case: &Case) -> Value {
        let response = (self.server)(self.request(case)).await;
        let response = response.unwrap_or_else(|error| panic!("{}: no answer: {error}", case.name));
        let body = serde_json::from_slice(response.body()).expect("both answer with JSON");
        self.remember(&body);
        self.view.of(response.status().as_u16(), &body, case.is_without_words)
    }

    fn request(&self, case: &Case) -> Request<Bytes> {
        let (method, path) = case.request.split_once(' ').expect("a request is a method and a path");
        let path = match path.starts_with('/') {
            true => path.to_owned(),
            false => format!("/api/v1/namespaces/{}/{path}", self.namespace),
        };
        // Uid and version of the Pod in the path stand in their places.
        let name = path.split('?').next().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
        let [uid, version] = self.known.get(name).cloned().unwrap_or_default();
        let body = case.body.replace("{uid}", &uid).replace("{version}", &version);
        let request = Request::builder()
            .method(method)
            .uri(path.replace("{next}", &self.next_page))
            .header("content-type", case.media);
        let token = case.has_token.then(|| format!("Bearer {ADMIN}"));
        let request = token.into_iter().fold(request, |request, token| request.header("authorization", token));
        request.body(body.into()).unwrap_or_else(|error| panic!("{}: {error}", case.name))
    }

    fn remember(&mut self, body: &Value) {
        let metadata = &body["metadata"];
        if body["kind"] == "Pod" && metadata["resourceVersion"].is_string() {
            let known = ["uid", "resourceVersion"].map(|field| text(&metadata[field]).to_owned());
            self.known.insert(text(&metadata["name"]).to_owned(), known);
        }
        if metadata["continue"].is_string() {
            self.next_page = text(&metadata["continue"]).to_owned();
        }
    }
}
