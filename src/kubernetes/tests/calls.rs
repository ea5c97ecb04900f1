//! The requests of the calls, and the parsing of answers.

use crate::pod::OWED;
use http::header::{HeaderMap, HeaderValue};
use http::{Method, Request};
use serde_json::{Value, json};

use crate::config::Config;
use crate::context::Context;
use crate::kubernetes::*;
use crate::outbound::Answer;
use crate::pod::Pod;
use crate::testing::{answer, config, context, merged, pod_template, released, routed, status, wanted};

const NAME: &str = "6ae65cff-3704-5f31-ae9d-cd15c7833b0c";
const CLIENTS: [(&str, &str); 2] = [("kube_api_url", "https://api:6443/"), ("client_namespace", "clients")];

fn token(content: &str, config: &Config) -> Token {
    Token::parse(content, &config.kube_api_url).unwrap_or_else(|error| panic!("{error}"))
}

fn pod(change: &Value) -> Pod {
    serde_json::from_value(merged(routed(wanted(&[])), change)).unwrap()
}

fn call(make: impl FnOnce(&Api) -> Request<Vec<u8>>) -> Request<Vec<u8>> {
    let config = config(&CLIENTS);
    make(&Api::new(&config, &token("s3cret\n", &config), HeaderMap::new()))
}

fn body(request: &Request<Vec<u8>>) -> Value {
    serde_json::from_slice(request.body()).unwrap()
}

/// Checks a call's method, URI, body, and the body's media type.
#[track_caller]
fn check(make: impl FnOnce(&Api) -> Request<Vec<u8>>, method: Method, path: &str, content: Option<(&str, Value)>) {
    let request = call(make);
    assert_eq!((request.method(), request.uri().to_string()), (&method, format!("https://api:6443{path}")));
    let headers = request.headers();
    assert_eq!([&headers["authorization"], &headers["accept"]], ["Bearer s3cret", "application/json"]);
    let agent = headers["user-agent"].to_str().unwrap();
    assert!(agent.starts_with("cloudevents-podgateway-client-provisioner/"), "{agent}");
    match content {
        Some((content_type, content)) => {
            assert_eq!((&headers["content-type"], body(&request)), (&content_type.parse().unwrap(), content));
            assert_eq!(headers["content-length"], request.body().len().to_string());
        }
        None => assert!(request.body().is_empty() && !headers.contains_key("content-type")),
    }
    assert!(!format!("{request:?}").contains("s3cret"));
}

#[test]
fn each_call_is_exactly_this_request() {
    let json = "application/json";
    let pods = "/api/v1/namespaces/clients/pods";
    let one = format!("{pods}/{NAME}");
    check(|api| api.create(&json!({"a": 1})), Method::POST, pods, Some((json, json!({"a": 1}))));
    let dry_run = format!("{pods}?dryRun=All");
    check(|api| api.rehearse(&json!({})), Method::POST, &dry_run, Some((json, json!({}))));
    check(|api| api.get(NAME), Method::GET, &one, None);
    check(|api| api.get_template("a.b"), Method::GET, "/api/v1/namespaces/clients/podtemplates/a.b", None);
    check(|api| api.get_namespace(), Method::GET, "/api/v1/namespaces/clients", None);
    let webhooks = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
    check(|api| api.get_webhooks(), Method::GET, webhooks, None);
    check(|api| api.get_readiness(), Method::GET, "/readyz", None);
    let patch = json!({
        "metadata": {"uid": "4d5e6f70-0000-4000-8000-000000000001"},
        "spec": {"schedulingGates": [{"$patch": "delete", "name": "podgateway.io/gateway-verification"}]},
    });
    let patch = Some(("application/strategic-merge-patch+json", patch));
    check(|api| api.release(&pod(&json!({})).metadata, false), Method::PATCH, &one, patch.clone());
    let owed = patch.map(|(ty, patch)| (ty, merged(patch, &json!({"metadata": {"annotations": {OWED: ""}}}))));
    check(|api| api.release(&pod(&json!({})).metadata, true), Method::PATCH, &one, owed);
    let note = json!({"metadata": {"annotations": {"podgateway.io/reported": "running"}}});
    let pinned = merged(note.clone(), &json!({"metadata": {"uid": "u"}}));
    let strategic = "application/strategic-merge-patch+json";
    let annotate = |uid| move |api: &Api| api.annotate(NAME, uid, "podgateway.io/reported", Some("running"));
    check(annotate(Some("u")), Method::PATCH, &one, Some((strategic, pinned)));
    check(annotate(None), Method::PATCH, &one, Some((strategic, note)));
    let selector = "labelSelector=app.kubernetes.io/managed-by%3Dcloudevents-podgateway-client-provisioner";
    let page = |from| format!("{pods}?{selector}&limit=50&continue={from}");
    check(|api| api.list(50, ""), Method::GET, &page(""), None);
    check(|api| api.list(50, "a+/=&b"), Method::GET, &page("a%2B%2F%3D%26b"), None);
    let options = json!({
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "gracePeriodSeconds": 0,
        "preconditions": {"uid": "4d5e6f70-0000-4000-8000-000000000001", "resourceVersion": "7"},
    });
    check(|api| api.delete(&pod(&json!({})).metadata, true), Method::DELETE, &one, Some((json, options)));
}

