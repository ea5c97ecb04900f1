//! Pods that come back: which of them are taken for routed.

use proptest::prelude::*;
use provisioner::gateway::verify;
use provisioner::pod::{Pod, all_containers, each, text as text_of};
use provisioner::reason::Reason;
use provisioner::testing::{ADDRESS, config, examples, merged, routed, stored, wanted, with_pending};
use serde_json::{Value, json};

use crate::mutations::mutated;

/// What the client of [`with_pending`] is taken for, or why not; nothing where it is no Pod. Who is taken for routed is.
fn judged(pod: &str) -> Option<Result<(), Reason>> {
    let judged: Pod = serde_json::from_str(pod).ok()?;
    let verdict = with_pending(|pending| verify(&judged, pending, &config(&[])));
    if verdict.is_ok() {
        check_routed(&serde_json::from_str(pod).unwrap());
    }
    Some(verdict.map_err(|failure| failure.reason))
}

/// The event's Pod as it comes, as a gateway makes it, and with any container beside or in place of those.
fn pods() -> Vec<String> {
    let names = ["gateway-init", "gateway-sidecar", "client", "early"];
    let gateways = [json!(ADDRESS), json!("other"), json!(""), json!(null)];
    let capabilities = [
        json!({"drop": ["ALL"], "add": null}),
        json!({"add": ["NET_ADMIN"]}),
        json!({"add": ["cap_net_admin"], "drop": ["NET_ADMIN", "NET_RAW"]}),
        json!({"drop": ["net_raw"]}),
    ];
    let policies = ["Always", ""];
    let mut changes: Vec<_> = examples().into_iter().map(|(_, change)| change).collect();
    for n in 0..4 * 4 * 4 * 2 {
        let container = json!({
            "name": names[n % 4],
            "env": [{"name": "gateway", "value": gateways[n / 4 % 4]}],
            "securityContext": {"capabilities": capabilities[n / 16 % 4]},
            "restartPolicy": policies[n / 64],
        });
        let lists = ["initContainers", "containers", "ephemeralContainers"];
        changes.extend(lists.map(|list| json!({"spec": {list: [container]}})));
    }
    let routed = routed(wanted(&[]));
    let changed = changes.iter().map(|change| merged(routed.clone(), change));
    changed.chain([routed.clone(), stored(wanted(&[]))]).map(|pod| pod.to_string()).collect()
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
        let is_gateways = container["name"] != "client" && gateways(container).next().is_some();
        assert!(is_harmless || is_gateways, "{pod}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn no_pod_is_routed_whose_containers_are_not_as_a_gateway_makes_them(pod in mutated(pods())) {
        judged(&pod);
    }
}

#[test]
fn pods_are_taken_for_routed_and_not() {
    let verdicts: Vec<_> = pods().iter().map(|pod| judged(pod).expect("it is a Pod")).collect();
    let refused = [Reason::GatewayNotInjected, Reason::WrongGatewayInjected, Reason::UnsafePod].map(Err);
    for kind in refused.into_iter().chain([Ok(())]) {
        assert!(verdicts.contains(&kind), "{kind:?} of {verdicts:?}");
    }
}
