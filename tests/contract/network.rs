//! Who may speak to whom by the NetworkPolicies of `deploy/`, evaluated with the labels that the real objects have.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use k8s_openapi::api::networking::v1::NetworkPolicy;
use provisioner::event::Pending;
use provisioner::manifest::manifest;
use provisioner::testing::context;
use serde_json::{Value, json};
use tests::network::{
    CLIENT_POLICIES, Direction, End, Labels, Wire, allows, deployed, is_peer, policies, rules, selecting,
    with_own_gateway,
};
use tests::provisioner::repository;

use crate::manifests::config;

const PING: Wire = ("ICMP", 0);
const TUNNEL: Wire = ("UDP", 8472);

/// When a flow is allowed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    Always,
    Never,
    /// Unless each client may reach its own gateway alone.
    Shared,
}
use When::{Always, Never, Shared};

#[rustfmt::skip]
const FLOWS: &[(&str, &str, Wire, When)] = &[
    ("client of foo", "gateway foo", TUNNEL, Always),
    ("client of foo", "gateway foo", PING, Always),
    ("gateway foo", "client of foo", TUNNEL, Always),
    ("gateway foo", "client of foo", ("UDP", 4789), Never),
    ("gateway foo", "client of foo", ("TCP", 80), Never),
    ("client of bar", "gateway bar", TUNNEL, Always),
    ("client of bar", "gateway bar", PING, Always),
    ("gateway bar", "client of bar", TUNNEL, Always),
    ("client of foo", "gateway bar", TUNNEL, Shared),
    ("client of foo", "gateway bar", PING, Shared),
    ("client of bar", "gateway foo", TUNNEL, Shared),
    ("gateway bar", "client of foo", TUNNEL, Shared),
    ("client of foo", "gateway that is gone", TUNNEL, Never),
    ("client of foo", "webhook of foo", ("TCP", 8080), Never),
    ("client of foo", "other Pod with a gateway's labels", TUNNEL, Never),
    ("other Pod with a gateway's labels", "client of foo", TUNNEL, Never),
    ("client of foo", "kube-dns", ("UDP", 53), Always),
    ("client of foo", "kube-dns", ("TCP", 53), Always),
    ("client of foo", "kube-dns", ("TCP", 9153), Never),
    ("client of foo", "kube-dns", PING, Never),
    ("client of foo", "DNS of OpenShift", ("UDP", 5353), Always),
    ("client of foo", "DNS of OpenShift", ("TCP", 5353), Always),
    ("client of foo", "NodeLocal DNSCache", ("UDP", 53), Always),
    ("client of foo", "NodeLocal DNSCache", ("TCP", 53), Always),
    ("client of foo", "other Pod with the labels of kube-dns", ("UDP", 53), Never),
    ("client of foo", "world", ("TCP", 443), Never),
    ("client of foo", "world", ("UDP", 53), Never),
    ("client of foo", "world", TUNNEL, Never),
    ("client of foo", "world", PING, Never),
    ("client of foo", "metadata server", ("TCP", 80), Never),
    ("client of foo", "metadata server", ("UDP", 53), Never),
    ("client of foo", "API server", ("TCP", 6443), Never),
    ("client of foo", "node", ("TCP", 10250), Never),
    ("client of foo", "client of bar", ("TCP", 80), Never),
    ("client of foo", "results", ("TCP", 8080), Never),
    ("client of foo", "provisioner", ("TCP", 80), Never),
    ("player", "client of foo", ("TCP", 80), Never),
    ("world", "client of foo", ("TCP", 80), Never),
    ("other Pod with the labels of kube-dns", "world", ("TCP", 443), Never),
    ("player", "other Pod with the labels of kube-dns", ("UDP", 53), Never),
    ("broker's filter", "provisioner", ("TCP", 80), Always),
    ("channel's dispatcher", "provisioner", ("TCP", 80), Always),
    ("broker's filter", "provisioner", ("TCP", 8080), Never),
    ("broker's ingress", "provisioner", ("TCP", 80), Never),
    ("player", "provisioner", ("TCP", 80), Never),
    ("world", "provisioner", ("TCP", 80), Never),
    ("provisioner", "API server", ("TCP", 443), Always),
    ("provisioner", "API server", ("TCP", 6443), Always),
    ("provisioner", "API server", ("TCP", 8443), Always),
    ("provisioner", "API server", ("TCP", 16443), Always),
    ("provisioner", "API server", ("TCP", 2379), Never),
    ("provisioner", "kube-dns", ("UDP", 53), Always),
    ("provisioner", "DNS of OpenShift", ("TCP", 5353), Always),
    ("provisioner", "NodeLocal DNSCache", ("UDP", 53), Always),
    ("provisioner", "broker's ingress", ("TCP", 8080), Always),
    ("provisioner", "broker's filter", ("TCP", 8080), Never),
    ("provisioner", "world", ("TCP", 80), Never),
    ("provisioner", "gateway foo", TUNNEL, Never),
    ("activator", "provisioner by Knative Serving", ("TCP", 8012), Always),
    ("Kourier", "provisioner by Knative Serving", ("TCP", 8012), Always),
    ("broker's filter", "provisioner by Knative Serving", ("TCP", 8012), Never),
    ("provisioner by Knative Serving", "API server", ("TCP", 16443), Always),
    ("provisioner by Knative Serving", "NodeLocal DNSCache", ("UDP", 53), Always),
    ("provisioner by Knative Serving", "broker's ingress", ("TCP", 8080), Always),
    ("provisioner by Knative Serving", "world", ("TCP", 80), Never),
];

