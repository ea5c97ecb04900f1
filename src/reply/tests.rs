use super::*;
use crate::pod::Pod;
use crate::reason::Reason;
use crate::testing::{context, merged, now, routed, wanted};

fn done_with(context: &Context, change: &Value, verification: Verification) -> Value {
    let pod: Pod = serde_json::from_value(merged(routed(wanted(&[])), change)).unwrap();
    json!(done(context, "foo", &pod.metadata, verification, now()))
}

fn failed_with(context: &Context, gateway: Option<&str>) -> Value {
    json!(failed(context, gateway, &Failure::new(Reason::EventExpired, "send a new event"), now()))
}

#[test]
fn done_says_where_the_client_is() {
    let expected = json!({
        "specversion": "1.0",
        "id": "c35456f6-c841-5e9a-bb7a-812b225ced7f",
        "type": "io.podgateway.client.scheduling.done",
        "source": "podgateway/eventing/client/provisioner",
        "subject": "default/6ae65cff-3704-5f31-ae9d-cd15c7833b0c",
        // The Pod's, so that a repeated answer is the same.
        "time": "2026-01-01T00:00:00Z",
        "causationid": "1",
        "correlationid": "1",
        "datacontenttype": "application/json",
        "data": {
            "message": "the client goes out through the gateway foo",
            "pod_name": "6ae65cff-3704-5f31-ae9d-cd15c7833b0c",
            "namespace": "default",
            "gateway_name": "foo",
            "pod_uid": "4d5e6f70-0000-4000-8000-000000000001",
            "pending_event": {"source": "/test", "id": "1"},
        },
    });
    assert_eq!(done_with(&context("/test", "1"), &json!({}), Verification::Required), expected);
    let timeless = json!({"metadata": {"creationTimestamp": null}});
    let done = done_with(&context("/test", "1"), &timeless, Verification::Off);
    assert_eq!(done["time"], "2026-02-02T02:02:02Z");
    assert_eq!(done["data"]["message"], "the client was created; its gateway foo was not verified");
}

#[test]
fn failed_says_why_there_is_none() {
    let expected = json!({
        "specversion": "1.0",
        "id": "6460836a-dc43-50e4-9c2f-0e48101627fe",
        "type": "io.podgateway.client.scheduling.failed",
        "source": "podgateway/eventing/client/provisioner",
        "time": "2026-02-02T02:02:02Z",
        "causationid": "1",
        "correlationid": "1",
        "datacontenttype": "application/json",
        "data": {
            "message": "send a new event",
            "reason": "EventExpired",
            "gateway_name": "foo",
            "pending_event": {"source": "/test", "id": "1"},
        },
    });
    assert_eq!(failed_with(&context("/test", "1"), Some("foo")), expected);
}

#[test]
fn a_gateway_that_could_not_be_read_or_is_too_long_to_be_one_is_null() {
    for gateway in [None, Some("x".repeat(2_000))] {
        let failed = failed_with(&context("/test", "1"), gateway.as_deref());
        assert_eq!(failed["data"].get("gateway_name"), Some(&Value::Null));
    }
}

#[test]
fn an_answer_carries_the_correlation_and_the_trace() {
    let text = |text: &str| Some(text.to_owned());
    let (correlation_id, traceparent, tracestate) = (text("c"), text("00-x"), text("k=v"));
    let context = Context { correlation_id, traceparent, tracestate, ..context("/test", "1") };
    for answer in [done_with(&context, &json!({}), Verification::Required), failed_with(&context, None)] {
        let extensions = ["causationid", "correlationid", "traceparent", "tracestate"].map(|name| &answer[name]);
        assert_eq!(json!(extensions), json!(["1", "c", "00-x", "k=v"]));
    }
}
