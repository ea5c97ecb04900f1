//! Pods: what is asked for, and what of it that comes back is taken for routed.

use properties::targets::check_pod;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use provisioner::bypass::{CAPABILITIES, CONTAINER, POD};
use provisioner::event::Pending;
use provisioner::gateway::verify;
use provisioner::manifest::manifest;
use provisioner::pod::{Pod, all_containers, each, text as text_of};
use provisioner::reason::{Failure, Reason};
use provisioner::template::base;
use provisioner::testing::{
    ADDRESS, config, context, gateway_container, pod_template, routed, stored, wanted, with_pending,
};
use serde_json::{Value, json};

use crate::generators::{gateway, json, kinds, lay, text};

/// What the client of [`with_pending`] is taken for.
fn verdict(pod: &Value) -> Result<(), Failure> {
    let pod: Pod = serde_json::from_value(pod.clone()).unwrap();
    with_pending(|pending| verify(&pod, pending, &config(&[])))
}

/// The capabilities of a container.
fn powers() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => Just(json!({"drop": ["ALL"]})),
        2 => Just(json!({"add": ["NET_ADMIN"]})),
        1 => Just(json!({"add": ["cap_net_admin"], "drop": ["NET_ADMIN"]})),
        1 => select(vec![json!({"drop": ["net_raw"]}), json!(null)]),
    ]
}

/// A container as it may be found in a Pod: with a mixture of environments, of powers and of what it lacks.
fn container() -> impl Strategy<Value = Value> {
    let value =
        prop_oneof![6 => Just(json!(ADDRESS)), 1 => Just(json!("other")), 1 => Just(json!("")), 1 => Just(json!(null))];
    let variable = (select(vec!["gateway", "DNS", "GATEWAY"]), value);
    let env = vec(variable.prop_map(|(name, value)| json!({"name": name, "value": value})), 0..3);
    let name = select(vec!["gateway-init", "gateway-sidecar", "client", "early"]);
    let policy = option::weighted(0.3, Just("Always"));
    (name, option::of(env), powers(), policy).prop_map(|(name, env, capabilities, policy)| {
        let context = json!({ "capabilities": capabilities });
        json!({"name": name, "image": "i", "env": env, "securityContext": context, "restartPolicy": policy})
    })
}

/// The event's Pod with any containers around the client's, and with marks of its own.
fn pod() -> impl Strategy<Value = Value> {
    let gateway = Just(gateway_container("gateway-init", ADDRESS));
    let weak = (gateway.clone(), powers()).prop_map(|(mut container, capabilities)| {
        container["securityContext"]["capabilities"] = capabilities;
        container
    });
    let first = prop_oneof![4 => gateway, 1 => weak, 1 => container()];
    let init = (option::weighted(0.9, first), vec(container(), 0..2));
    let spoilt = select(vec![
        ("/metadata/annotations/setGateway", json!("bar")),
        ("/metadata/annotations/podgateway.io~1event-id", json!("2")),
        ("/metadata/labels/setGateway", json!("bar")),
        ("/spec/schedulingGates", json!([])),
    ]);
    (init, vec(container(), 0..2), vec(container(), 0..2), option::weighted(0.2, spoilt)).prop_map(
        |((first, init), more, ephemeral, spoilt)| {
            let mut pod = stored(wanted(&[]));
            let spec = &mut pod["spec"];
            spec["initContainers"] = json!(first.into_iter().chain(init).collect::<Vec<_>>());
            spec["ephemeralContainers"] = json!(ephemeral);
            spec["containers"].as_array_mut().unwrap().extend(more);
            if let Some((pointer, value)) = spoilt {
                *pod.pointer_mut(pointer).unwrap() = value;
            }
            pod
        },
    )
}

/// The gateways that a container names.
fn gateways(container: &Value) -> impl Iterator<Item = &Value> {
    each(&container["env"]).filter(|variable| variable["name"] == "gateway").map(|variable| &variable["value"])
}

fn has(container: &Value, list: &str, name: &str) -> bool {
    let mut names =
        each(&container["securityContext"]["capabilities"][list]).map(|found| text_of(found).to_lowercase());
    names.any(|found| found.trim_start_matches("cap_") == name)
}

