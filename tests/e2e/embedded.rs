//! The embedded Kubernetes API beside a real one: the same requests to both, and the answers are the same.
//!
//! `cases` is the table of requests. Each is sent to both servers, one after the other, and the two answers are compared
//! by what `view` sees of them: the code, of a refusal the `reason`, the message and the causes, of a Pod all that the
//! component reads, of a list its items, of a table what kubectl prints. Uids, versions and times are told apart only by
//! whether they are there, and whether they changed. Where the embedded API is smaller on purpose, the table says so, and
//! it has to refuse.

mod cases;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use local::kubernetes::{Config, EmbeddedApi, Gateway, Mode, Role};
use serde_json::Value;
use tests::fault::{Upstream, to_server};

use crate::cluster::Cluster;
use crate::cluster::webhook::{Registration, Webhook, always};
use crate::gateway::FOO;
use crate::harness::{Test, is_verbose};
use crate::namespace::{Namespace, ROUTED, with_namespace};
use crate::rights;
use cases::{Case, Compared, Who};

/// The tests.
pub fn tests() -> Vec<Test> {
    crate::tests![
        the_embedded_api_answers_as_a_real_one_does,
        gateways_webhooks_that_are_up_are_the_same_to_a_pod,
        gateways_webhooks_that_deny_are_the_same_to_a_pod,
        gateways_webhooks_that_are_down_are_the_same_to_a_pod,
    ]
}

async fn the_embedded_api_answers_as_a_real_one_does(cluster: Arc<Cluster>) {
    with_namespace(cluster, "embedded", &[ROUTED], |namespace| async move {
        compare(&namespace, Vec::new(), &cases::plain()).await;
    })
    .await;
}

async fn gateways_webhooks_that_are_up_are_the_same_to_a_pod(cluster: Arc<Cluster>) {
    with_namespace(cluster, "embedded-up", &[ROUTED], |namespace| async move {
        let _webhook = FOO.serve(&namespace).await;
        compare(&namespace, vec![Gateway::new("foo")], &cases::routed()).await;
    })
    .await;
}

async fn gateways_webhooks_that_deny_are_the_same_to_a_pod(cluster: Arc<Cluster>) {
    with_namespace(cluster, "embedded-deny", &[ROUTED], |namespace| async move {
        let webhook = Webhook::start(&namespace, Arc::new(|_: &mut Value, _: &_| Err("it is full".to_owned()))).await;
        webhook.register(&namespace, Registration::usual("foo")).await;
        compare(&namespace, vec![Gateway::new("foo").with_mode(Mode::Deny("it is full".to_owned()))], &cases::denied())
            .await;
    })
    .await;
}

async fn gateways_webhooks_that_are_down_are_the_same_to_a_pod(cluster: Arc<Cluster>) {
    with_namespace(cluster, "embedded-down", &[ROUTED], |namespace| async move {
        let mut webhook = Webhook::start(&namespace, always(|_| ())).await;
        webhook.register(&namespace, Registration::usual("foo")).await;
        namespace.admin().create(&namespace.path("pods"), &cases::client("there")).await;
        webhook.go_down().await;
        // The API server keeps a connection to it, and learns by using it that it is closed.
        crate::client::until("the webhook is known to be down", || async { namespace.try_out().await.code == 500 })
            .await;
        compare(&namespace, vec![Gateway::new("foo").with_mode(Mode::Down("refused".to_owned()))], &cases::down())
            .await;
    })
    .await;
}

/// Sends every case to both; says all that differs, should anything.
async fn compare(namespace: &Namespace, gateways: Vec<Gateway>, cases: &[Case]) {
    let (mut embedded, mut real) = (Side::embedded(namespace, gateways).await, Side::real(namespace));
    let mut differences = Vec::new();
    for case in cases {
        let (ours, theirs) = (embedded.answer(case).await, real.answer(case).await);
        if is_verbose() {
            println!("{}: {theirs:#}", case.name);
        }
        differences.extend(difference(case, &ours, &theirs));
    }
    let count = differences.len();
    assert!(differences.is_empty(), "{count} of {} answers differ:\n{}", cases.len(), differences.join("\n"));
}

