//! Pods as they come back: what a webhook may do to one, and what makes it no client.

use provisioner::bypass;
use provisioner::testing::{ADDRESS, deleting, examples, gateway_container, merged, released, routed, stored};
use serde_json::{Value, json};
use tests::events::pending;
use tests::peer::{Step, json_step};

use crate::{Case, End, run};

/// A change of the routed Pod.
type Change = fn(&mut Value);

fn case(name: &'static str, end: End, change: impl Fn(Value) -> Value + Clone + Send + Sync + 'static) -> Case {
    let changed = change.clone();
    let second: Step = match end {
        End::Done => json_step("PATCH", 200, move |posted| released(changed(routed(posted)))),
        _ => json_step("DELETE", 200, |posted| deleting(stored(posted))),
    };
    let created = json_step("POST", 201, move |posted| change(routed(posted)));
    Case::new("a Pod that came back", name, pending("1", "foo"), vec![created, second], end)
}

fn changed(name: &'static str, end: End, change: Change) -> Case {
    case(name, end, move |mut pod| {
        change(&mut pod);
        pod
    })
}

/// The gateway's sidecar with this change.
fn sidecar(change: Value) -> Value {
    merged(gateway_container("gateway-sidecar", ADDRESS), &change)
}

fn push(list: &mut Value, item: Value) {
    list.as_array_mut().unwrap().push(item);
}

/// What webhooks do every day, which changes nothing about the route.
fn ordinary() -> Vec<Case> {
    let done = |name, change| changed(name, End::Done, change);
    vec![
        done("an image that was pinned", |pod| {
            let pinned = format!("docker.io/alpine/curl:8.17.0@sha256:{}", "0".repeat(64));
            pod["spec"]["containers"][0]["image"] = json!(pinned);
        }),
        done("a command that was wrapped", |pod| {
            pod["spec"]["containers"][0]["command"] = json!(["/vault/vault-env"]);
            pod["spec"]["containers"][0]["args"] = json!(["sleep", "infinity"]);
        }),
        done("environment, volumes and resources", |pod| {
            pod["spec"]["volumes"] = json!([{"name": "tmp", "emptyDir": {}}]);
            pod["spec"]["containers"][0]["env"] = json!([{"name": "CLUSTER", "value": "eu"}]);
            pod["spec"]["containers"][0]["resources"] = json!({"limits": {"memory": "64Mi"}});
        }),
        done("a further container that is hardened", |pod| {
            let hardened = json!({"capabilities": {"drop": ["NET_RAW"]}});
            push(&mut pod["spec"]["containers"], json!({"name": "log", "image": "log:1", "securityContext": hardened}));
        }),
        done("a native sidecar", |pod| {
            pod["spec"]["containers"].as_array_mut().unwrap().pop();
            push(&mut pod["spec"]["initContainers"], sidecar(json!({"restartPolicy": "Always"})));
        }),
        done("a gateway's container that is privileged", |pod| {
            pod["spec"]["initContainers"][0]["securityContext"] = json!({"privileged": true});
        }),
        done("another gate beside ours", |pod| push(&mut pod["spec"]["schedulingGates"], json!({"name": "a/b"}))),
        done("labels and annotations of others", |pod| {
            pod["metadata"]["labels"]["team"] = json!("a");
            pod["metadata"]["annotations"]["a/b"] = json!("c");
        }),
    ]
}

/// Gateways that would set no routes, or too late, or whose Pod would never start.
fn unready() -> Vec<Case> {
    let refused = |name, change| changed(name, End::Failed("UnsafePod"), change);
    vec![
        refused("a sidecar in place of the init container", |pod| {
            pod["spec"]["initContainers"] = json!([sidecar(json!({"restartPolicy": "Always"}))]);
        })
        .saying("gateway-sidecar has restartPolicy Always"),
        refused("a sidecar that lost its restart policy", |pod| {
            pod["spec"]["containers"].as_array_mut().unwrap().pop();
            push(&mut pod["spec"]["initContainers"], sidecar(json!({})));
        })
        .saying("gateway-sidecar lost restartPolicy Always"),
        refused("an init container without NET_ADMIN", |pod| {
            pod["spec"]["initContainers"][0]["securityContext"]["capabilities"]["add"] = json!(["NET_RAW"]);
        })
        .saying("gateway-init does not add the capability NET_ADMIN"),
        refused("an init container without a security context", |pod| {
            pod["spec"]["initContainers"][0]["securityContext"] = json!(null);
        })
        .saying("gateway-init does not add the capability NET_ADMIN"),
        refused("an init container that drops NET_ADMIN", |pod| {
            pod["spec"]["initContainers"][0]["securityContext"]["capabilities"]["drop"] = json!(["NET_ADMIN"]);
        })
        .saying("gateway-init drops the capability NET_ADMIN"),
        refused("an init container of another user", |pod| {
            pod["spec"]["initContainers"][0]["securityContext"]["runAsUser"] = json!(1000);
        })
        .saying("runs as user 1000"),
        refused("an init container before the gateway's", |pod| {
            pod["spec"]["initContainers"].as_array_mut().unwrap().insert(0, json!({"name": "early", "image": "a:1"}));
        })
        .saying("early would run before the gateway's"),
        refused("a gate that was taken away", |pod| {
            pod["spec"].as_object_mut().unwrap().remove("schedulingGates");
        })
        .saying("the scheduling gate was taken from it"),
        refused("another's gate in place of ours", |pod| pod["spec"]["schedulingGates"] = json!([{"name": "a/b"}]))
            .saying("the scheduling gate was taken from it"),
    ]
}

