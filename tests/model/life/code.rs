//! What the code does next, and how the world's words are those of an API server.

use http::Request;
use provisioner::context::name_based_uuid;
use provisioner::event::{DELETED, PING, UPDATED};
use provisioner::outbound;
use provisioner::pod::REPORTED;
use provisioner::testing::{self, client_ended, client_running, merged, released, routed, wanted};
use serde_json::{Value, json};

use super::{Answer, At, Call, Deleted, Event, Next, Pod, Told};
use crate::code::SINK;
use crate::run::{Stop, run};

/// A Pod as an API server has it. It ends at 01:00, and is deleted half an hour before or after that.
fn object(pod: Pod) -> Value {
    let made = routed(wanted(&[]));
    let object = match pod.at {
        At::Waiting => released(made),
        At::Running => client_running(made),
        At::Ended => client_ended(made, 0),
    };
    let deleted = match pod.deleted {
        Deleted::No => json!(null),
        Deleted::BeforeItsEnd => json!("2026-01-01T00:30:00Z"),
        Deleted::AfterItsEnd => json!("2026-01-01T01:30:00Z"),
    };
    let told = pod.told.map(|told| format!("{told:?}").to_lowercase());
    merged(object, &json!({"metadata": {"deletionTimestamp": deleted, "annotations": {REPORTED: told}}}))
}

fn wire(answer: Answer) -> outbound::Answer {
    match answer {
        Answer::Found(pod) => testing::object(200, &object(pod)),
        Answer::Listed(pod) => {
            let items: Vec<_> = pod.map(object).into_iter().collect();
            testing::object(200, &json!({"metadata": {}, "items": items}))
        }
        Answer::NotFound => testing::status(404, "NotFound", "as the model says"),
        Answer::Taken => testing::object(200, &json!({})),
        Answer::Nothing => testing::cut(),
    }
}

/// The next step of a delivery that got these answers.
pub fn next(event: Event, answers: &[Answer]) -> Next {
    let (ty, data) = match event {
        Event::Change(pod) => (UPDATED, object(pod)),
        Event::Deletion(pod) => (DELETED, object(pod)),
        Event::Ping => (PING, json!({})),
    };
    let answers = answers.iter().map(|answer| wire(*answer)).collect();
    match run(testing::event("/", ty, data.to_string()), &[("k_sink", SINK)], answers) {
        Stop::Call(request) => Next::Call(call(&request)),
        Stop::Response(response) if response.status() == 202 => Next::Over,
        Stop::Response(_) => Next::Retry,
    }
}

/// Reads a call; one that the model has no name for is a failure of the model.
fn call(request: &Request<Vec<u8>>) -> Call {
    let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
    if request.uri() == SINK {
        return report(request.headers(), &body);
    }
    let uid = &object(Pod { at: At::Waiting, deleted: Deleted::No, told: None })["metadata"]["uid"];
    match (request.method().as_str(), request.uri().query()) {
        ("GET", Some(_)) => Call::List,
        ("GET", None) => Call::Look,
        ("PATCH", None) => {
            assert_eq!(body["metadata"]["uid"], *uid);
            Call::Note(if body["metadata"]["annotations"][REPORTED] == "ended" { Told::Ended } else { Told::Running })
        }
        ("DELETE", None) => {
            assert_eq!((&body["preconditions"]["uid"], body.get("gracePeriodSeconds")), (uid, None));
            Call::Delete
        }
        other => panic!("{other:?}"),
    }
}

fn report(headers: &http::HeaderMap, data: &Value) -> Call {
    let ty = headers["ce-type"].to_str().unwrap();
    let id = name_based_uuid(&[data["pod_uid"].as_str().unwrap(), ty]).to_string();
    assert_eq!(headers["ce-id"], id, "equal reports are the same event");
    match ty.rsplit('.').next().unwrap() {
        "running" => Call::Running,
        "ended" => {
            let reasons = ["Completed", "Deleted"];
            let reason = reasons.into_iter().find(|reason| data["reason"] == *reason);
            Call::Ended { reason: reason.unwrap_or_else(|| panic!("{data}")) }
        }
        other => panic!("{other}"),
    }
}
