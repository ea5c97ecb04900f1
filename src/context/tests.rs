use super::*;
use crate::testing::context;

#[test]
fn names_and_answers_ids_are_golden() {
    let event = context("/test", "1");
    assert_eq!(event.pod_name(), "6ae65cff-3704-5f31-ae9d-cd15c7833b0c");
    assert_eq!(event.answer_id("io.podgateway.client.scheduling.done"), "c35456f6-c841-5e9a-bb7a-812b225ced7f");
    assert_eq!(event.answer_id("io.podgateway.client.scheduling.failed"), "6460836a-dc43-50e4-9c2f-0e48101627fe");
    assert_eq!(context("/dienst/ä", "Ω 1").pod_name(), "6256337b-3cb0-5b30-a72d-ce9b80db4443");
}

#[test]
fn the_border_between_source_and_id_is_part_of_the_name() {
    assert_ne!(context("a", "bc").pod_name(), context("ab", "c").pod_name());
    assert_ne!(context("a1:b", "c").pod_name(), context("a", "1:bc").pod_name());
}

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn traced(traceparent: &str, tracestate: &str) -> Context {
    let (traceparent, tracestate) = (Some(traceparent.to_owned()), Some(tracestate.to_owned()));
    Context { traceparent, tracestate, ..context("/test", "1") }
}

#[test]
fn the_trace_id_is_read_from_a_well_formed_traceparent_only() {
    assert_eq!(traced(TRACEPARENT, "").trace_id(), Some("0af7651916cd43dd8448eb211c80319c"));
    for broken in [
        "",
        "00",
        "00-xyz-1-01",
        "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0af7651916cd43dd8448eb211c80319c-a parent's id-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ] {
        assert_eq!(traced(broken, "").trace_id(), None, "{broken:?}");
    }
    assert_eq!(context("/test", "1").trace_id(), None);
}

#[test]
fn a_well_formed_trace_goes_on_as_headers() {
    let headers = traced(TRACEPARENT, "k=v").trace();
    assert_eq!(
        (&headers["traceparent"], &headers["tracestate"]),
        (&TRACEPARENT.parse().unwrap(), &"k=v".parse().unwrap())
    );
    assert!(traced("00-broken", "k=v").trace().is_empty());
    assert!(context("/test", "1").trace().is_empty());
}

#[test]
fn what_cannot_be_a_header_goes_no_further() {
    for tracestate in ["k=\n", &"x".repeat(1_025)] {
        let headers = traced(TRACEPARENT, tracestate).trace();
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["traceparent"]);
    }
    assert!(traced(&format!("{TRACEPARENT}-{}", "x".repeat(1_024)), "").trace().get("traceparent").is_none());
}
