//! Redeliveries after a change of settings: what becomes of a client that was made under the old ones.

use provisioner::reason::Reason;
use provisioner::testing::{routed, wanted};
use serde_json::Value;
use tests::peer::{Step, absent, client, exists, found, json_step};

use crate::settling::ending;
use crate::{Case, End, run};

/// The row of docs/operations.md, the variable and its new value, and how a redelivery ends: for a client that was
/// released, and for one that is still gated.
fn changes() -> Vec<(&'static str, &'static str, &'static str, End, End)> {
    let (wrong, unwanted) = (End::Failed(Reason::WrongGatewayInjected), End::Failed(Reason::GatewayNotAllowed));
    let run = "`client_image`, `client_command`";
    vec![
        (run, "client_image", "another:1", End::Done, End::Done),
        (run, "client_command", "another", End::Done, End::Done),
        ("`client_pod_template`", "client_pod_template", "gone", End::Done, End::Done),
        ("`gateway_address`", "gateway_address", "elsewhere-{gateway}", End::Done, wrong),
        ("`gateway_key`", "gateway_key", "example.com/gateway", End::Done, wrong),
        ("`gateways`, with another beside its gateway", "gateways", "foo,bar", End::Done, End::Done),
        ("`gateways`, without its gateway", "gateways", "bar", unwanted, unwanted),
        ("`gateway_verification = \"off\"`", "gateway_verification", "off", End::Done, End::Done),
    ]
}

/// Finds the Pod, and does what leads to this end.
fn script(variable: &str, end: End, pod: fn(Value) -> Value) -> Vec<Step> {
    let first = if variable == "client_pod_template" { absent() } else { exists() };
    let is_gated = pod(wanted(&[]))["spec"]["schedulingGates"].is_array();
    match end {
        End::Failed(Reason::GatewayNotAllowed) => vec![],
        End::Done if is_gated => vec![first, found(pod), json_step("PATCH", 200, |_| client(wanted(&[])))],
        End::Done => vec![first, found(pod)],
        _ => vec![first, found(pod), ending(0)],
    }
}

#[tokio::test]
async fn a_redelivery_after_a_change_of_settings_ends_as_the_document_says() {
    let mut documented = tests::markdown::rows("docs/operations.md", "Upgrading");
    for (row, variable, value, released, gated) in changes() {
        let cells = documented.iter().find(|cells| cells[0] == row).unwrap_or_else(|| panic!("no row {row}"));
        for (cell, pod, end) in [(&cells[1], client as fn(Value) -> Value, released), (&cells[2], routed, gated)] {
            let word = if let End::Failed(reason) = end { format!("{reason:?}") } else { "`done`".to_owned() };
            assert!(cell.contains(&word), "{row}: {cell}");
            run(Case::new(row, script(variable, end, pod), end).with(variable, value)).await;
        }
    }
    documented.retain(|cells| changes().iter().all(|change| cells[0] != change.0));
    // A Pod in another namespace is another Pod.
    assert_eq!(documented.iter().map(|cells| &*cells[0]).collect::<Vec<_>>(), ["`client_namespace`"]);
}
