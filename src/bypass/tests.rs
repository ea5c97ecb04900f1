use super::*;
use crate::pod::Pod;
use crate::testing::{ADDRESS, examples, gateway_container, harmless, merged, moved, routed, wanted};
use serde_json::json;
use std::collections::BTreeSet;

/// Judges the routed Pod with this change.
fn judge(change: &Value) -> Result<(), Bypass> {
    let pod = merged(routed(wanted(&[])), change);
    serde_json::from_value::<Pod>(pod.clone()).expect("it is still a Pod");
    check(keys(&pod).iter(), &pod["spec"], Subject::RoutedBy(ADDRESS))
}

fn keys(object: &Value) -> Vec<String> {
    object["metadata"]["annotations"].as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect()
}

/// Every field of the tables, and the annotations.
fn fields() -> BTreeSet<&'static str> {
    POD.iter().chain(&CONTAINER).map(|rule| rule.field).chain(["annotation"]).collect()
}

/// A container as strict clusters require it.
fn hardened(name: &str) -> Value {
    json!({"name": name, "image": "i", "securityContext": {"capabilities": {"drop": ["ALL"]}}})
}

#[test]
fn a_routed_pod_has_no_way_past_its_gateway() {
    assert_eq!(judge(&json!({})), Ok(()));
}

#[test]
fn every_entry_has_an_example_and_is_found_by_it() {
    for (field, change) in examples() {
        let found = judge(&change).expect_err(field);
        assert_eq!(found.field, field, "{change}");
    }
    assert_eq!(examples().iter().map(|(field, _)| *field).collect::<BTreeSet<_>>(), fields());
    let all = json!(examples()).to_string();
    for written in NETWORKS.iter().chain(&CAPABILITIES) {
        assert!(all.contains(&format!("\"{written}")), "{written} has no example");
    }
}

#[test]
fn every_example_is_a_pod_that_kubernetes_knows() {
    for (field, change) in examples() {
        let pod = merged(wanted(&[]), &change);
        let known: k8s_openapi::api::core::v1::Pod = serde_json::from_value(pod.clone()).expect(field);
        let known = serde_json::to_value(known).unwrap();
        assert_eq!(known, pod, "a field is misspelt or unknown");
    }
}

#[test]
fn every_container_is_judged_but_the_gateways_own() {
    for (field, change) in examples().into_iter().filter(|(field, _)| CONTAINER.iter().any(|rule| rule.field == *field))
    {
        for (list, name) in [("containers", "further"), ("initContainers", "further"), ("ephemeralContainers", "debug")]
        {
            let Some(change) = moved(&change, list, name) else { continue };
            let base = json!({"spec": {list: [hardened(name)]}});
            let pod = merged(merged(routed(wanted(&[])), &base), &change);
            let found = check([], &pod["spec"], Subject::RoutedBy(ADDRESS)).expect_err(field);
            // A setting of the Pod is found in the first container without its own.
            assert_eq!(found.field, field, "{change}");
            assert!(
                found.container.as_deref() == Some(name) || change["spec"]["securityContext"].is_object(),
                "{found}"
            );
        }
    }
}

#[test]
fn a_container_for_debugging_is_never_the_gateways_own() {
    let debug = gateway_container("debug", ADDRESS);
    let found = judge(&json!({"spec": {"ephemeralContainers": [debug]}})).unwrap_err();
    assert_eq!((found.container.as_deref(), found.field), (Some("debug"), "securityContext.capabilities.add"));
}

/// They need what no other container may have, and their webhook may configure them freely.
#[test]
fn the_gateways_own_containers_are_let_be() {
    for (field, change) in examples().into_iter().filter(|(field, _)| CONTAINER.iter().any(|rule| rule.field == *field))
    {
        for (list, name) in [("initContainers", "gateway-init"), ("containers", "gateway-sidecar")] {
            let Some(mut change) = moved(&change, list, name) else { continue };
            // A setting of the Pod would affect the other containers as well.
            change["spec"]["securityContext"] = json!(null);
            let found = judge(&change).err().map(|found| found.field);
            let is_the_pods = ["ports.hostPort", "resources.limits"].contains(&field);
            assert_eq!(found, Some(field).filter(|_| is_the_pods), "{change}");
        }
    }
}

#[test]
fn another_gateways_container_is_not_the_gateways_own() {
    let other = gateway_container("gateway-sidecar", "other");
    let found = judge(&json!({"spec": {"containers": [other]}})).unwrap_err();
    assert_eq!(
        (found.container.as_deref(), found.field),
        (Some("gateway-sidecar"), "securityContext.capabilities.add")
    );
}

