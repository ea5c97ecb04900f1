use super::*;
use crate::testing::{
    ADDRESS, config, deleting, examples, gateway_container, merged, released, routed, stored, wanted, with_pending,
};
use serde_json::json;

fn judge_with(changes: &[(&str, &str)], pod: Value) -> Result<(), Failure> {
    let pod: Pod = serde_json::from_value(pod).expect("it is still a Pod");
    with_pending(|pending| verify(&pod, pending, &config(changes)))
}

/// Judges the routed Pod after `change`.
fn judge(change: impl FnOnce(&mut Value)) -> Result<(), Failure> {
    let mut pod = routed(wanted(&[]));
    change(&mut pod);
    judge_with(&[], pod)
}

#[track_caller]
fn check(reason: Reason, expected: &str, change: impl FnOnce(&mut Value)) {
    let failure = judge(change).expect_err(expected);
    let message = failure.message.strip_suffix("; check which admission webhooks act in the client namespace");
    assert_eq!((failure.reason, message.unwrap_or(&failure.message)), (reason, expected));
}

/// Its gateway's init container.
fn init(pod: &mut Value) -> &mut Value {
    &mut pod["spec"]["initContainers"][0]
}

/// A change that gives the Pod these init containers.
fn inits<const N: usize>(containers: [Value; N]) -> impl FnOnce(&mut Value) {
    move |pod| pod["spec"]["initContainers"] = Value::from(containers.to_vec())
}

fn gateway_init() -> Value {
    gateway_container("gateway-init", ADDRESS)
}

/// A native sidecar of the gateway's.
fn sidecar() -> Value {
    merged(gateway_container("gateway-sidecar", ADDRESS), &json!({"restartPolicy": "Always"}))
}

#[test]
fn a_pod_with_its_gateway_first_is_routed() {
    assert_eq!(judge(|_| ()), Ok(()));
    assert_eq!(
        judge(inits([
            gateway_init(),
            sidecar(),
            json!({"name": "late", "securityContext": {"capabilities": {"drop": ["ALL"]}}})
        ])),
        Ok(())
    );
    assert_eq!(judge(|pod| init(pod)["securityContext"] = json!({"privileged": true})), Ok(()));
    assert_eq!(judge(|pod| init(pod)["securityContext"]["capabilities"]["add"] = json!(["cap_net_admin"])), Ok(()));
    assert_eq!(judge(|pod| init(pod)["securityContext"]["capabilities"]["add"] = json!(["ALL"])), Ok(()));
    assert_eq!(judge(|pod| init(pod)["securityContext"]["capabilities"]["drop"] = json!(["ALL"])), Ok(()));
}

#[test]
fn a_pod_that_nobody_took_is_not_injected() {
    let expected = "no gateway took it: check that the gateway exists under this name, and that the client namespace is \
                    labelled routed-gateway: \"true\"";
    check(Reason::GatewayNotInjected, expected, |pod| *pod = stored(wanted(&[])));
    check(Reason::GatewayNotInjected, expected, inits([]));
    check(Reason::GatewayNotInjected, expected, |pod| init(pod)["env"] = json!([{"name": "GATEWAY", "value": "x"}]));
    // A sidecar alone sets no routes.
    let sidecar_alone = |pod: &mut Value| pod["spec"]["initContainers"] = json!(null);
    check(Reason::GatewayNotInjected, expected, sidecar_alone);
}

#[test]
fn another_address_than_the_configured_one_is_the_wrong_gateway() {
    let pattern = "pod-gateway-{gateway}.gateway-system.svc.cluster.local";
    assert_eq!(judge_with(&[("gateway_address", pattern)], routed(wanted(&[]))), Ok(()));
    let failure = judge_with(&[("gateway_address", "gw-{gateway}")], routed(wanted(&[]))).unwrap_err();
    assert_eq!(failure.reason, Reason::WrongGatewayInjected);
    let expected = format!("it was given the gateway {ADDRESS:?}, where gateway_address says \"gw-foo\"; check which");
    assert!(failure.message.starts_with(&expected), "{}", failure.message);
}

