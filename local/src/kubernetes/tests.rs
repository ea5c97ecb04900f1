//! The embedded API over HTTP, as the component meets it.

use super::*;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

const PODS: &str = "/api/v1/namespaces/default/pods";
const RELEASE: &str = "application/strategic-merge-patch+json";

struct Caller {
    api: EmbeddedApi,
    token: String,
}

impl Caller {
    async fn new(config: Config) -> Self {
        let token = config.token.clone();
        let api = EmbeddedApi::bind(config, ([127, 0, 0, 1], 0).into()).await;
        Self { api: api.unwrap(), token }
    }

    async fn send(&self, method: &str, path: &str, media: &str, body: &[u8]) -> (StatusCode, Value) {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.api.url()))
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", media)
            .body(Full::new(Bytes::copy_from_slice(body)))
            .unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        let response = client.request(request).await.unwrap();
        let code = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (code, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let media = if method == "PATCH" { RELEASE } else { "application/json" };
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (code, body) = self.send(method, path, media, body.as_bytes()).await;
        (code.as_u16(), body)
    }

    #[track_caller]
    fn refused((code, body): (u16, Value), expect: u16, reason: &str) -> String {
        assert_eq!((code, body["reason"].as_str()), (expect, Some(reason)), "{body}");
        assert_eq!(body["code"], expect);
        body["message"].as_str().unwrap().to_owned()
    }
}

fn pod(name: &str, gateway: &str) -> Value {
    json!({
        "metadata": {"name": name, "annotations": {"setGateway": gateway}},
        "spec": {
            "schedulingGates": [{"name": "podgateway.io/gateway-verification"}],
            "containers": [{"name": "client", "image": "alpine/curl"}],
        },
    })
}

fn release(uid: &Value) -> Value {
    let gate = json!({"$patch": "delete", "name": "podgateway.io/gateway-verification"});
    json!({"metadata": {"uid": uid}, "spec": {"schedulingGates": [gate]}})
}

