//! Every row of the table "From event to answer", and what only bytes on the wire show of an event.

use provisioner::reason::Reason;
use provisioner::testing::{pod_template, released, routed, routed_by, stored};
use serde_json::{Value, json};
use tests::events::{binary, body, pending, pending_with, structured, with_header};
use tests::peer::{Step, absent, client, exists, found, happy, json_step, status};

use crate::End::{Done, Empty, Failed, Problem};
use crate::{Case, assert_rows_are_covered, run};

const REFUSED: &str = "`pending`, with an invalid or disallowed gateway";
const RELEASED: &str = "`pending`, and its Pod is verified and released";

/// The pending event of (`/test`, `1`) in structured mode.
pub fn event() -> Value {
    json!({
        "specversion": "1.0", "id": "1", "source": "/test", "type": provisioner::event::PENDING,
        "datacontenttype": "application/json", "data": {"gateway_name": "foo"},
    })
}

/// What ends before any call.
fn rejected() -> Vec<Case> {
    let rows = [
        ("not a CloudEvent", body("application/json", "{}"), Problem(400)),
        ("a CloudEvents format other than JSON", body("application/cloudevents-batch+json", "[]"), Problem(415)),
        ("a CloudEvents format other than JSON", with_header(pending("1", ""), "content-encoding", "br"), Problem(415)),
        ("a body over 1 MiB", pending_with("1", &" ".repeat((1 << 20) + 1)), Problem(413)),
        ("a CloudEvent of another type", binary("1", provisioner::reply::DONE, "{}"), Empty(202)),
        ("`pending`, but its data", pending_with("1", ""), Failed(Reason::InvalidEventData)),
        (REFUSED, pending("1", "a/b"), Failed(Reason::InvalidGatewayName)),
    ];
    rows.into_iter().map(|(row, request, end)| Case::new(row, vec![], end).of(request)).collect()
}

fn removed(created: impl Fn(Value) -> Value + Send + Sync + 'static) -> Vec<Step> {
    vec![json_step("POST", 201, created), json_step("DELETE", 200, stored)]
}

fn refused() -> Vec<Case> {
    let case = |script, reason| Case::new(REFUSED, script, Failed(reason));
    let expired = with_header(pending("1", "foo"), "ce-expirytime", "2020-01-01T00:00:00Z");
    let denied = status("POST", 400, "BadRequest", "admission webhook \"policy.example\" denied the request: no");
    vec![
        case(vec![], Reason::GatewayNotAllowed).with("gateways", "bar,foobar"),
        case(vec![absent()], Reason::EventExpired).of(expired),
        case(removed(stored), Reason::GatewayNotInjected),
        case(removed(|pod| routed_by("elsewhere", pod)), Reason::WrongGatewayInjected)
            .with("gateway_address", "pod-gateway-{gateway}.gateway-system.svc.cluster.local"),
        case(removed(|pod| released(stored(pod))), Reason::UnsafePod),
        case(vec![denied, absent()], Reason::PodRejected),
        case(vec![absent(), absent()], Reason::PodTemplateInvalid).with("client_pod_template", "crawler"),
    ]
}

/// The largest object that etcd holds has 1.5 MiB. A host takes one of a call's body before anybody reads it, and the rest
/// after that.
fn large_template() -> Step {
    json_step("GET", 200, |_| pod_template(|spec| spec["containers"][0]["args"] = json!(["x".repeat(3 << 19)])))
}

fn done() -> Vec<Case> {
    let case = |script| Case::new(RELEASED, script, Done);
    let largest = format!("{{\"gateway_name\":\"foo\"{}}}", " ".repeat((1 << 20) - 22));
    assert_eq!(largest.len(), 1 << 20);
    vec![
        case(happy()).of(pending_with("1", &largest)),
        case(happy()).of(structured(&event())),
        case([large_template()].into_iter().chain(happy()).collect()).with("client_pod_template", "crawler"),
        case(vec![exists(), found(client)]),
        case(vec![exists(), found(routed), happy().remove(1)]),
        case(vec![json_step("POST", 201, stored)]).with("gateway_verification", "off"),
        Case::new("`pending`, and something that can heal", vec![status("POST", 500, "InternalError", "")], Empty(503)),
    ]
}

fn cases() -> Vec<Case> {
    [rejected(), refused(), done()].into_iter().flatten().collect()
}

#[tokio::test]
async fn every_event_is_answered_as_documented() {
    assert_rows_are_covered("From event to answer", &cases());
    for case in cases() {
        run(case).await;
    }
}

#[test]
fn every_reason_that_a_delivery_can_have_is_seen() {
    let all = cases().into_iter().chain(crate::healing::cases()).chain(crate::settling::states());
    let seen: Vec<_> = all.map(|case| case.end).collect();
    for reason in Reason::ALL {
        assert!(seen.contains(&Failed(reason)), "no case ends in {reason:?}");
    }
}