/// By which we know our own and the policy knows our clients.
fn marks() -> Vec<Case> {
    let refused = |name, reason, change| changed(name, End::Failed(reason), change);
    vec![
        refused("another event's id", "UnsafePod", |pod| {
            pod["metadata"]["annotations"]["podgateway.io/event-id"] = json!("2");
        })
        .saying("podgateway.io/event-id was changed from \"1\" to \"2\""),
        refused("no event's source", "UnsafePod", |pod| {
            pod["metadata"]["annotations"].as_object_mut().unwrap().remove("podgateway.io/event-source");
        })
        .saying("podgateway.io/event-source was changed from \"/test\" to nothing"),
        refused("nobody's", "UnsafePod", |pod| {
            pod["metadata"]["labels"].as_object_mut().unwrap().remove("app.kubernetes.io/managed-by");
        })
        .saying("app.kubernetes.io/managed-by was changed"),
        refused("another's", "UnsafePod", |pod| {
            pod["metadata"]["labels"]["app.kubernetes.io/managed-by"] = json!("Helm");
        })
        .saying("to \"Helm\""),
        refused("another gateway's by its annotation", "WrongGatewayInjected", |pod| {
            pod["metadata"]["annotations"]["setGateway"] = json!("bar");
        })
        .saying("from \"foo\" to \"bar\""),
        refused("another gateway's by its label", "WrongGatewayInjected", |pod| {
            pod["metadata"]["labels"]["setGateway"] = json!("bar");
        })
        .saying("its label setGateway"),
        refused("another gateway's by its sidecar", "WrongGatewayInjected", |pod| {
            pod["spec"]["containers"][1] = gateway_container("gateway-sidecar", "elsewhere");
        })
        .saying("gateway-sidecar has another gateway"),
        refused("a gateway by reference", "WrongGatewayInjected", |pod| {
            let reference = json!({"fieldRef": {"fieldPath": "metadata.name"}});
            pod["spec"]["initContainers"][0]["env"] = json!([{"name": "gateway", "valueFrom": reference}]);
        })
        .saying("not a literal value"),
    ]
}

/// Every entry of the table of what leads past a gateway, as a webhook would bring it about.
fn bypasses() -> Vec<Case> {
    let cases = examples()
        .into_iter()
        .map(|(field, change)| case(field, End::Failed("UnsafePod"), move |pod| merged(pod, &change)).saying(field));
    // The client is none of the gateway's containers, whatever its environment says.
    let disguised = changed("securityContext.capabilities.add", End::Failed("UnsafePod"), |pod| {
        let gateways = gateway_container("client", ADDRESS);
        pod["spec"]["containers"][0]["env"] = gateways["env"].clone();
        pod["spec"]["containers"][0]["securityContext"] = gateways["securityContext"].clone();
    });
    cases.chain([disguised.saying("its container client")]).collect()
}

#[tokio::test]
async fn what_webhooks_do_every_day_costs_no_event() {
    for case in ordinary() {
        run(case).await;
    }
}

#[tokio::test]
async fn a_gateway_that_could_set_no_routes_in_time_is_none() {
    for case in unready() {
        run(case).await;
    }
}

#[tokio::test]
async fn a_pod_whose_marks_were_changed_is_removed_at_once() {
    for case in marks() {
        run(case).await;
    }
}

#[tokio::test]
async fn whatever_leads_past_the_gateway_is_found_and_named() {
    for case in bypasses() {
        run(case).await;
    }
}

#[test]
fn every_entry_of_the_table_is_brought_about() {
    let seen: Vec<_> = bypasses().iter().map(|case| case.name).collect();
    for rule in bypass::POD.iter().chain(&bypass::CONTAINER) {
        assert!(seen.contains(&rule.field), "no case for {}", rule.field);
    }
    for capability in bypass::CAPABILITIES {
        assert!(examples().iter().any(|(_, change)| change.to_string().contains(capability)), "{capability}");
    }
}

/// So that whoever reads it knows where to look.
#[tokio::test]
async fn the_container_that_leads_past_the_gateway_is_named() {
    let further = |context: Value| {
        let further = json!({"name": "further", "image": "a:1", "securityContext": context});
        move |mut pod: Value| {
            push(&mut pod["spec"]["containers"], further.clone());
            pod
        }
    };
    let contexts = [
        (json!({"privileged": true}), "privileged"),
        (json!({"capabilities": {"add": ["NET_RAW"], "drop": ["ALL"]}}), "NET_RAW"),
        (json!({"capabilities": {"add": ["cap_net_raw"], "drop": ["ALL"]}}), "cap_net_raw"),
        (json!(null), "capabilities.drop"),
    ];
    for (context, found) in contexts {
        let case = case("a further container", End::Failed("UnsafePod"), further(context));
        run(case.saying("its container further").saying(found)).await;
    }
}