/// The gateway's address in its environment doesn't make it a gateway's container.
#[test]
fn the_client_is_never_the_gateways_own() {
    for (field, mut change) in examples() {
        let containers = change.pointer_mut("/spec/containers").and_then(Value::as_array_mut).into_iter().flatten();
        for client in containers.filter(|container| container["name"] == CLIENT_CONTAINER) {
            client["env"] = json!([{"name": "gateway", "value": ADDRESS}]);
        }
        assert_eq!(judge(&change).expect_err(field).field, field, "{change}");
    }
}

#[test]
fn capabilities_are_known_however_they_are_written() {
    let judge = |capability: &str| {
        judge(&json!({"spec": {"containers": [
            {"name": "client", "securityContext": {"capabilities": {"add": ["CHOWN", capability]}}},
        ]}}))
    };
    for capability in CAPABILITIES {
        let lower = capability.to_ascii_lowercase();
        for written in [capability.to_owned(), format!("CAP_{capability}"), lower.clone(), format!("cap_{lower}")] {
            let found = judge(&written).expect_err(&written);
            assert_eq!((found.field, &found.found), ("securityContext.capabilities.add", &written));
        }
    }
    for harmless in ["NET_BIND_SERVICE", "CAP_CHOWN", "setuid", "NET_ADMINISTRATION", "XNET_RAW", "CAP_"] {
        assert_eq!(judge(harmless), Ok(()), "{harmless}");
    }
}

#[test]
fn what_only_looks_like_a_way_past_is_none() {
    let rows = harmless();
    for (field, change) in &rows {
        // The gateway's containers have no setting of their own, and the Pod's setting doesn't affect them.
        assert_eq!(judge(change), Ok(()), "{field}: {change}");
    }
    assert_eq!(rows.iter().map(|(field, _)| *field).collect::<BTreeSet<_>>(), fields());
}

#[test]
fn image_and_command_are_not_judged() {
    for client in [
        json!({"image": "docker.io/alpine/curl:latest@sha256:0"}),
        json!({"command": ["/vault/vault-env"], "args": ["sleep", "infinity"]}),
        json!({"command": null, "env": [{"name": "HTTP_PROXY", "value": "x"}]}),
    ] {
        let client = merged(json!({"name": "client"}), &client);
        assert_eq!(judge(&json!({"spec": {"containers": [client]}})), Ok(()));
    }
}

/// Its containers are hardened afterwards.
#[test]
fn a_template_is_judged_without_what_hardening_gives() {
    let judge = |change: &Value| {
        let template = merged(json!({"spec": {"containers": [{"name": "client", "image": "i"}]}}), change);
        check(keys(&template).iter(), &template["spec"], Subject::Template).map_err(|found| found.field)
    };
    assert_eq!(judge(&json!({})), Ok(()));
    for (field, change) in examples() {
        let expected = if field == DROP { Ok(()) } else { Err(field) };
        assert_eq!(judge(&change), expected, "{change}");
    }
    // And none of its containers is a gateway's.
    let claimed = merged(gateway_container("client", ADDRESS), &json!({"securityContext": {"privileged": true}}));
    assert_eq!(judge(&json!({"spec": {"containers": [claimed]}})), Err("securityContext.privileged"));
}

#[test]
fn a_finding_says_from_what_to_what_and_why() {
    let message = |change: Value| judge(&change).unwrap_err().to_string();
    let client = |context: Value| json!({"spec": {"containers": [{"name": "client", "securityContext": context}]}});
    assert_eq!(
        message(json!({"spec": {"hostPID": true}})),
        "its hostPID was changed from nothing to true, and the node's processes have no gateway"
    );
    assert_eq!(
        message(json!({"metadata": {"annotations": {"k8s.v1.cni.cncf.io/networks": "x"}}})),
        "its annotation was changed from nothing to k8s.v1.cni.cncf.io/networks, and a further network or route is a \
         second way out"
    );
    assert_eq!(
        message(client(json!({"capabilities": {"add": ["cap_net_raw"]}}))),
        "securityContext.capabilities.add of its container client was changed from nothing to cap_net_raw, and routes \
         are changed, or packets written past them"
    );
    assert_eq!(
        message(client(json!({"capabilities": {"drop": ["CHOWN"]}}))),
        "securityContext.capabilities.drop of its container client was changed from [\"ALL\"] to [\"CHOWN\"], and \
         NET_RAW, which a runtime gives by default, writes packets past every route"
    );
    assert_eq!(
        message(json!({"spec": {"containers": [{"name": "further", "securityContext": {"privileged": true}}]}})),
        "its container further has securityContext.privileged true, and it may change its routes and reach the node"
    );
}