/// What a Pod that is taken for routed shows, in other words than the component's.
fn check_routed(pod: &Value) {
    let (metadata, spec) = (&pod["metadata"], &pod["spec"]);
    for marks in [&metadata["annotations"], &metadata["labels"]] {
        assert_eq!(marks["setGateway"], "foo", "{pod}");
    }
    assert_eq!(metadata["annotations"]["podgateway.io/event-id"], "1", "{pod}");
    assert!(each(&spec["schedulingGates"]).count() > 0, "{pod}");
    let first = &spec["initContainers"][0];
    let address = gateways(first).next().filter(|address| !text_of(address).is_empty());
    assert!(address.is_some(), "{pod}");
    assert!(has(first, "add", "net_admin") && !has(first, "drop", "net_admin"), "{pod}");
    for (at, container) in each(&spec["initContainers"]).enumerate() {
        assert!(gateways(container).next().is_none() || (container["restartPolicy"] == "Always") == (at > 0), "{pod}");
    }
    for container in all_containers(spec) {
        assert!(gateways(container).all(|other| Some(other) == address), "{pod}");
        let is_harmless =
            !has(container, "add", "net_admin") && (has(container, "drop", "all") || has(container, "drop", "net_raw"));
        assert!(is_harmless || gateways(container).next().is_some(), "{pod}");
    }
}

/// An entry of the table, by its field, and what has to be laid over a container, a spec or the metadata to have it.
fn offence() -> impl Strategy<Value = (&'static str, Value)> {
    let fields = POD.iter().chain(&CONTAINER).map(|rule| rule.field).chain(["annotation"]);
    select(fields.collect::<Vec<_>>()).prop_flat_map(|field| (Just(field), patch(field)))
}

