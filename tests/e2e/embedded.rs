//! The embedded Kubernetes API beside a real one: the same requests to both, and the answers are the same.
//!
//! `cases` is the table of requests. Each is sent to both servers, one after the other, and the two answers are compared
//! by what `view` sees of them: the code, of a refusal the `reason`, the message and the causes, of a Pod all that the
//! component reads, of a list its items, of a table what kubectl prints. Uids and versions are compared by where the same
//! one stands again. Where the embedded API is smaller on purpose, the table says so, and it has to refuse.

mod cases;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use local::kubernetes::{Config, EmbeddedApi, Gateway, Mode, Role};
use provisioner::pod::text;
use serde_json::Value;
use tests::cluster::webhook::{Registration, State, Webhook, always};
use tests::cluster::{Cluster, FOO, Namespace, ROUTED};
use tests::fault::{Upstream, to_server};

use cases::{Case, Compared};
use view::View;

pub async fn the_embedded_api_answers_as_a_real_one_does(cluster: Arc<Cluster>) {
    let namespace = Namespace::create(cluster, "embedded", &[ROUTED]).await;
    compare(&namespace, Vec::new(), &cases::plain()).await;
}

pub async fn gateways_webhooks_are_the_same_to_a_pod(cluster: Arc<Cluster>) {
    let full = "it is full".to_owned();
    for (mode, act, cases) in [
        (Mode::Inject, always(|pod| FOO.inject(pod)), cases::routed()),
        (Mode::Deny(full.clone()), Arc::new(move |_: &mut Value, _: &str| Err(full.clone())) as _, cases::denied()),
        (Mode::Down("refused".to_owned()), always(|_| ()), cases::down()),
    ] {
        let namespace = Namespace::create(cluster.clone(), "embedded", &[ROUTED]).await;
        namespace.admin().create(&namespace.path("pods"), &cases::client("there")).await;
        let webhook = Webhook::start(&namespace, Registration::usual("foo"), act).await;
        webhook.set(if matches!(mode, Mode::Down(_)) { State::Down } else { State::Up });
        compare(&namespace, vec![Gateway::new("foo").with_mode(mode)], &cases).await;
    }
}

/// Sends every case to both; says all that differs, should anything.
async fn compare(namespace: &Namespace, gateways: Vec<Gateway>, cases: &[Case]) {
    let (mut embedded, mut real) = (Side::embedded(namespace, gateways).await, Side::real(namespace));
    let mut differences = Vec::new();
    for case in cases {
        let (ours, theirs) = (embedded.answer(case).await, real.answer(case).await);
        let (is_well, why) = match case.compared {
            Compared::Everything => (ours == theirs, ""),
            Compared::ButWords(why) => (ours == theirs, why),
            Compared::Refused(code, why) => (ours["code"] == code && theirs["code"] != code, why),
        };
        if !is_well {
            differences.push(format!("- {} ({}) {why}:\n  {ours}\n  {theirs}", case.name, case.request));
        }
    }
    assert!(differences.is_empty(), "{} of {} answers:\n{}", differences.len(), cases.len(), differences.join("\n"));
}

/// One of the two servers, and what is known of the Pods in it.
struct Side {
    namespace: String,
    /// How each of `Who` calls, and with which token.
    callers: [(Upstream, Option<String>); 4],
    /// Uid and version of the Pods, by name.
    known: BTreeMap<String, [String; 2]>,
    next_page: String,
    view: View,
    _servers: Vec<EmbeddedApi>,
}

impl Side {
    /// The embedded API: one for those who may do everything, one for the provisioner with its Role.
    async fn embedded(namespace: &Namespace, gateways: Vec<Gateway>) -> Self {
        let labels = BTreeMap::from([ROUTED].map(|(key, value)| (key.to_owned(), value.to_owned())));
        let namespaces = BTreeMap::from([(namespace.name.clone(), labels)]);
        let config = Config { namespaces, gateways, ..Config::demo() };
        let rules = vec![(["create", "get", "list", "patch", "delete"].as_slice(), "pods")];
        let role = Role { namespace: namespace.name.clone(), rules };
        let token = Some(config.token.clone());
        let bind = |role| EmbeddedApi::bind(Config { role, ..config.clone() }, ([127, 0, 0, 1], 0).into());
        let servers = [bind(None).await, bind(Some(role)).await].map(|api| api.expect("a port is free"));
        let [all, some] = servers.each_ref().map(|api| to_server(&api.url()));
        let callers =
            [(all.clone(), token.clone()), (some, token), (all.clone(), Some("nobodys".to_owned())), (all, None)];
        Self { _servers: servers.into(), ..Self::new(namespace, callers) }
    }

    fn real(namespace: &Namespace) -> Self {
        let (admin, other) = (namespace.admin().upstream(), namespace.cluster.with_token("").upstream());
        let token = Some(namespace.token.clone());
        Self::new(
            namespace,
            [(admin, None), (other.clone(), token), (other.clone(), Some("nobodys".to_owned())), (other, None)],
        )
    }

    fn new(namespace: &Namespace, callers: [(Upstream, Option<String>); 4]) -> Self {
        let (namespace, known, next_page) = (namespace.name.clone(), BTreeMap::new(), String::new());
        Self { namespace, callers, known, next_page, view: View::default(), _servers: Vec::new() }
    }

    /// Sends a request; gives what there is to see of the answer.
    async fn answer(&mut self, case: &Case) -> Value {
        let (send, token) = &self.callers[case.who as usize];
        let response = send(self.request(case, token.as_deref())).await;
        let response = response.unwrap_or_else(|error| panic!("{}: no answer: {error}", case.name));
        let words = || Value::String(String::from_utf8_lossy(response.body()).trim().to_owned());
        let body = serde_json::from_slice(response.body()).unwrap_or_else(|_| words());
        self.remember(&body);
        self.view.of(response.status().as_u16(), &body, matches!(case.compared, Compared::ButWords(_)))
    }

    fn request(&self, case: &Case, token: Option<&str>) -> Request<Bytes> {
        let (method, path) = case.request.split_once(' ').expect("a request is a method and a path");
        let path = match path.starts_with('/') {
            true => path.replace("{namespace}", &self.namespace),
            false => format!("/api/v1/namespaces/{}/{path}", self.namespace),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(path.replace("{next}", &self.next_page))
            .header("accept", case.accept)
            .header("content-type", case.media);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        // Uid and version of the Pod in the path stand in their places.
        let name = path.split('?').next().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
        let [uid, version] = self.known.get(name).cloned().unwrap_or_default();
        let body = case.body.replace("{uid}", &uid).replace("{version}", &version);
        let body = body.replace("{namespace}", &self.namespace);
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