/// The object tells its node to end it. Without it, a second client could start while the first still runs.
#[test]
fn a_pod_that_may_run_ends_in_its_own_time_however_often_it_has_changed_since() {
    let released: Pod = serde_json::from_value(released(routed(wanted(&[])))).unwrap();
    let options = body(&call(|api| api.delete(&released.metadata, released.is_gated())));
    let expected = json!({
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": "4d5e6f70-0000-4000-8000-000000000001"},
    });
    assert_eq!(options, expected);
}

#[test]
fn a_pod_without_a_version_is_deleted_by_its_uid() {
    let options = body(&call(|api| api.delete(&pod(&json!({"metadata": {"resourceVersion": null}})).metadata, true)));
    assert_eq!(options["preconditions"], json!({"uid": "4d5e6f70-0000-4000-8000-000000000001"}));
}

#[test]
fn a_trace_goes_on_with_every_call() {
    let config = config(&[]);
    let token = token("s3cret", &config);
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let traced = Context { traceparent: Some(traceparent.into()), ..context("/test", "1") };
    let api = Api::new(&config, &token, traced.trace());
    for request in
        [api.get("x"), api.get_readiness(), api.create(&json!({})), api.delete(&pod(&json!({})).metadata, true)]
    {
        assert_eq!(request.headers()["traceparent"], traceparent, "{}", request.uri());
    }
}

#[test]
fn a_token_is_one_line_and_may_be_absent_for_a_proxy_on_http_only() {
    let (https, http) = (config(&[]), config(&[("kube_api_url", "http://localhost:8001")]));
    assert_eq!(token(" s3cret\n", &https).secret(), "s3cret");
    let none = token("\n", &http);
    assert_eq!(Api::new(&http, &none, HeaderMap::new()).get("x").headers().get("authorization"), None);
    for (content, expected) in [
        ("", "the token file is empty: mount the service account's token"),
        ("\n ", "the token file is empty: mount the service account's token"),
        ("a\nb", "the token file holds more than a token"),
        ("a\u{0}b", "the token file holds more than a token"),
    ] {
        let error = Token::parse(content, &https.kube_api_url).err().expect(expected);
        assert_eq!(error.to_string(), expected);
    }
}

#[track_caller]
fn check_unreadable<T>(result: Result<T, Verdict>, body: &str) {
    let Some(Verdict::Heals(retry)) = result.err() else { panic!("{body}") };
    assert!(retry.cause.starts_with("the Kubernetes API answered with something else: "), "{}", retry.cause);
}

#[test]
fn only_the_very_pod_is_an_answer() {
    let read = |pod: &Value| read_pod::<Pod>(pod.to_string().as_bytes(), "default", NAME);
    assert!(read(&routed(wanted(&[]))).unwrap().is_gated());
    assert!(!read(&released(routed(wanted(&[])))).unwrap().is_gated());
    for body in ["", "{", "null", "[]", "<html>", r#"{"kind":"Status","status":"Success"}"#, r#"{"metadata":{}}"#] {
        check_unreadable(read_pod::<Pod>(body.as_bytes(), "default", NAME), body);
    }
    for field in ["name", "namespace", "uid"] {
        for value in [json!("other"), json!(""), json!(null), json!(7)] {
            let other = merged(routed(wanted(&[])), &json!({"metadata": {field: value}}));
            if (field, &value) != ("uid", &json!("other")) {
                check_unreadable(read(&other), &other.to_string());
            }
        }
    }
}