/// # Panics
/// When the table has an entry that nothing here can make.
fn patch(field: &'static str) -> BoxedStrategy<Value> {
    let context = |field: &str, value: Value| json!({ "securityContext": { field: value } });
    match field {
        "hostNetwork" | "hostPID" | "hostIPC" | "shareProcessNamespace" => Just(json!({ field: true })).boxed(),
        "nodeName" => Just(json!({"nodeName": "n"})).boxed(),
        "resourceClaims" => Just(json!({"resourceClaims": [{"name": "x"}]})).boxed(),
        "volumes.hostPath" => {
            Just(json!({"volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "hostPath": {"path": "/"}}]})).boxed()
        }
        "annotation" => "(k8s\\.v1\\.cni\\.cncf\\.io|v1\\.multus-cni\\.io)/[a-z-]{1,20}"
            .prop_map(|key| json!({"annotations": {key: "x"}}))
            .boxed(),
        "ports.hostPort" => Just(json!({"ports": [{"containerPort": 1}, {"containerPort": 2, "hostPort": 2}]})).boxed(),
        "securityContext.privileged" => Just(context("privileged", json!(true))).boxed(),
        "securityContext.procMount" => Just(context("procMount", json!("Unmasked"))).boxed(),
        "securityContext.seccompProfile" => Just(context("seccompProfile", json!({"type": "Unconfined"}))).boxed(),
        "securityContext.seLinuxOptions.type" => Just(context("seLinuxOptions", json!({"type": "spc_t"}))).boxed(),
        "securityContext.capabilities.add" => (select(CAPABILITIES.to_vec()), "(CAP_|cap_|Cap_)?", any::<bool>())
            .prop_map(move |(name, prefix, is_lower)| {
                let name = if is_lower { name.to_lowercase() } else { name.to_owned() };
                context("capabilities", json!({"add": ["CHOWN", prefix + &name], "drop": ["ALL"]}))
            })
            .boxed(),
        "securityContext.capabilities.drop" => select(vec![json!(null), json!([]), json!(["CHOWN", "NET_ADMIN"])])
            .prop_map(move |drop| context("capabilities", json!({ "drop": drop })))
            .boxed(),
        _ => panic!("{field} is in the table, and no test makes a Pod that has it"),
    }
}

/// Lays an offence where it belongs: over the Pod as a whole, or over one of its containers.
fn offend(metadata: &mut Value, spec: &mut Value, (field, patch): &(&str, Value), container: &str) {
    if *field == "annotation" {
        lay(metadata, patch);
    } else if POD.iter().any(|rule| rule.field == *field) {
        lay(spec, patch);
    } else {
        lay(spec.pointer_mut(container).unwrap(), patch);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn no_pod_is_routed_whose_containers_are_not_as_a_gateway_makes_them(pod in pod()) {
        if verdict(&pod).is_ok() {
            check_routed(&pod);
        }
    }

    #[test]
    fn no_pod_is_routed_that_has_anything_of_what_leads_past_a_gateway(
        offence in offence(), is_further: bool,
        at in select(vec!["/containers/0", "/containers/2", "/initContainers/1", "/ephemeralContainers/0"]),
    ) {
        let mut pod = routed(wanted(&[]));
        let harmless = json!({"name": "other", "securityContext": {"capabilities": {"drop": ["ALL"]}}});
        for list in ["containers", "initContainers"] {
            pod["spec"][list].as_array_mut().unwrap().push(harmless.clone());
        }
        pod["spec"]["ephemeralContainers"] = json!([harmless]);
        prop_assert_eq!(verdict(&pod), Ok(()));
        let at = match offence.0 {
            // What a Pod says for all of its containers counts where they don't say otherwise.
            field if is_further && (field.contains("seccompProfile") || field.contains("seLinuxOptions")) => "",
            // The gateway's own containers may have everything but this.
            "ports.hostPort" if is_further => "/initContainers/0",
            _ => at,
        };
        let Value::Object(parts) = &mut pod else { unreachable!() };
        let (mut metadata, mut spec) = (parts["metadata"].take(), parts["spec"].take());
        offend(&mut metadata, &mut spec, &offence, at);
        (parts["metadata"], parts["spec"]) = (metadata, spec);
        let Failure { reason, message } = verdict(&pod).unwrap_err();
        prop_assert!(reason == Reason::UnsafePod && message.contains(offence.0), "{}: {}", message, pod);
    }

    #[test]
    fn a_template_that_is_accepted_leads_past_no_gateway(template in template()) {
        if let Ok(base) = base("crawler", template) {
            with_pending(|pending| check_pod(pending, &config(&[]), Some(base)));
        }
    }

    #[test]
    fn a_template_that_leads_past_the_gateway_is_refused_or_hardened(
        offence in offence(), own in option::of(own_offence()),
    ) {
        let mut template = pod_template(|_| ());
        let pod = &mut template["template"];
        let (mut metadata, mut spec) = (pod["metadata"].take(), pod["spec"].take());
        match &own {
            Some((pointer, patch)) => lay(spec.pointer_mut(pointer).unwrap(), patch),
            None => offend(&mut metadata, &mut spec, &offence, "/containers/0"),
        }
        *pod = json!({"metadata": metadata, "spec": spec});
        match base("crawler", template) {
            Err(failure) => prop_assert_eq!(failure.reason, Reason::PodTemplateInvalid),
            Ok(base) => {
                // Every container is made to drop all of them.
                let is_about_that = own.is_none() && offence.0 == "securityContext.capabilities.drop";
                prop_assert!(is_about_that, "{:?} {:?}", own, offence);
                with_pending(|pending| check_pod(pending, &config(&[]), Some(base)));
            }
        }
    }
}

proptest! {
    #[test]
    fn every_manifest_is_a_pod_that_kubernetes_knows(
        source in text(), id in text(), gateway in gateway(), command in vec(any::<String>(), 0..4), key in gateway(),
        correlation in option::of(text()),
    ) {
        let command = serde_json::to_string(&command).unwrap();
        let config = config(&[("client_command", &command), ("gateway_key", &key)]);
        let mut context = context(&source, &id);
        context.correlation_id = correlation;
        let pending = Pending::new(&context, &gateway, &config).unwrap();
        check_pod(&pending, &config, None);
        let manifest = manifest(&pending, &config, None);
        let pod: k8s_openapi::api::core::v1::Pod = serde_json::from_value(manifest.clone()).unwrap();
        prop_assert_eq!(serde_json::to_value(&pod).unwrap(), manifest);
    }
}

/// What only a PodTemplate may not have, and over which part of its spec it is laid.
fn own_offence() -> impl Strategy<Value = (&'static str, Value)> {
    let token =
        json!({"name": "t", "projected": {"sources": [{"configMap": {}}, {"serviceAccountToken": {"path": "t"}}]}});
    let spec = [
        json!({"initContainers": [{"name": "x"}]}),
        json!({"ephemeralContainers": [{"name": "x"}]}),
        json!({"dnsPolicy": "Default"}),
        json!({"dnsConfig": {"nameservers": ["192.0.2.1"]}}),
        json!({"hostAliases": [{"ip": "192.0.2.1"}]}),
        json!({"hostname": "x"}),
        json!({"securityContext": {"sysctls": [{"name": "net.ipv4.ip_forward", "value": "1"}]}}),
        json!({ "volumes": [token] }),
        json!({"volumes": [{"name": "n", "nfs": {"server": "192.0.2.1"}}]}),
        json!({"containers": [{"name": "other"}]}),
    ];
    let container = [
        json!({"name": "gateway-sidecar"}),
        json!({"env": [{"name": "gateway", "value": "x"}]}),
        json!({"livenessProbe": {"httpGet": {"host": "192.0.2.1"}}}),
        json!({"startupProbe": {"tcpSocket": {"host": "192.0.2.1"}}}),
        json!({"lifecycle": {"preStop": {"httpGet": {"host": "192.0.2.1"}}}}),
    ];
    let spec = spec.map(|patch| ("", patch)).into_iter();
    select(spec.chain(container.map(|patch| ("/containers/0", patch))).collect::<Vec<_>>())
}

/// A PodTemplate with any mixture of what is harmless and what is not, down to shapes that are none.
pub fn template() -> impl Strategy<Value = Value> {
    let fields =
        POD.iter().map(|rule| rule.field).chain(["initContainers", "ephemeralContainers", "dnsPolicy", "volumes"]);
    let fields = fields.chain(["schedulingGates", "automountServiceAccountToken", "nodeSelector", "tolerations"]);
    let value = prop_oneof![
        4 => select(vec![json!(null), json!(false), json!(true), json!(""), json!([]), json!({})]),
        1 => Just(json!([{"name": "x"}])),
        1 => json(),
    ];
    let fields = btree_map(select(fields.collect::<Vec<_>>()), value, 0..2);
    let further = option::weighted(0.3, container());
    let offence = option::weighted(0.3, offence());
    let spec = (fields, further, offence).prop_map(|(fields, further, offence)| {
        pod_template(|spec| {
            lay(spec, &json!(fields));
            spec["containers"].as_array_mut().unwrap().extend(further);
            if let Some(offence) = offence {
                offend(&mut json!({}), spec, &offence, "/containers/0");
            }
        })
    });
    let odd = (json(), json()).prop_map(|(spec, metadata)| json!({"spec": spec, "metadata": metadata}));
    let odd = prop_oneof![odd, json()].prop_map(|template| json!({"kind": "PodTemplate", "template": template}));
    prop_oneof![9 => spec, 1 => odd]
}

#[test]
fn the_generated_pods_are_taken_for_routed_and_not() {
    let kinds =
        kinds(pod(), |pod| verdict(&pod).map_or_else(|failure| format!("{:?}", failure.reason), |()| "Ok".to_owned()));
    for kind in ["Ok", "GatewayNotInjected", "WrongGatewayInjected", "UnsafePod"] {
        assert!(kinds.get(kind).is_some_and(|&count| count > 10), "{kind} in {kinds:?}");
    }
}

#[test]
fn generated_templates_are_accepted_and_refused() {
    let kinds = kinds(template(), |template| base("crawler", template).is_ok().to_string());
    assert!(kinds.values().all(|&count| count > 25) && kinds.len() == 2, "{kinds:?}");
}
