//! Clients made from a PodTemplate.

use serde_json::{Value, json};
use tests::events::pending;
use tests::peer::{Step, json_step, released, routed, status};
use tests::{Peer, Provisioner};

use crate::{Case, End, run};

fn template(change: fn(&mut Value)) -> Value {
    let mut spec = json!({
        "activeDeadlineSeconds": 3600,
        "containers": [{"name": "client", "image": "crawler:1", "args": ["-v"]}, {"name": "cache", "image": "cache:1"}],
    });
    change(&mut spec);
    json!({
        "kind": "PodTemplate", "apiVersion": "v1", "metadata": {"name": "crawler", "namespace": "default"},
        "template": {"metadata": {"labels": {"team": "a"}}, "spec": spec},
    })
}

fn read(change: fn(&mut Value)) -> Step {
    json_step("GET", 200, move |_| template(change))
}

fn absent() -> Step {
    status("GET", 404, "NotFound", "pods \"x\" not found")
}

pub fn cases() -> Vec<Case> {
    let case = |name, script, end| {
        Case::new("template", name, pending("1", "foo"), script, end).with("client_pod_template", "crawler")
    };
    let invalid = |name, change| case(name, vec![read(change), absent()], End::Failed("PodTemplateInvalid"));
    vec![
        case(
            "usable",
            vec![read(|_| ()), json_step("POST", 201, routed), json_step("PATCH", 200, released)],
            End::Done,
        ),
        // A host takes a megabyte or two of a call's body before anybody reads it, and the rest after that.
        case(
            "large",
            vec![
                read(|spec| spec["containers"][1]["args"] = json!(["x".repeat(3_300_000)])),
                json_step("POST", 201, routed),
                json_step("PATCH", 200, released),
            ],
            End::Done,
        ),
        case("missing", vec![absent(), absent()], End::Failed("PodTemplateInvalid")),
        case("not allowed to be read", vec![status("GET", 403, "Forbidden", "no"), absent()], End::Failed("Forbidden")),
        case("unwell", vec![status("GET", 500, "InternalError", "")], End::Empty(503)),
        case("of another kind", vec![json_step("GET", 200, |_| json!({"kind": "Secret"}))], End::Empty(503)),
        invalid("init containers", |spec| spec["initContainers"] = json!([{"name": "early", "image": "x"}])),
        invalid("host network", |spec| spec["hostNetwork"] = json!(true)),
        invalid("host processes", |spec| spec["hostPID"] = json!(true)),
        invalid("host IPC", |spec| spec["hostIPC"] = json!(true)),
        invalid("a node", |spec| spec["nodeName"] = json!("node-1")),
        invalid("shared processes", |spec| spec["shareProcessNamespace"] = json!(true)),
        invalid("the gateway's name", |spec| spec["containers"][1]["name"] = json!("gateway-sidecar")),
        invalid("routes", |spec| {
            spec["containers"][0]["securityContext"] = json!({"capabilities": {"add": ["NET_ADMIN"]}});
        }),
        invalid("no client", |spec| spec["containers"][0]["name"] = json!("main")),
    ]
}

#[tokio::test]
async fn every_template_ends_as_it_should() {
    for case in cases() {
        run(case).await;
    }
}

#[tokio::test]
async fn what_the_promises_need_is_laid_over_the_template() {
    let script = vec![read(|_| ()), json_step("POST", 201, routed), json_step("PATCH", 200, released)];
    let peer = Peer::start(script).await;
    Provisioner::start(&peer.url(), &[("client_pod_template", "crawler")]).deliver(pending("1", "foo")).await;
    let calls = peer.finish();
    assert_eq!(calls[0].path, "/api/v1/namespaces/default/podtemplates/crawler");
    let pod = &calls[1].body;
    assert_eq!(
        (&pod["metadata"]["labels"]["team"], &pod["spec"]["activeDeadlineSeconds"]),
        (&json!("a"), &json!(3600))
    );
    assert_eq!(pod["spec"]["schedulingGates"], json!([{"name": "podgateway.io/gateway-verification"}]));
    assert_eq!(pod["spec"]["automountServiceAccountToken"], false);
    let client = &pod["spec"]["containers"][0];
    assert_eq!((&client["image"], &client["args"]), (&json!("crawler:1"), &json!(["-v"])));
    assert_eq!(client["securityContext"]["capabilities"], json!({"drop": ["ALL"]}));
}