#[test]
fn two_gateways_in_one_pod_are_one_too_many() {
    let other = |name: &str| format!("its container {name} has another gateway than {ADDRESS:?}");
    check(Reason::WrongGatewayInjected, &other("gateway-sidecar"), |pod| {
        pod["spec"]["containers"][1]["env"][0]["value"] = json!("other");
    });
    check(Reason::WrongGatewayInjected, &other("x"), |pod| {
        pod["spec"]["ephemeralContainers"] = json!([{"name": "x", "env": [{"name": "gateway", "value": "y"}]}]);
    });
    check(Reason::WrongGatewayInjected, &other("gateway-init"), |pod| {
        init(pod)["env"].as_array_mut().unwrap().push(json!({"name": "gateway", "valueFrom": {}}));
    });
}

#[test]
fn an_address_that_is_not_a_literal_can_not_be_trusted() {
    for variable in [
        json!({"name": "gateway", "value": ""}),
        json!({"name": "gateway"}),
        json!({"name": "gateway", "value": "$(FOO)"}),
        json!({"name": "gateway", "value": ADDRESS, "valueFrom": {"fieldRef": {}}}),
    ] {
        let expected = "its gateway's address is not a literal value";
        check(Reason::WrongGatewayInjected, expected, |pod| init(pod)["env"] = json!([variable]));
    }
}

/// Else the next delivery would not know its own Pod, nor the admission policy a client.
#[test]
fn a_mark_that_was_changed_says_from_what_to_what() {
    let rows = [
        (Reason::WrongGatewayInjected, "annotation", "setGateway", "foo"),
        (Reason::WrongGatewayInjected, "label", "setGateway", "foo"),
        (Reason::UnsafePod, "label", "app.kubernetes.io/managed-by", "cloudevents-podgateway-client-provisioner"),
        (Reason::UnsafePod, "annotation", "podgateway.io/event-source", "/test"),
        (Reason::UnsafePod, "annotation", "podgateway.io/event-id", "1"),
    ];
    for (reason, what, key, sent) in rows {
        for (value, found) in [(json!("bar"), "\"bar\""), (json!(""), "\"\""), (json!(null), "nothing")] {
            check(reason, &format!("its {what} {key} was changed from {sent:?} to {found}"), |pod| {
                *pod = merged(pod.take(), &json!({"metadata": {format!("{what}s"): {key: value}}}));
            });
        }
    }
    check(
        Reason::UnsafePod,
        &format!("its annotation podgateway.io/event-id was changed from \"1\" to \"{}\"", "x".repeat(256)),
        |pod| {
            pod["metadata"]["annotations"]["podgateway.io/event-id"] = json!("x".repeat(9_000));
        },
    );
}

/// Webhooks that pin digests, mirror registries, wrap commands or add a sidecar change nothing about the route.
#[test]
fn what_webhooks_do_every_day_is_ordinary() {
    let hardened = json!({"capabilities": {"drop": ["NET_RAW"]}});
    for change in [
        json!({"image": "docker.io/alpine/curl:latest@sha256:0"}),
        json!({"command": ["/vault/vault-env"], "args": ["sleep", "infinity"], "env": [{"name": "CLUSTER", "value": "eu"}]}),
        json!({"name": "log", "image": "log:1", "securityContext": hardened, "resources": {"limits": {"cpu": "1"}}}),
    ] {
        let container = merged(json!({"name": "client"}), &change);
        let change = json!({
            "metadata": {"labels": {"team": "a"}, "annotations": {"a/b": "c"}},
            "spec": {"containers": [container], "volumes": [{"name": "tmp", "emptyDir": {}}]},
        });
        assert_eq!(judge(|pod| *pod = merged(pod.take(), &change)), Ok(()), "{change}");
    }
}

/// With `--sidecarAsInit` and no init image the real controller does it.
#[test]
fn a_first_container_that_runs_on_lets_the_client_start_before_its_routes() {
    let expected = "its first init container gateway-sidecar has restartPolicy Always, so the client would not wait for \
                    its routes";
    check(Reason::UnsafePod, expected, inits([sidecar()]));
}

