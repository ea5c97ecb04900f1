//! The way past a gateway, open without the NetworkPolicies of `deploy/` and closed with them, in network namespaces.
//!
//! `make e2e` runs it. `bypass.sh` has the namespaces and looks who reaches what; here the policies become the rules that a
//! network plugin would make of them. What this machine lacks is said: `NOT RUN: …`.

use std::io::Write;
use std::net::Ipv4Addr;
use std::process::{Command, ExitCode};

use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use libtest_mimic::{Arguments, Failed, Trial};
use provisioner::testing::wanted;
use serde_json::{Value, json};
use tests::network::{Direction, End, Labels, deployed, is_peer, rules, selecting, with_own_gateway};
use tests::provisioner::repository;

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 31);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 23);
/// The script's exit code where this machine can't run it.
const LACKS: i32 = 77;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Each prints what it sees, line by line.
    arguments.test_threads = Some(1);
    let check = script().output().expect("bypass.sh can be started");
    let lacks = (!check.status.success()).then(|| String::from_utf8_lossy(&check.stdout).trim().to_owned());
    assert!(matches!(check.status.code(), Some(0 | LACKS)), "bypass.sh is broken: {check:?}");
    let trial = |(name, policies): (&str, fn() -> Vec<NetworkPolicy>)| {
        let run = move || bypass(&policies()).map_err(Failed::from);
        Trial::test(format!("network: {name}"), run).with_ignored_flag(lacks.is_some())
    };
    let trials = [
        ("a client gets out by eth0 until the policies are there", deployed as fn() -> _),
        ("a client gets out by eth0 until the policies of each gateway are there", with_own_gateway),
    ];
    let conclusion = libtest_mimic::run(&arguments, trials.map(trial).into());
    if let Some(why) = lacks {
        println!("NOT RUN: network: {why}");
    }
    conclusion.exit_code()
}

fn script() -> Command {
    Command::new(repository().join("tests/network/bypass.sh"))
}

/// Runs the script with these policies.
fn bypass(policies: &[NetworkPolicy]) -> Result<(), &'static str> {
    let [held, without_gateway] = [&[gateway()][..], &[]].map(|ends| file_of(&ruleset(policies, ends)));
    let mut script = script();
    script.args([held.path(), without_gateway.path()]);
    script.env("CLIENT_ADDRESS", CLIENT.to_string()).env("GATEWAY_ADDRESS", GATEWAY.to_string());
    let status = script.status().expect("bypass.sh can be started");
    status.success().then_some(()).ok_or("a way is open that should be closed, or the other way round: see above")
}

fn file_of(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("there is room for a file");
    file.write_all(text.as_bytes()).expect("a file can be written");
    file
}

fn labels(labels: &Value) -> Labels {
    serde_json::from_value(labels.clone()).expect("labels are strings")
}

/// The client as the component makes it.
fn client() -> End {
    let pod = wanted(&[("client_namespace", "routed-clients")]);
    let namespace = pod["metadata"]["namespace"].as_str().expect("a Pod has a namespace");
    End::pod(CLIENT, namespace, labels(&pod["metadata"]["labels"]))
}

/// The gateway as the pod-gateway chart makes it.
fn gateway() -> End {
    let written = json!({"app.kubernetes.io/name": "pod-gateway", "app.kubernetes.io/instance": "pod-gateway-foo"});
    End::pod(GATEWAY, "gateway-system", labels(&written))
}

/// The policies as nftables rules of the client's node, where its interface is called `client`.
fn ruleset(policies: &[NetworkPolicy], ends: &[End]) -> String {
    let chain = |direction, side| chain(policies, direction, side, ends);
    format!(
        "table ip policies {{\n\
         chain forward {{\n\
         type filter hook forward priority filter\n\
         ct state established,related accept\n\
         iifname client jump egress\n\
         oifname client jump ingress\n\
         }}\n\
         chain egress {{\n{}\n}}\n\
         chain ingress {{\n{}\n}}\n\
         }}\n",
        chain(Direction::Egress, "daddr"),
        chain(Direction::Ingress, "saddr"),
    )
}

/// What the client may do in one direction, by the addresses of those who are there. All of it, where nothing is said.
fn chain(policies: &[NetworkPolicy], direction: Direction, side: &str, ends: &[End]) -> String {
    let client = client();
    let policies: Vec<_> = selecting(policies, direction, &client).collect();
    let mut lines = Vec::new();
    for policy in &policies {
        for (peers, ports) in rules(policy, direction) {
            let addresses = peers.iter().flat_map(|peer| addresses(policy, peer, ends));
            let ports = ports.iter().map(match_of).collect::<Vec<_>>();
            let ports = if ports.is_empty() { vec![String::new()] } else { ports };
            lines.extend(addresses.flat_map(|address| {
                ports.iter().map(move |port| format!("ip {side} {address} {port} accept")).collect::<Vec<_>>()
            }));
        }
    }
    lines.push(if policies.is_empty() { "accept" } else { "drop" }.to_owned());
    lines.join("\n")
}

/// Where a peer is.
fn addresses(policy: &NetworkPolicy, peer: &NetworkPolicyPeer, ends: &[End]) -> Vec<String> {
    match &peer.ip_block {
        Some(block) => vec![block.cidr.clone()],
        None => {
            let found = ends.iter().filter(|end| is_peer(policy, peer, end));
            found.map(|end| end.address.to_string()).collect()
        }
    }
}

fn match_of(port: &NetworkPolicyPort) -> String {
    let protocol = port.protocol.as_deref().unwrap_or("TCP").to_lowercase();
    match &port.port {
        Some(IntOrString::Int(number)) => format!("{protocol} dport {number}"),
        other => panic!("{other:?} is no port of a rule for clients"),
    }
}
