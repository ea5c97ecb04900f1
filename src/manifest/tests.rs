use super::*;
use crate::bypass::{Subject, check};
use crate::context::Context;
use crate::template;
use crate::testing::{config, context, pod_template, wanted, with_pending};
use k8s_openapi::api::core::v1::Pod;

/// The manifest of the client of the event (`/test`, `1`), made from a PodTemplate.
fn made_from(change: impl FnOnce(&mut Value)) -> Value {
    let base = template::base("crawler", pod_template(change)).unwrap();
    with_pending(|pending| manifest(pending, &config(&[]), Some(base)))
}

/// Checks that Kubernetes knows every field of a manifest.
#[track_caller]
fn check_known(manifest: &Value) {
    let pod: Pod = serde_json::from_value(manifest.clone()).unwrap();
    assert_eq!(serde_json::to_value(pod).unwrap(), *manifest, "a field is misspelt or unknown");
}

#[test]
fn the_pod_is_golden() {
    let expected = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "6ae65cff-3704-5f31-ae9d-cd15c7833b0c",
            "namespace": "default",
            "labels": {
                "app.kubernetes.io/name": "podgateway-client",
                "app.kubernetes.io/instance": "6ae65cff-3704-5f31-ae9d-cd15c7833b0c",
                "app.kubernetes.io/managed-by": "cloudevents-podgateway-client-provisioner",
                "setGateway": "foo",
            },
            "annotations": {"setGateway": "foo", "podgateway.io/event-source": "/test", "podgateway.io/event-id": "1"},
        },
        "spec": {
            "automountServiceAccountToken": false,
            "containers": [{
                "name": "client",
                "image": "alpine/curl:8.17.0",
                "command": ["sleep", "infinity"],
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "capabilities": {"drop": ["ALL"]},
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
            }],
            "schedulingGates": [{"name": "podgateway.io/gateway-verification"}],
        },
    });
    assert_eq!(wanted(&[]), expected);
    check_known(&expected);
}

#[test]
fn what_is_configured_is_in_it() {
    let changes = [
        ("client_namespace", "clients"),
        ("client_image", "i"),
        ("client_command", "[]"),
        ("gateway_key", "example.com/gateway"),
        ("gateway_verification", "off"),
    ];
    let manifest = wanted(&changes);
    check_known(&manifest);
    let (metadata, spec) = (&manifest["metadata"], &manifest["spec"]);
    assert_eq!((&metadata["namespace"], &spec["containers"][0]["image"]), (&json!("clients"), &json!("i")));
    assert_eq!(spec["containers"][0].get("command"), None, "the entrypoint is the image's");
    assert_eq!(spec.get("schedulingGates"), None, "there is no gate without a verification");
    for field in ["labels", "annotations"] {
        assert_eq!((&metadata[field]["example.com/gateway"], metadata[field].get("setGateway")), (&json!("foo"), None));
    }
}

#[test]
fn a_later_delivery_finds_the_correlation() {
    let correlated = Context { correlation_id: Some("c 1".into()), ..context("/test", "1") };
    let pending = Pending::new(&correlated, "foo", &config(&[])).unwrap();
    let manifest = manifest(&pending, &config(&[]), None);
    assert_eq!(manifest["metadata"]["annotations"]["podgateway.io/correlation-id"], "c 1");
    check_known(&manifest);
    // A value that is too long for a Pod's annotations is left out.
    let long = Context { correlation_id: Some("c".repeat(20 << 10)), ..context("/test", "1") };
    let pending = Pending::new(&long, "foo", &config(&[])).unwrap();
    let manifest = super::manifest(&pending, &config(&[]), None);
    assert_eq!(manifest["metadata"]["annotations"].get(CORRELATION_ID), None);
}

#[test]
fn a_template_is_kept_but_for_what_the_promises_need() {
    let manifest = made_from(|spec| {
        spec["automountServiceAccountToken"] = json!(true);
        spec["schedulingGates"] = json!([{"name": GATE}, {"name": "example.com/later"}]);
    });
    check_known(&manifest);
    let (metadata, spec) = (&manifest["metadata"], &manifest["spec"]);
    assert_eq!((&metadata["labels"]["team"], &metadata["annotations"]["note"]), (&json!("a"), &json!("b")));
    assert_eq!((&metadata["labels"]["setGateway"], &spec["nodeSelector"]["disk"]), (&json!("foo"), &json!("ssd")));
    assert_eq!(spec["automountServiceAccountToken"], false);
    assert_eq!(spec["schedulingGates"], json!([{"name": "example.com/later"}, {"name": GATE}]));
    assert_eq!(spec["containers"][0]["image"], "crawler:1", "the template's image, not the variable's");
    assert_eq!(spec["containers"][0].get("command"), None, "nor the variable's command");
}