fn difference(case: &Case, ours: &Value, theirs: &Value) -> Option<String> {
    let problem = match case.compared {
        Compared::Everything => (ours != theirs).then(|| view::differences(ours, theirs)),
        Compared::ButWords(why) => {
            let (ours, theirs) = (view::without_words(ours), view::without_words(theirs));
            (ours != theirs).then(|| format!("    ({why})\n{}", view::differences(&ours, &theirs)))
        }
        Compared::Refused(code, why) => {
            (ours["code"] != code || !ours["reason"].is_string() || ours["code"] == theirs["code"])
                .then(|| format!("is no longer as the table says ({why}): {ours} and {theirs}"))
        }
    };
    problem.map(|problem| format!("- {} ({}):\n{problem}", case.name, case.request))
}

/// One of the two servers, and what is known of the Pods in it.
struct Side {
    namespace: String,
    callers: BTreeMap<Who, (Upstream, Option<String>)>,
    known: BTreeMap<String, (String, String)>,
    next_page: String,
    _servers: Vec<EmbeddedApi>,
}

impl Side {
    /// The embedded API: one for those who may do everything, one for the provisioner with its Role.
    async fn embedded(namespace: &Namespace, gateways: Vec<Gateway>) -> Self {
        let (home, account) = rights::service_account();
        let labels = [(ROUTED.0.to_owned(), ROUTED.1.to_owned())].into();
        let everything = Config {
            user: format!("system:serviceaccount:{home}:{account}"),
            namespaces: [(namespace.name.clone(), labels)].into(),
            gateways,
            ..Config::demo()
        };
        let rules = vec![(["create", "get", "list", "patch", "delete"].as_slice(), "pods")];
        let role = Config { role: Some(Role { namespace: namespace.name.clone(), rules }), ..everything.clone() };
        let token = Some(everything.token.clone());
        let [all, some] = [everything, role].map(|config| EmbeddedApi::bind(config, ([127, 0, 0, 1], 0).into()));
        let (all, some) = (all.await.expect("a port is free"), some.await.expect("a port is free"));
        let to_all = to_server(&all.url());
        let callers = [
            (Who::Admin, (to_all.clone(), token.clone())),
            (Who::Provisioner, (to_server(&some.url()), token)),
            (Who::Stranger, (to_all.clone(), Some("nobodys".to_owned()))),
            (Who::Nobody, (to_all, None)),
        ];
        Self::new(namespace, callers, vec![all, some])
    }

    fn real(namespace: &Namespace) -> Self {
        let (admin, other) = (namespace.admin().upstream(), namespace.cluster.with_token("").upstream());
        let callers = [
            (Who::Admin, (admin, None)),
            (Who::Provisioner, (other.clone(), Some(namespace.token.clone()))),
            (Who::Stranger, (other.clone(), Some("nobodys".to_owned()))),
            (Who::Nobody, (other, None)),
        ];
        Self::new(namespace, callers, Vec::new())
    }

    fn new(namespace: &Namespace, callers: [(Who, (Upstream, Option<String>)); 4], servers: Vec<EmbeddedApi>) -> Self {
        let namespace = namespace.name.clone();
        let callers = callers.into();
        Self { namespace, callers, known: BTreeMap::new(), next_page: String::new(), _servers: servers }
    }

    /// Sends a request; gives what there is to see of the answer.
    async fn answer(&mut self, case: &Case) -> Value {
        let (send, token) = &self.callers[&case.who];
        let response = send(self.request(case, token.as_deref())).await;
        let response = response.unwrap_or_else(|error| panic!("{}: no answer: {error}", case.name));
        let code = response.status().as_u16();
        let text = || Value::String(String::from_utf8_lossy(response.body()).trim().to_owned());
        let body = serde_json::from_slice(response.body()).unwrap_or_else(|_| text());
        let seen = view::of(code, &body, &self.known);
        self.remember(&body);
        seen
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
        request.body(self.body(case, &path)).unwrap_or_else(|error| panic!("{}: {error}", case.name))
    }

    /// The body, with the uid and the version of the Pod in the path in their places.
    fn body(&self, case: &Case, path: &str) -> Bytes {
        let name = path.split('?').next().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
        let (uid, version) = self.known.get(name).cloned().unwrap_or_default();
        let body = case.body.replace("{uid}", &uid).replace("{version}", &version);
        body.replace("{namespace}", &self.namespace).into()
    }

    fn remember(&mut self, body: &Value) {
        let metadata = &body["metadata"];
        let text = |field: &str| metadata[field].as_str().unwrap_or_default().to_owned();
        if body["kind"] == "Pod" && metadata["resourceVersion"].is_string() {
            self.known.insert(text("name"), (text("uid"), text("resourceVersion")));
        }
        if metadata["continue"].is_string() {
            self.next_page = text("continue");
        }
    }
}