fn labels(labels: &Value) -> Labels {
    serde_json::from_value(labels.clone()).expect("labels are strings")
}

/// A client's labels as the component writes them, with the variables of `deploy/`.
fn client_labels(gateway: &str) -> Labels {
    let (config, context) = (config(), context("/test", "1"));
    labels(&manifest(&Pending::new(&context, gateway, &config).unwrap(), &config, None)["metadata"]["labels"])
}

/// The release and the namespace of a gateway, by its address.
fn release(gateway: &str) -> (String, String) {
    let address = config().address_of(gateway).expect("deploy/ says where gateways are");
    let mut parts = address.split('.').map(str::to_owned);
    (parts.next().unwrap(), parts.next().unwrap())
}

/// The labels of a Pod of the pod-gateway chart 6.6.1: of the gateway, or of its webhook.
fn gateway_labels(name: &str, release: &str) -> Labels {
    labels(&json!({"app.kubernetes.io/name": name, "app.kubernetes.io/instance": release}))
}

/// The Pods that the flows are about: what they are called, their namespaces and their labels.
fn pods() -> Vec<(&'static str, String, Labels)> {
    let mut pods = Vec::new();
    for (gateway, client) in [("gateway foo", "client of foo"), ("gateway bar", "client of bar")] {
        let name = gateway.trim_start_matches("gateway ");
        let (release, namespace) = release(name);
        pods.push((gateway, namespace, gateway_labels("pod-gateway", &release)));
        pods.push((client, config().client_namespace, client_labels(name)));
    }
    let (of_foo, gateways) = release("foo");
    pods.push(("webhook of foo", gateways, gateway_labels("pod-gateway-webhook", &of_foo)));
    pods.push(("other Pod with a gateway's labels", "default".to_owned(), gateway_labels("pod-gateway", &of_foo)));
    let others = [
        ("other Pod with the labels of kube-dns", "routed-clients", json!({"k8s-app": "kube-dns"})),
        ("kube-dns", "kube-system", json!({"k8s-app": "kube-dns"})),
        ("DNS of OpenShift", "openshift-dns", json!({"dns.operator.openshift.io/daemonset-dns": "default"})),
        ("broker's filter", "knative-eventing", json!({"eventing.knative.dev/brokerRole": "filter"})),
        ("broker's ingress", "knative-eventing", json!({"eventing.knative.dev/brokerRole": "ingress"})),
        (
            "channel's dispatcher",
            "knative-eventing",
            json!({"messaging.knative.dev/channel": "in-memory-channel", "messaging.knative.dev/role": "dispatcher"}),
        ),
        ("player", "client-system", json!({"app.kubernetes.io/name": "cloudevents-player"})),
        ("activator", "knative-serving", json!({"app": "activator"})),
        ("Kourier", "kourier-system", json!({"app": "3scale-kourier-gateway"})),
        // spin-operator's label, and Knative Serving's.
        ("provisioner", "client-system", json!({"core.spinkube.dev/app-name": "provisioner"})),
        ("provisioner by Knative Serving", "client-system", json!({"serving.knative.dev/service": "provisioner"})),
        ("results", "crawling", json!({"app": "results"})),
    ];
    pods.extend(others.map(|(name, namespace, map)| (name, namespace.to_owned(), labels(&map))));
    pods
}

