//! Who may speak to whom by the NetworkPolicies of `deploy/`, evaluated with the labels that the real objects have.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use k8s_openapi::api::networking::v1::NetworkPolicy;
use provisioner::event::Pending;
use provisioner::manifest::manifest;
use provisioner::testing::context;
use serde_json::{Value, json};
use tests::network::{CLIENT_POLICIES, Direction, End, Wire, allows, deployed, is_peer, own_gateway, policies, rules};
use tests::provisioner::repository;

use crate::deploy::config;

const TUNNEL: Wire = ("UDP", 8472);
const DNS: [Wire; 6] = [("UDP", 53), ("TCP", 53), ("UDP", 5353), ("TCP", 5353), ("UDP", 8053), ("TCP", 8053)];
const API: [Wire; 4] = [("TCP", 443), ("TCP", 6443), ("TCP", 8443), ("TCP", 16443)];
const OTHERS: [Wire; 8] =
    [("ICMP", 0), TUNNEL, ("UDP", 4789), ("TCP", 22), ("TCP", 80), ("TCP", 8012), ("TCP", 8080), ("TCP", 10250)];

const DNS_SERVERS: [&str; 6] = ["kube-dns", "DNS of OpenShift", "NodeLocal DNSCache", "Kubespray's", "GKE's", "AKS'"];
const PROVISIONERS: [&str; 2] = ["provisioner", "provisioner by Knative Serving"];

/// What is laid over the policies: the component that lets each client to its own gateway alone, or the example that opens
/// one service of the cluster to clients.
const OWN_GATEWAY: &str = "own-gateway";
const EXAMPLE: &str = "example";

/// Whether the policies are there for the sake of this end: nothing else passes there than what is meant to.
fn is_guarded(end: &str) -> bool {
    end.starts_with("client of ") || PROVISIONERS.contains(&end)
}

/// What is meant to pass where one of the ends is guarded.
fn is_meant(from: &str, to: &str, wire: Wire, over: &str) -> bool {
    let is_pair = |client: &str, gateway: &str| client == gateway || over != OWN_GATEWAY;
    let client = from.strip_prefix("client of ");
    if let (Some(client), Some(gateway)) = (client, to.strip_prefix("gateway ")) {
        return is_pair(client, gateway);
    }
    if let (Some(gateway), Some(client)) = (from.strip_prefix("gateway "), to.strip_prefix("client of ")) {
        return wire == TUNNEL && is_pair(client, gateway);
    }
    match (from, to) {
        (_, "results") if client.is_some_and(|gateway| gateway != "nobody") => over == EXAMPLE && wire == ("TCP", 8080),
        _ if client.is_some() => DNS_SERVERS.contains(&to) && DNS.contains(&wire),
        ("broker's filter" | "channel's dispatcher", "provisioner") => wire == ("TCP", 80),
        ("activator" | "Kourier", "provisioner by Knative Serving") => true,
        // The API server's address depends on the cluster.
        _ if PROVISIONERS.contains(&from) => {
            (API.contains(&wire) && !is_guarded(to))
                || (DNS.contains(&wire) && DNS_SERVERS.contains(&to))
                || (wire == ("TCP", 8080) && to == "broker's ingress")
        }
        _ => false,
    }
}

/// A Pod of the pod-gateway chart 6.6.1, of the gateway or of its webhook, where the gateway's address says that it is.
fn of_chart(name: &str, gateway: &str) -> (String, Value) {
    let address = config().address_of(gateway).expect("deploy/ says where gateways are");
    let mut parts = address.split('.');
    let labels = json!({"app.kubernetes.io/name": name, "app.kubernetes.io/instance": parts.next()});
    (parts.next().unwrap().to_owned(), labels)
}

/// A client as the component makes it, with the variables of `deploy/`.
fn client_of(gateway: &str) -> (String, Value) {
    let (config, context) = (config(), context("/test", "1"));
    let pod = manifest(&Pending::new(&context, gateway, &config).unwrap(), &config, None);
    (config.client_namespace, pod["metadata"]["labels"].clone())
}