#[tokio::test]
async fn a_token_is_reviewed_for_the_audience_that_is_asked_for() {
    let caller = Caller::new(Config::demo()).await;
    let review = async |token: &str| {
        let review = json!({"spec": {"token": token, "audiences": ["us"]}});
        caller.call("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review).await
    };
    let (code, known) = review(&caller.token).await;
    assert_eq!((code, &known["kind"], &known["status"]["audiences"]), (201, &json!("TokenReview"), &json!(["us"])));
    let (code, unknown) = review("other").await;
    assert_eq!((code, unknown["status"].get("authenticated")), (201, None));
    assert!(known["status"]["authenticated"] == true && unknown["status"]["error"].is_string());
}

#[tokio::test]
async fn client_is_created_gated_and_routed_then_released_then_deleted() {
    let caller = Caller::new(Config::demo()).await;
    let mut changes = caller.api.subscribe();
    let path = format!("{PODS}/x");

    let (code, created) = caller.call("POST", PODS, pod("x", "foo")).await;
    assert_eq!(code, 201, "{created}");
    let typed: Pod = serde_json::from_value(created.clone()).unwrap();
    let spec = typed.spec.unwrap();
    assert_eq!(spec.init_containers.unwrap()[0].name, "gateway-init");
    assert_eq!(created["status"]["conditions"][0]["reason"], "SchedulingGated");

    let uid = &created["metadata"]["uid"];
    let (code, released) = caller.call("PATCH", &path, release(uid)).await;
    assert_eq!((code, released["spec"].get("schedulingGates")), (200, None));
    let (code, again) = caller.call("PATCH", &path, release(uid)).await;
    assert_eq!((code, again), (200, released.clone()));

    let options = json!({"preconditions": {"uid": uid}, "gracePeriodSeconds": 0});
    let (code, deleted) = caller.call("DELETE", &path, options).await;
    assert_eq!(code, 200);
    let deleted: Pod = serde_json::from_value(deleted).unwrap();
    assert!(deleted.metadata.deletion_timestamp.is_some());
    Caller::refused(caller.call("GET", &path, Value::Null).await, 404, "NotFound");

    for expect in [ChangeKind::Created, ChangeKind::Released, ChangeKind::Deleted] {
        assert_eq!(changes.recv().await.unwrap().kind, expect);
    }
    assert_eq!(caller.api.calls()["patch"], 2);
}

#[tokio::test]
async fn second_creation_of_a_name_is_already_exists() {
    let caller = Caller::new(Config::demo()).await;
    caller.call("POST", PODS, pod("x", "foo")).await;
    let answer = caller.call("POST", PODS, pod("x", "foo")).await;
    assert_eq!(Caller::refused(answer, 409, "AlreadyExists"), "pods \"x\" already exists");
    assert_eq!(caller.api.pods("default").len(), 1);
}

#[tokio::test]
async fn parallel_creations_of_a_name_make_one_pod() {
    let caller = std::sync::Arc::new(Caller::new(Config::demo()).await);
    let create = |_| {
        let caller = caller.clone();
        tokio::spawn(async move { caller.call("POST", PODS, pod("x", "foo")).await.0 })
    };
    let mut codes = Vec::new();
    for task in (0..16).map(create).collect::<Vec<_>>() {
        codes.push(task.await.unwrap());
    }
    codes.sort_unstable();
    assert_eq!(codes[0], 201);
    assert!(codes[1..].iter().all(|&code| code == 409), "{codes:?}");
}

#[tokio::test]
async fn release_of_another_uid_is_invalid_and_deletion_of_another_a_conflict() {
    let caller = Caller::new(Config::demo()).await;
    caller.call("POST", PODS, pod("x", "foo")).await;
    let path = format!("{PODS}/x");
    let answer = caller.call("PATCH", &path, release(&json!("other"))).await;
    assert!(Caller::refused(answer, 422, "Invalid").contains("field is immutable"));
    let options = json!({"preconditions": {"uid": "other"}});
    Caller::refused(caller.call("DELETE", &path, options).await, 409, "Conflict");
}

#[tokio::test]
async fn requests_are_authenticated_before_they_are_authorized() {
    let mut config = Config::demo();
    config.role = Some(Role { namespace: "routed-clients".to_owned(), rules: vec![(&["create", "get"], "pods")] });
    let caller = Caller::new(config).await;
    let answer = caller.call("POST", PODS, pod("x", "foo")).await;
    assert!(Caller::refused(answer, 403, "Forbidden").contains("cannot create resource"));
    let stranger = Caller { token: "another".to_owned(), ..caller };
    for path in [PODS, "/readyz"] {
        let answer = stranger.call("GET", path, Value::Null).await;
        assert_eq!(Caller::refused(answer, 401, "Unauthorized"), "Unauthorized");
    }
}

#[tokio::test]
async fn unknown_namespaces_paths_and_verbs_are_refused_each_in_its_way() {
    let caller = Caller::new(Config::demo()).await;
    let answer = caller.call("POST", "/api/v1/namespaces/no/pods", pod("x", "foo")).await;
    assert_eq!(Caller::refused(answer, 404, "NotFound"), "namespaces \"no\" not found");
    Caller::refused(caller.call("GET", "/api/v1/secrets", Value::Null).await, 404, "NotFound");
    let answer = caller.call("PUT", &format!("{PODS}/x"), pod("x", "foo")).await;
    Caller::refused(answer, 405, "MethodNotAllowed");
    let path = format!("{PODS}?fieldValidation=Strict");
    let answer = caller.call("POST", &path, pod("x", "foo")).await;
    assert!(Caller::refused(answer, 400, "BadRequest").contains("kubectl --validate=ignore"));
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused_by_kind() {
    let caller = Caller::new(Config::demo()).await;
    let json = "application/json";
    let post = async |media: &str, body: &[u8]| {
        let (code, body) = caller.send("POST", PODS, media, body).await;
        (code.as_u16(), body)
    };
    Caller::refused(post(json, b"{").await, 400, "BadRequest");
    Caller::refused(post(json, b"{\"kind\": \"Service\"}").await, 400, "BadRequest");
    Caller::refused(post("text/plain", b"x").await, 415, "UnsupportedMediaType");
    let large = vec![b' '; 3 * 1024 * 1024 + 1];
    Caller::refused(post(json, &large).await, 413, "RequestEntityTooLarge");
    let mut invalid = pod("x", "foo");
    invalid["metadata"]["labels"] = json!({"setGateway": "a/b"});
    let message = Caller::refused(caller.call("POST", PODS, invalid).await, 422, "Invalid");
    let expect = "Pod \"x\" is invalid: metadata.labels: Invalid value: \"a/b\": a valid label must be";
    assert!(message.starts_with(expect), "{message}");
}

#[tokio::test]
async fn dry_run_shows_the_routed_pod_and_stores_nothing() {
    let caller = Caller::new(Config::demo()).await;
    let path = format!("{PODS}?dryRun=All&fieldManager=x");
    let (code, pod) = caller.call("POST", &path, pod("x", "bar")).await;
    assert_eq!(code, 201);
    assert_eq!(pod["spec"]["initContainers"][0]["name"], "gateway-init");
    assert!(caller.api.pods("default").is_empty());
}

#[tokio::test]
async fn lists_are_selected_by_labels_and_names() {
    let caller = Caller::new(Config::demo()).await;
    for name in ["x", "y"] {
        let mut pod = pod(name, "foo");
        pod["metadata"]["labels"] = json!({"app": name});
        caller.call("POST", PODS, pod).await;
    }
    for query in ["labelSelector=app%3Dx", "fieldSelector=metadata.name%3Dx"] {
        let (_, list) = caller.call("GET", &format!("/api/v1/pods?{query}"), Value::Null).await;
        let list: k8s_openapi::List<Pod> = serde_json::from_value(list).unwrap();
        assert_eq!(list.items.len(), 1, "{query}");
    }
}

#[tokio::test]
async fn pod_templates_are_read_as_they_were_seeded() {
    let mut config = Config::demo();
    let template = json!({"metadata": {"namespace": "default", "name": "t"}, "template": {}});
    config.pod_templates = vec![template];
    let caller = Caller::new(config).await;
    let path = "/api/v1/namespaces/default/podtemplates";
    let (code, template) = caller.call("GET", &format!("{path}/t"), Value::Null).await;
    assert_eq!((code, &template["kind"]), (200, &json!("PodTemplate")));
    let answer = caller.call("GET", &format!("{path}/u"), Value::Null).await;
    Caller::refused(answer, 404, "NotFound");
}

#[tokio::test]
async fn failures_can_be_brought_about() {
    let caller = Caller::new(Config::demo()).await;
    caller.api.set_gateways(vec![Gateway::new("foo").with_mode(Mode::Down("refused".into()))]);
    let answer = caller.call("POST", PODS, pod("x", "foo")).await;
    Caller::refused(answer, 500, "InternalError");
    caller.api.set_available(false);
    let answer = caller.call("POST", PODS, pod("x", "foo")).await;
    Caller::refused(answer, 503, "ServiceUnavailable");
}

#[tokio::test]
async fn whoever_may_come_in_needs_no_token_and_another_site_may_not() {
    let caller = Caller::new(Config { open_to: Some(Default::default()), ..Config::demo() }).await;
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    for (host, status) in [("localhost", 200), ("evil.example", 403)] {
        let request = Request::get(format!("{}/api/v1/pods", caller.api.url())).header("host", host);
        assert_eq!(client.request(request.body(Default::default()).unwrap()).await.unwrap().status(), status, "{host}");
    }
    caller.api.shutdown().await;
}
