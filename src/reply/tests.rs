use super::*;
use crate::pod::Pod;
use crate::reason::Reason;
use crate::state::State;
use crate::testing::{client_ended, client_running, context, merged, now, routed, wanted};

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
        // The Pod's creation, so that a repeated answer is the same.
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

fn observed(pod: Value) -> Observed {
    serde_json::from_value(pod).unwrap()
}

fn running_with(change: &Value) -> Value {
    let pod = observed(merged(client_running(routed(wanted(&[]))), change));
    let State::Running(Some(since)) = pod.state() else { panic!("it runs") };
    json!(running(&pod, &pod.metadata.context().unwrap(), "foo", Verification::Required, since))
}

fn ended_with(change: &Value) -> Value {
    let pod = observed(merged(client_ended(routed(wanted(&[])), 7), change));
    json!(ended(&pod, &pod.metadata.context().unwrap(), "foo", &pod.end(), now()))
}

#[test]
fn running_says_so_where_nobody_looked_at_the_gateway() {
    let pod = observed(client_running(routed(wanted(&[]))));
    let event = json!(running(&pod, &pod.metadata.context().unwrap(), "foo", Verification::Off, now()));
    assert_eq!(event["data"]["message"], "the client runs; its gateway was not verified");
}

#[test]
fn running_says_where_and_since_when() {
    let expected = json!({
        "specversion": "1.0",
        "id": "febcd198-a28d-57dd-927c-1e7158d63907",
        "type": "io.podgateway.client.running",
        "source": "podgateway/eventing/client/provisioner",
        "subject": "default/6ae65cff-3704-5f31-ae9d-cd15c7833b0c",
        "time": "2026-01-01T01:00:00Z",
        "causationid": "1",
        "correlationid": "1",
        "datacontenttype": "application/json",
        "data": {
            "message": "the client runs behind its gateway",
            "pod_name": "6ae65cff-3704-5f31-ae9d-cd15c7833b0c",
            "namespace": "default",
            "gateway_name": "foo",
            "pod_uid": "4d5e6f70-0000-4000-8000-000000000001",
            "pod_ip": "10.0.0.7",
            "node_name": "node-1",
            "started_at": "2026-01-01T01:00:00Z",
            "pending_event": {"source": "/test", "id": "1"},
        },
    });
    assert_eq!(running_with(&json!({})), expected);
}

#[test]
fn ended_says_why_and_when() {
    let expected = json!({
        "specversion": "1.0",
        "id": "7bd788ce-204d-5009-a225-781250efaa0e",
        "type": "io.podgateway.client.ended",
        "source": "podgateway/eventing/client/provisioner",
        "subject": "default/6ae65cff-3704-5f31-ae9d-cd15c7833b0c",
        "time": "2026-01-01T01:00:00Z",
        "causationid": "1",
        "correlationid": "1",
        "datacontenttype": "application/json",
        "data": {
            "message": "the client has ended",
            "pod_name": "6ae65cff-3704-5f31-ae9d-cd15c7833b0c",
            "namespace": "default",
            "gateway_name": "foo",
            "pod_uid": "4d5e6f70-0000-4000-8000-000000000001",
            "reason": "Error",
            "exit_code": 7,
            "ended_at": "2026-01-01T01:00:00Z",
            "pending_event": {"source": "/test", "id": "1"},
        },
    });
    assert_eq!(ended_with(&json!({})), expected);
    let said = json!({"status": {"message": "x".repeat(5_000)}});
    assert_eq!(ended_with(&said)["data"]["message"], "x".repeat(2_048));
}

#[test]
fn a_reports_id_is_the_pods_and_its_types_whatever_else_changes() {
    let elsewhere = json!({"spec": {"nodeName": "node-2"}, "status": {"podIP": null}, "metadata": {"annotations": {
        "podgateway.io/reported": "running", "podgateway.io/correlation-id": "c",
    }}});
    let other = json!({"metadata": {"uid": "other"}});
    for told in [running_with, ended_with] {
        assert_eq!(told(&elsewhere)["id"], told(&json!({}))["id"]);
        assert_ne!(told(&other)["id"], told(&json!({}))["id"]);
        assert_eq!(told(&elsewhere)["correlationid"], "c");
    }
    assert_ne!(running_with(&json!({}))["id"], ended_with(&json!({}))["id"]);
}

#[test]
fn a_termination_is_answered_with_the_client_that_it_is_about() {
    let (asking, pending) = (context("/me", "2"), context("/test", "1"));
    let answer = |ended| json!(termination(&asking, Some(&pending), &ended, now()));
    let expected = json!({
        "specversion": "1.0",
        "id": "a98ee2de-44d2-5ee8-8568-361a4f882b38",
        "type": "io.podgateway.client.termination.done",
        "source": "podgateway/eventing/client/provisioner",
        "time": "2026-02-02T02:02:02Z",
        "causationid": "2",
        "correlationid": "2",
        "datacontenttype": "application/json",
        "data": {
            "message": "the client is ending: if it ever ran, an ended event follows",
            "pod_name": "6ae65cff-3704-5f31-ae9d-cd15c7833b0c",
            "pending_event": {"source": "/test", "id": "1"},
        },
    });
    assert_eq!(answer(Ok(true)), expected);
    let absent = answer(Ok(false));
    assert_eq!(
        (&absent["id"], &absent["data"]["message"]),
        (&expected["id"], &json!("there is no client of this event"))
    );
    let failed = answer(Err(Failure::new(Reason::PodNameConflict, "x".repeat(5_000))));
    assert_eq!((&failed["type"], &failed["data"]["reason"]), (&json!(NOT_TERMINATED), &json!("PodNameConflict")));
    assert_eq!(failed["data"]["message"], "x".repeat(2_048));
    assert_ne!(failed["id"], expected["id"]);
}