/// The Pods that are there: what they are called, their namespaces and their labels.
fn pods() -> Vec<(String, (String, Value))> {
    let mut pods = Vec::new();
    for gateway in config().gateways() {
        pods.push((format!("gateway {gateway}"), of_chart("pod-gateway", gateway)));
        pods.push((format!("webhook of {gateway}"), of_chart("pod-gateway-webhook", gateway)));
        pods.push((format!("client of {gateway}"), client_of(gateway)));
    }
    let channel =
        json!({"messaging.knative.dev/channel": "in-memory-channel", "messaging.knative.dev/role": "dispatcher"});
    let others = [
        ("other Pod with a gateway's labels", "default", of_chart("pod-gateway", "foo").1),
        // What somebody put beside the clients, as if it were the cluster's DNS.
        ("client of nobody", "routed-clients", json!({"k8s-app": "kube-dns"})),
        ("kube-dns", "kube-system", json!({"k8s-app": "kube-dns"})),
        ("GKE's", "kube-system", json!({"k8s-app": "node-local-dns"})),
        ("DNS of OpenShift", "openshift-dns", json!({"dns.operator.openshift.io/daemonset-dns": "default"})),
        ("broker's filter", "knative-eventing", json!({"eventing.knative.dev/brokerRole": "filter"})),
        ("broker's ingress", "knative-eventing", json!({"eventing.knative.dev/brokerRole": "ingress"})),
        ("channel's dispatcher", "knative-eventing", channel),
        ("player", "client-system", json!({"app.kubernetes.io/name": "cloudevents-player"})),
        ("activator", "knative-serving", json!({"app": "activator"})),
        ("Kourier", "kourier-system", json!({"app": "3scale-kourier-gateway"})),
        // spin-operator's label, and Knative Serving's.
        ("provisioner", "client-system", json!({"core.spinkube.dev/app-name": "provisioner"})),
        ("provisioner by Knative Serving", "client-system", json!({"serving.knative.dev/service": "provisioner"})),
        ("results", "crawling", json!({"app": "results"})),
    ];
    pods.extend(others.map(|(name, namespace, labels)| (name.to_owned(), (namespace.to_owned(), labels))));
    pods
}

/// Every end of a flow by its name.
fn world() -> BTreeMap<String, End> {
    let outside = [
        ("place of a gateway that is gone", [10, 244, 0, 99]),
        ("NodeLocal DNSCache", [169, 254, 20, 10]),
        ("Kubespray's", [169, 254, 25, 10]),
        ("AKS'", [169, 254, 10, 11]),
        ("metadata server", [169, 254, 169, 254]),
        ("node", [192, 168, 0, 3]),
        ("world", [203, 0, 113, 7]),
    ];
    let outside = outside.map(|(name, address)| (name.to_owned(), End::outside(address.into())));
    let pods = (10..).zip(pods()).map(|(number, (name, (namespace, labels)))| {
        let labels = serde_json::from_value(labels).expect("labels are strings");
        (name, End::pod(Ipv4Addr::new(10, 244, 0, number), &namespace, labels))
    });
    pods.chain(outside).collect()
}

/// The policy that is commented out at the end of the clients' file.
fn the_example() -> Vec<NetworkPolicy> {
    let text = std::fs::read_to_string(repository().join(CLIENT_POLICIES)).unwrap();
    let (_, example) = text.split_once("\n# ---\n").expect("there is an example");
    policies([serde_saphyr::from_str(&example.replace("\n# ", "\n").replacen("# ", "", 1)).unwrap()])
}

/// A selector that is misspelt finds nobody, and so would one that opens a way to somebody who isn't in this world.
fn assert_each_peer_is_somebody(policies: &[NetworkPolicy], world: &BTreeMap<String, End>) {
    for policy in policies {
        let rules = [Direction::Ingress, Direction::Egress].map(|direction| rules(policy, direction));
        for peer in rules.iter().flatten().flat_map(|(peers, _)| peers) {
            assert!(world.values().any(|end| is_peer(policy, peer, end)), "nobody is {peer:?}");
        }
    }
}

#[test]
fn the_network_policies_allow_what_is_meant_and_nothing_else() {
    let world = world();
    for (policies, over) in
        [(deployed(), ""), (own_gateway(), OWN_GATEWAY), ([deployed(), the_example()].concat(), EXAMPLE)]
    {
        assert_each_peer_is_somebody(&policies, &world);
        for (from, source) in &world {
            for (to, target) in world.iter().filter(|(to, _)| *to != from && (is_guarded(from) || is_guarded(to))) {
                for wire in [&DNS[..], &API, &OTHERS].concat() {
                    let is_meant = is_meant(from, to, wire, over);
                    assert_eq!(allows(&policies, source, target, wire), is_meant, "{from} to {to}: {wire:?}, {over}");
                }
            }
        }
    }
}