/// An old webhook takes away what it doesn't know.
#[test]
fn a_sidecar_that_has_to_end_never_lets_the_client_start() {
    let expected = "its init container gateway-sidecar lost restartPolicy Always, so the client would never start";
    check(Reason::UnsafePod, expected, inits([gateway_init(), gateway_container("gateway-sidecar", ADDRESS)]));
}

#[test]
fn a_gateway_that_may_not_set_routes_is_no_gateway() {
    let expected = |problem: &str| format!("its init container gateway-init {problem}, so it can't set routes");
    for context in [
        json!(null),
        json!({"capabilities": {"add": ["NET_RAW"]}}),
        // Dropping ALL undoes adding ALL, but not adding one by its name.
        json!({"capabilities": {"add": ["ALL"], "drop": ["all"]}}),
        json!({"privileged": false}),
    ] {
        check(Reason::UnsafePod, &expected("does not add the capability NET_ADMIN"), |pod| {
            init(pod)["securityContext"] = context;
        });
    }
    check(Reason::UnsafePod, &expected("drops the capability NET_ADMIN"), |pod| {
        init(pod)["securityContext"]["capabilities"]["drop"] = json!(["CAP_NET_ADMIN"]);
    });
    check(Reason::UnsafePod, &expected("runs as user 1000"), |pod| {
        init(pod)["securityContext"]["runAsUser"] = json!(1000);
    });
    check(Reason::UnsafePod, &expected("has runAsNonRoot"), |pod| {
        init(pod)["securityContext"]["runAsNonRoot"] = json!(true);
    });
    for (context, problem) in
        [(json!({"runAsUser": 1000}), "runs as user 1000"), (json!({"runAsNonRoot": true}), "has runAsNonRoot")]
    {
        check(Reason::UnsafePod, &expected(problem), |pod| {
            init(pod)["securityContext"] = json!({"capabilities": {"add": ["NET_ADMIN"]}});
            pod["spec"]["securityContext"] = context.clone();
        });
        // The container's own settings count.
        assert_eq!(judge(|pod| pod["spec"]["securityContext"] = context), Ok(()));
    }
}

#[test]
fn what_runs_before_the_gateway_has_the_pods_own_way_out() {
    let expected = "its init container early would run before the gateway's";
    check(Reason::UnsafePod, expected, inits([json!({"name": "early"}), gateway_init()]));
}

/// `bypass` has every way past.
#[test]
fn what_leads_past_the_gateway_is_unsafe() {
    for (field, change) in examples() {
        let failure = judge(|pod| *pod = merged(pod.take(), &change)).expect_err(field);
        assert_eq!(failure.reason, Reason::UnsafePod, "{field}");
        assert!(failure.message.contains(field), "{} and not {field}", failure.message);
    }
    check(
        Reason::UnsafePod,
        "its hostPID was changed from nothing to true, and the node's processes have no gateway",
        |pod| {
            pod["spec"]["hostPID"] = json!(true);
        },
    );
}

/// Reports are about the container `client`.
#[test]
fn a_client_that_was_renamed_could_not_be_told_of() {
    check(Reason::UnsafePod, "its container client was removed or renamed", |pod| {
        pod["spec"]["containers"][0]["name"] = json!("app");
    });
}

/// Where a gate doesn't hold, no client can be held back. A delivery and `--check` say it in the same words.
#[test]
fn a_pod_without_its_gate_was_never_held_back() {
    let expected = "its scheduling gate was removed: use Kubernetes 1.27 or newer, and no admission webhook that \
                    removes schedulingGates";
    check(Reason::UnsafePod, expected, |pod| *pod = released(pod.take()));
    check(Reason::UnsafePod, expected, |pod| pod["spec"]["schedulingGates"] = json!([{"name": "example.com/later"}]));
}

#[test]
fn anything_of_a_gateway_is_seen_in_every_kind_of_container() {
    let has = |pod: Value| has_gateway(&serde_json::from_value(pod).unwrap());
    assert!(has(routed(wanted(&[]))) && has(deleting(released(routed(wanted(&[]))))));
    assert!(!has(stored(wanted(&[]))));
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        let mut pod = stored(wanted(&[]));
        pod["spec"][list] = json!([{"name": "x", "env": [{"name": "gateway", "value": "other"}]}]);
        assert!(has(pod), "{list}");
    }
}
