//! The way past a gateway, open without the NetworkPolicies of `deploy/` and closed with them, in network namespaces.
//!
//! `make e2e` runs it. `bypass.sh` has the namespaces and looks who reaches what; here what the policies allow becomes the
//! rules that a network plugin would make of them. What this machine lacks is said: `NOT RUN: …`.

use std::net::Ipv4Addr;
use std::process::{Command, ExitCode};

use k8s_openapi::api::networking::v1::NetworkPolicy;
use libtest_mimic::{Arguments, Failed, Trial};
use provisioner::pod::text;
use provisioner::testing::wanted;
use serde_json::{Value, json};
use tests::network::{End, Wire, allows, deployed, own_gateway};
use tests::provisioner::repository;

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 31);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 23);
const WORLD: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
/// What is sent: the tunnel, a ping, and what the world answers.
const WIRES: [Wire; 4] = [("UDP", 8472), ("ICMP", 0), ("TCP", 80), ("UDP", 5000)];
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
        ("a client gets out by eth0 until the policies of each gateway are there", own_gateway),
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

/// Runs the script with these policies: while the gateway is there, and while it isn't.
fn bypass(policies: &[NetworkPolicy]) -> Result<(), &'static str> {
    let directory = tempfile::tempdir().expect("there is room for files");
    let mut script = script();
    for (name, ends) in
        [("held", vec![gateway(), End::outside(WORLD)]), ("gone", vec![End::outside(GATEWAY), End::outside(WORLD)])]
    {
        let file = directory.path().join(name);
        std::fs::write(&file, ruleset(policies, &ends)).expect("a file can be written");
        script.arg(file);
    }
    for (name, address) in [("CLIENT_ADDRESS", CLIENT), ("GATEWAY_ADDRESS", GATEWAY), ("WORLD_ADDRESS", WORLD)] {
        script.env(name, address.to_string());
    }
    let status = script.status().expect("bypass.sh can be started");
    status.success().then_some(()).ok_or("a way is open that should be closed, or the other way round: see above")
}

/// A Pod at this address.
fn end(address: Ipv4Addr, pod: &Value) -> End {
    let [namespace, labels] = ["namespace", "labels"].map(|field| pod["metadata"][field].clone());
    End::pod(address, text(&namespace), serde_json::from_value(labels).expect("labels are strings"))
}

/// The client as the component makes it.
fn client() -> End {
    end(CLIENT, &wanted(&[("client_namespace", "routed-clients")]))
}

/// The gateway as the pod-gateway chart makes it.
fn gateway() -> End {
    let labels = json!({"app.kubernetes.io/name": "pod-gateway", "app.kubernetes.io/instance": "pod-gateway-foo"});
    end(GATEWAY, &json!({"metadata": {"namespace": "gateway-system", "labels": labels}}))
}

/// What the policies let through between the client and these, as nftables rules of the client's node, where its interface
/// is called `client`.
fn ruleset(policies: &[NetworkPolicy], ends: &[End]) -> String {
    let mut rules = vec!["type filter hook forward priority filter".to_owned()];
    rules.push("ct state established,related accept".to_owned());
    for (end, wire) in ends.iter().flat_map(|end| WIRES.map(|wire| (end, wire))) {
        let matched = match wire {
            ("ICMP", _) => "ip protocol icmp".to_owned(),
            (protocol, port) => format!("{} dport {port}", protocol.to_lowercase()),
        };
        if allows(policies, &client(), end, wire) {
            rules.push(format!("iifname client ip daddr {} {matched} accept", end.address));
        }
        if allows(policies, end, &client(), wire) {
            rules.push(format!("oifname client ip saddr {} {matched} accept", end.address));
        }
    }
    rules.extend(["iifname client drop", "oifname client drop"].map(str::to_owned));
    format!("table ip policies {{\nchain forward {{\n{}\n}}\n}}\n", rules.join("\n"))
}