#[test]
fn a_template_cannot_say_whose_client_it_is() {
    let mut template = pod_template(|_| ());
    for (field, key) in [("labels", MANAGED_BY_LABEL), ("labels", "setGateway"), ("annotations", "setGateway")] {
        template["template"]["metadata"][field][key] = json!("other");
    }
    let reported = ["podgateway.io/reported", "podgateway.io/termination", CORRELATION_ID];
    for key in [EVENT_ID, EVENT_SOURCE].into_iter().chain(reported) {
        template["template"]["metadata"]["annotations"][key] = json!("other");
    }
    let base = template::base("crawler", template).unwrap();
    let (with, without) = (with_pending(|pending| manifest(pending, &config(&[]), Some(base))), wanted(&[]));
    for (field, key) in [
        ("labels", MANAGED_BY_LABEL),
        ("labels", "setGateway"),
        ("annotations", "setGateway"),
        ("annotations", EVENT_ID),
        ("annotations", EVENT_SOURCE),
        ("annotations", reported[0]),
        ("annotations", reported[1]),
        ("annotations", CORRELATION_ID),
    ] {
        assert_eq!(with["metadata"][field][key], without["metadata"][field][key], "{key}");
    }
}

#[test]
fn every_container_is_hardened_and_keeps_what_does_no_harm() {
    let hardened = json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    let manifest = made_from(|spec| {
        spec["containers"].as_array_mut().unwrap().extend([
            json!({"name": "without", "image": "i"}),
            json!({"name": "null", "image": "i", "securityContext": null}),
            json!({"name": "more", "image": "i", "securityContext": {
                "runAsUser": 7,
                "allowPrivilegeEscalation": true,
                "capabilities": {"add": ["CHOWN"], "drop": ["SETUID"]},
                "seccompProfile": {"type": "Localhost", "localhostProfile": "p"},
            }}),
        ]);
    });
    let contexts: Vec<_> =
        manifest["spec"]["containers"].as_array().unwrap().iter().map(|c| &c["securityContext"]).collect();
    let mut kept = hardened.clone();
    kept["runAsUser"] = json!(7);
    assert_eq!(contexts, [&hardened, &hardened, &hardened, &kept]);
    // Judged as strictly as the Pod that comes back.
    check([], &manifest["spec"], Subject::RoutedBy("nobody's")).unwrap();
}

/// Nodes before Kubernetes 1.30 read the first two, and later API servers make a field of them. The others hold the
/// addresses and routes of the Pod of which the template was made.
#[test]
fn an_annotation_of_a_template_confines_a_container_but_lifts_no_confinement_and_gives_no_network() {
    let [lifting, confining] =
        ["client", "other"].map(|name| format!("container.apparmor.security.beta.kubernetes.io/{name}"));
    let mut template = pod_template(|_| ());
    let networks = ["k8s.ovn.org/pod-networks", "k8s.aliyun.com/pod-networks"];
    let annotations =
        json!({&lifting: "unconfined", &confining: "runtime/default", networks[0]: "{}", networks[1]: "{}"});
    template["template"]["metadata"]["annotations"] = annotations;
    let base = template::base("crawler", template).unwrap();
    let made = with_pending(|pending| manifest(pending, &config(&[]), Some(base)));
    let kept = &made["metadata"]["annotations"];
    assert_eq!((kept.get(&lifting), &kept[&confining]), (None, &json!("runtime/default")));
    assert_eq!(networks.map(|network| kept.get(network)), [None, None]);
}

#[test]
fn a_client_may_run_as_long_as_its_template_says_or_else_as_configured() {
    let ttl = [("client_ttl", "12h")];
    let limited = wanted(&ttl);
    check_known(&limited);
    assert_eq!(limited["spec"]["activeDeadlineSeconds"], 43_200);
    assert_eq!(wanted(&[])["spec"].get("activeDeadlineSeconds"), None);
    for (own, expected) in [(json!(60), json!(60)), (json!(null), json!(43_200))] {
        let template = pod_template(|spec| spec["activeDeadlineSeconds"] = own);
        let base = template::base("crawler", template).unwrap();
        let made = with_pending(|pending| manifest(pending, &config(&ttl), Some(base)));
        assert_eq!(made["spec"]["activeDeadlineSeconds"], expected);
    }
}

#[test]
fn a_client_has_room_for_what_is_written_on_it_later() {
    for (length, is_refused) in [((252 << 10) - 1, false), (252 << 10, true)] {
        let pod = json!({"metadata": {"annotations": {"a": "x".repeat(length)}}});
        assert_eq!(check_room(&pod).err().map(|failure| failure.reason), is_refused.then_some(Reason::PodRejected));
    }
}
