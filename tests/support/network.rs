//! What NetworkPolicies allow, by the semantics of networking.k8s.io/v1, without a cluster.
//!
//! A Pod that no policy of a direction selects may do anything in that direction; one that some select may do what any of
//! their rules allows. A flow has to be allowed at both of its ends.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

use crate::kustomize::objects;
use crate::manifests::documents;

/// The policies of clients.
pub const CLIENT_POLICIES: &str = "deploy/client-network-policy.yaml";

/// Labels of a Pod or of a namespace.
pub type Labels = BTreeMap<String, String>;

/// One end of a flow.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// Where it is.
    pub address: Ipv4Addr,
    /// Its namespace and its labels, where it is a Pod in the Pods' network. A node isn't, nor what shares its network.
    pub pod: Option<(String, Labels)>,
}

impl End {
    /// A Pod.
    pub fn pod(address: Ipv4Addr, namespace: &str, labels: Labels) -> Self {
        Self { address, pod: Some((namespace.to_owned(), labels)) }
    }

    /// An address that is no Pod's.
    pub fn outside(address: Ipv4Addr) -> Self {
        Self { address, pod: None }
    }
}

/// What is sent: a protocol and, where that has ports, the one it is sent to. ICMP has none.
pub type Wire = (&'static str, u16);

/// The two directions that a policy speaks of.
#[derive(Clone, Copy, Debug)]
pub enum Direction {
    /// Into the Pods that the policy selects.
    Ingress,
    /// Out of them.
    Egress,
}

/// A rule of either direction: the other ends, none of which is named where it is anybody, and the ports likewise.
pub type Rule = (Vec<NetworkPolicyPeer>, Vec<NetworkPolicyPort>);

/// Reads policies from the documents of manifests.
///
/// # Panics
/// When a document of the kind is no NetworkPolicy.
pub fn policies(documents: impl IntoIterator<Item = Value>) -> Vec<NetworkPolicy> {
    let of_kind = documents.into_iter().filter(|object| object["kind"] == "NetworkPolicy");
    of_kind.map(|object| serde_json::from_value(object).expect("a NetworkPolicy")).collect()
}

/// The policies of `deploy/` with these components, and of the Knative Service, which may be there beside the SpinApp.
fn with(components: &[&str]) -> Vec<NetworkPolicy> {
    let beside = documents("deploy/knative-service/network-policy.yaml");
    policies(objects("deploy", components).into_iter().chain(beside))
}

/// The policies of `deploy/`.
pub fn deployed() -> Vec<NetworkPolicy> {
    with(&[])
}

/// The same with the component that lets each client to its own gateway alone.
pub fn own_gateway() -> Vec<NetworkPolicy> {
    with(&["own-gateway"])
}

/// Whether the policies let this through, from one end to the other.
pub fn allows(policies: &[NetworkPolicy], from: &End, to: &End, wire: Wire) -> bool {
    passes(policies, Direction::Egress, from, to, wire) && passes(policies, Direction::Ingress, to, from, wire)
}

fn passes(policies: &[NetworkPolicy], direction: Direction, subject: &End, other: &End, wire: Wire) -> bool {
    let mut policies = selecting(policies, direction, subject).peekable();
    policies.peek().is_none()
        || policies.any(|policy| {
            rules(policy, direction).iter().any(|(peers, ports)| {
                (peers.is_empty() || peers.iter().any(|peer| is_peer(policy, peer, other)))
                    && (ports.is_empty() || ports.iter().any(|port| is_port(port, wire)))
            })
        })
}

/// The policies that hold for this Pod in this direction.
fn selecting<'a>(
    policies: &'a [NetworkPolicy],
    direction: Direction,
    subject: &'a End,
) -> impl Iterator<Item = &'a NetworkPolicy> {
    policies.iter().filter(move |policy| {
        let Some((namespace, labels)) = &subject.pod else { return false };
        let spec = policy.spec.as_ref().expect("a policy has a spec");
        policy.metadata.namespace.as_ref() == Some(namespace)
            && spec.pod_selector.as_ref().is_none_or(|selector| selects(selector, labels))
            && spec.policy_types.as_ref().expect("it says its directions").contains(&format!("{direction:?}"))
    })
}

/// The rules of a policy in one direction.
pub fn rules(policy: &NetworkPolicy, direction: Direction) -> Vec<Rule> {
    let spec = policy.spec.clone().expect("a policy has a spec");
    let ingress = spec.ingress.into_iter().flatten().map(|rule| (rule.from, rule.ports));
    let egress = spec.egress.into_iter().flatten().map(|rule| (rule.to, rule.ports));
    let is_ingress = matches!(direction, Direction::Ingress);
    let rules: Vec<_> = if is_ingress { ingress.collect() } else { egress.collect() };
    rules.into_iter().map(|(peers, ports)| (peers.unwrap_or_default(), ports.unwrap_or_default())).collect()
}

/// Whether a policy's peer is this end. A selector finds Pods alone; without one of namespaces it means the policy's own.
pub fn is_peer(policy: &NetworkPolicy, peer: &NetworkPolicyPeer, other: &End) -> bool {
    if let Some(block) = &peer.ip_block {
        return is_in(block, other.address);
    }
    let Some((namespace, labels)) = &other.pod else { return false };
    let of_namespace = BTreeMap::from([("kubernetes.io/metadata.name".to_owned(), namespace.clone())]);
    let is_there = match &peer.namespace_selector {
        Some(selector) => selects(selector, &of_namespace),
        None => policy.metadata.namespace.as_ref() == Some(namespace),
    };
    is_there && peer.pod_selector.as_ref().is_none_or(|selector| selects(selector, labels))
}

fn is_in(block: &IPBlock, address: Ipv4Addr) -> bool {
    let covers = |cidr: &str| {
        let (network, length) = cidr.split_once('/').expect("a CIDR has a length");
        let network: Ipv4Addr = network.parse().expect("an IPv4 address");
        let mask = u32::MAX.checked_shl(32 - length.parse::<u32>().expect("a length")).unwrap_or_default();
        network.to_bits() & mask == address.to_bits() & mask
    };
    covers(&block.cidr) && !block.except.iter().flatten().any(|cidr| covers(cidr))
}

fn is_port(port: &NetworkPolicyPort, (protocol, number): Wire) -> bool {
    let NetworkPolicyPort { port: Some(IntOrString::Int(open)), end_port: None, protocol: Some(named) } = port else {
        panic!("{port:?} is no protocol with one number");
    };
    named == protocol && *open == i32::from(number)
}

fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    assert_eq!(selector.match_expressions, None, "only labels are compared here");
    selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value))
}