/// Every end of the flows by its name.
fn world() -> BTreeMap<&'static str, End> {
    let mut ends: BTreeMap<_, _> = (10..)
        .zip(pods())
        .map(|(number, (name, namespace, labels))| {
            (name, End::pod(Ipv4Addr::new(10, 244, 0, number), &namespace, labels))
        })
        .collect();
    for (name, address) in [
        ("gateway that is gone", [10, 244, 0, 99]),
        ("NodeLocal DNSCache", [169, 254, 20, 10]),
        ("metadata server", [169, 254, 169, 254]),
        ("node", [192, 168, 0, 3]),
        ("API server", [192, 168, 0, 2]),
        ("world", [203, 0, 113, 7]),
    ] {
        ends.insert(name, End::outside(address.into()));
    }
    ends
}

fn assert_flows(policies: &[NetworkPolicy], expected: impl Fn(When) -> bool) {
    let world = world();
    let end = |name: &str| world.get(name).unwrap_or_else(|| panic!("who is {name}?"));
    let differing =
        FLOWS.iter().filter(|(from, to, wire, when)| allows(policies, end(from), end(to), *wire) != expected(*when));
    let differing: Vec<_> = differing.collect();
    assert!(differing.is_empty(), "{differing:#?}");
}

#[test]
fn the_network_policies_allow_what_is_needed_and_nothing_else() {
    assert_flows(&deployed(), |when| when != Never);
}

#[test]
fn with_the_component_a_client_reaches_its_own_gateway_alone() {
    assert_flows(&with_own_gateway(), |when| when == Always);
}

#[test]
fn every_gateway_of_deploy_has_a_policy_for_its_own_clients() {
    let policies = with_own_gateway();
    for gateway in config().gateways() {
        let client = End::pod([10, 0, 0, 1].into(), &config().client_namespace, client_labels(gateway));
        for other in config().gateways() {
            let (release, namespace) = release(other);
            let end = End::pod([10, 0, 0, 2].into(), &namespace, gateway_labels("pod-gateway", &release));
            assert_eq!(allows(&policies, &client, &end, TUNNEL), gateway == other, "{gateway}'s client to {other}");
        }
    }
}

/// A selector that is misspelt selects nothing, and nobody would hear of it.
#[test]
fn every_selector_and_every_address_of_a_policy_finds_somebody() {
    let ends: Vec<_> = world().into_values().collect();
    let sets = [deployed(), with_own_gateway(), policies([the_example()])];
    for policy in sets.iter().flatten() {
        let name = policy.metadata.name.as_deref().unwrap();
        for direction in [Direction::Ingress, Direction::Egress] {
            let rules = rules(policy, direction);
            let one = std::slice::from_ref(policy);
            let is_selected = ends.iter().any(|end| selecting(one, direction, end).next().is_some());
            assert!(is_selected || rules.is_empty(), "{name} selects no Pod for {direction:?}");
            for peer in rules.iter().flat_map(|(peers, _)| peers) {
                assert!(ends.iter().any(|end| is_peer(policy, peer, end)), "{name}: nobody is {peer:?}");
            }
        }
    }
}

/// The policy that is commented out at the end of the clients' file.
fn the_example() -> Value {
    let text = std::fs::read_to_string(repository().join(CLIENT_POLICIES)).unwrap();
    let (_, example) = text.split_once("\n# ---\n").expect("there is an example");
    let lines = example.lines().map(|line| line.strip_prefix("# ").expect("it is commented out to the end"));
    serde_saphyr::from_str(&lines.collect::<Vec<_>>().join("\n")).unwrap()
}

#[test]
fn the_example_opens_one_service_of_the_cluster_to_clients() {
    let (world, policies) = (world(), [deployed(), policies([the_example()])].concat());
    for client in ["client of foo", "client of bar"] {
        let reaches = |to: &str, wire| allows(&policies, &world[client], &world[to], wire);
        assert!(reaches("results", ("TCP", 8080)));
        assert!(!reaches("results", ("TCP", 22)) && !reaches("world", ("TCP", 8080)));
    }
}
