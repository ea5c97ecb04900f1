//! Pods: what is asked for, and what of it that comes back is taken for routed.

use properties::targets::check_pod;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use provisioner::bypass::POD;
use provisioner::event::Pending;
use provisioner::gateway::verify;
use provisioner::manifest::manifest;
use provisioner::pod::{Pod, all_containers, each, text as text_of};
use provisioner::reason::Failure;
use provisioner::template::base;
use provisioner::testing::{
    ADDRESS, config, context, examples, gateway_container, merged, pod_template, stored, wanted, with_pending,
};
use serde_json::{Value, json};

use crate::generators::{check_kinds, gateway, json, text};

/// What the client of [`with_pending`] is taken for.
fn verdict(pod: &Value) -> Result<(), Failure> {
    let pod: Pod = serde_json::from_value(pod.clone()).unwrap();
    with_pending(|pending| verify(&pod, pending, &config(&[])))
}

/// A container as it may be found in a Pod: with a mixture of environments, of powers and of what it lacks.
fn container() -> impl Strategy<Value = Value> {
    let value =
        prop_oneof![6 => Just(json!(ADDRESS)), 1 => Just(json!("other")), 1 => Just(json!("")), 1 => Just(json!(null))];
    let variable = (select(vec!["gateway", "DNS", "GATEWAY"]), value);
    let env = vec(variable.prop_map(|(name, value)| json!({"name": name, "value": value})), 0..3);
    let powers = prop_oneof![
        4 => Just(json!({"drop": ["ALL"]})),
        2 => Just(json!({"add": ["NET_ADMIN"]})),
        1 => Just(json!({"add": ["cap_net_admin"], "drop": ["NET_ADMIN"]})),
        1 => select(vec![json!({"drop": ["net_raw"]}), json!(null)]),
    ];
    let name = select(vec!["gateway-init", "gateway-sidecar", "client", "early"]);
    let policy = option::weighted(0.3, Just("Always"));
    (name, option::of(env), powers, policy).prop_map(|(name, env, capabilities, policy)| {
        let context = json!({ "capabilities": capabilities });
        json!({"name": name, "image": "i", "env": env, "securityContext": context, "restartPolicy": policy})
    })
}

/// The event's Pod with any containers around the client's.
fn pod() -> impl Strategy<Value = Value> {
    let first = prop_oneof![2 => Just(gateway_container("gateway-init", ADDRESS)), 1 => container()];
    let init = (option::weighted(0.9, first), vec(container(), 0..2));
    (init, vec(container(), 0..2), vec(container(), 0..2)).prop_map(|((first, init), more, ephemeral)| {
        let mut pod = stored(wanted(&[]));
        let spec = &mut pod["spec"];
        spec["initContainers"] = json!(first.into_iter().chain(init).collect::<Vec<_>>());
        spec["ephemeralContainers"] = json!(ephemeral);
        spec["containers"].as_array_mut().unwrap().extend(more);
        pod
    })
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

/// What the containers of a Pod that is taken for routed show, in other words than the component's.
fn check_routed(pod: &Value) {
    let spec = &pod["spec"];
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn no_pod_is_routed_whose_containers_are_not_as_a_gateway_makes_them(pod in pod()) {
        if verdict(&pod).is_ok() {
            check_routed(&pod);
        }
    }

    #[test]
    fn a_template_that_is_accepted_leads_past_no_gateway(template in template()) {
        if let Ok(base) = base("crawler", template) {
            with_pending(|pending| check_pod(pending, &config(&[]), Some(base)));
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
    let offence = option::weighted(0.3, select(examples()));
    let spec = (fields, further, offence).prop_map(|(fields, further, offence)| {
        let mut template = pod_template(|spec| {
            spec["containers"].as_array_mut().unwrap().extend(further);
            *spec = merged(spec.take(), &json!(fields));
        });
        if let Some((_, change)) = offence {
            template["template"] = merged(template["template"].take(), &change);
        }
        template
    });
    let odd = (json(), json()).prop_map(|(spec, metadata)| json!({"spec": spec, "metadata": metadata}));
    let odd = prop_oneof![odd, json()].prop_map(|template| json!({"kind": "PodTemplate", "template": template}));
    prop_oneof![9 => spec, 1 => odd]
}

#[test]
fn the_generated_pods_are_taken_for_routed_and_not() {
    let verdicts = pod().prop_map(|pod| verdict(&pod).err().map(|failure| failure.reason));
    check_kinds(verdicts, &["None", "Some(GatewayNotInjected)", "Some(WrongGatewayInjected)", "Some(UnsafePod)"]);
}

#[test]
fn generated_templates_are_accepted_and_refused() {
    check_kinds(template().prop_map(|template| base("crawler", template).is_ok()), &["true", "false"]);
}