#[test]
fn an_object_is_of_the_kind_that_was_asked_for() {
    let read = |object: &str| read_object(object.as_bytes(), "PodTemplate");
    let template = pod_template(|_| ());
    assert_eq!(read(&template.to_string()).unwrap(), template);
    for other in [r#"{"kind":"Pod"}"#, "{}", r#""PodTemplate""#, r#"["PodTemplate"]"#, "null", "<html>"] {
        check_unreadable(read(other), other);
    }
}

#[test]
fn a_page_of_a_list_says_where_the_next_begins() {
    let pod = released(routed(wanted(&[])));
    let read = |metadata: Value| read_page(json!({"items": [pod], "metadata": metadata}).to_string().as_bytes());
    let page = read(json!({"resourceVersion": "7", "continue": "a", "remainingItemCount": 1})).unwrap();
    assert_eq!(page.items.as_ref().unwrap()[0].metadata.name, NAME);
    assert_eq!(page.next(), "a");
    assert_eq!(read(json!({"resourceVersion": "7"})).unwrap().next(), "");
    for other in ["", "{", "null", "<html>", r#"{"kind":"Status"}"#, r#"{"metadata":{}}"#, r#"{"items":[]}"#] {
        check_unreadable(read_page(other.as_bytes()), other);
    }
}

#[test]
fn every_success_is_taken_and_nothing_else() {
    for code in 100..600 {
        let read = verdict(Call::Readiness, answer(code, "ok"));
        assert_eq!(read.is_ok(), (200..300).contains(&code), "{code}");
    }
}

#[test]
fn a_refusal_quotes_the_api_server_or_says_that_it_was_another() {
    let text = |answer: Answer| Refusal::new(&answer.unwrap()).to_string();
    assert_eq!(text(status(422, "Invalid", "spec: no")), "the Kubernetes API answered 422: spec: no");
    assert_eq!(text(status(422, "Invalid", "")), "the Kubernetes API answered 422");
    for other in ["", "<html>", r#"{"kind":"Status""#, r#"{"kind":"Pod","message":"no"}"#, r#"{"message":"no"}"#] {
        let expected = "404 without a Status: probably a proxy answered instead of the API server";
        assert_eq!(text(answer(404, other)), expected, "{other}");
    }
    let endless = text(status(400, "BadRequest", &"ä".repeat(9_000)));
    assert_eq!(endless, format!("the Kubernetes API answered 400: {}", "ä".repeat(1_024)));
}

/// The API server's message doesn't say what to do.
#[test]
fn a_refusal_that_is_final_says_what_to_do() {
    let forbidden = |why: &str| status(403, "Forbidden", &format!("pods \"x\" is forbidden: {why}"));
    let limits = "failed quota: clients: must specify limits.cpu for: gateway-init,gateway-sidecar";
    for (call, answer, advice) in [
        (Call::Create, forbidden(limits), "; give the client namespace a LimitRange with defaults: "),
        (
            Call::Release,
            forbidden("exceeded quota: clients, used: pods=1"),
            "pods=1; remove clients, or raise the quota",
        ),
        (Call::Create, status(404, "NotFound", "no"), "no; create the namespace, or set client_namespace"),
        (Call::End, forbidden("User \"u\" cannot"), "cannot; give the service account its Role, or remove"),
        (Call::GetTemplate, status(404, "NotFound", "no"), "no; create it in the client namespace, or set "),
    ] {
        match verdict(call, answer) {
            Err(Verdict::Terminal(failure)) => assert!(failure.message.contains(advice), "{}", failure.message),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_header_of_a_token_hides_it() {
    let request = call(|api| api.get(NAME));
    assert!(
        request
            .headers()
            .values()
            .filter(|value| value.is_sensitive())
            .eq([&HeaderValue::from_static("Bearer s3cret")])
    );
}
