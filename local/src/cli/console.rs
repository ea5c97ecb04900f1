//! What happens, one line each, on stdout; the component's own log goes to stderr.

use std::io;

use anstyle::Style;
use chrono::{Local, Utc};
use cloudevents::AttributesReader;
use provisioner::pod::{each, text};
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;

use super::output::{BAD, GOOD, Output, PLAIN, WAIT, coloured, print_json, print_line};
use crate::broker::{BrokerEvent, Passed};
use crate::kubernetes::{ChangeKind, PodChange, is_gated};
use crate::sync::for_each;

/// Prints what passes the broker, until it stops.
pub async fn print_events(events: Receiver<BrokerEvent>, output: Output) {
    print_all(events, output, |event| match output {
        Output::Text if event.is_routine() => Ok(()),
        Output::Text => print_line(coloured(&event.to_string(), tone(event))),
        Output::Json => print_json(event),
    })
    .await;
}

/// Prints what becomes of the Pods, until the API stops.
pub async fn print_pods(changes: Receiver<PodChange>, output: Output) {
    print_all(changes, output, |change| match (output, pod_line(change)) {
        (Output::Json, _) => print_json(&pod_json(change)),
        (Output::Text, Some(line)) => print_timed(&line),
        (Output::Text, None) => Ok(()),
    })
    .await;
}

/// Prints one after the other, for as long as there is room, and how many came too fast to be printed. If nobody reads,
/// printing waits for ever, and nothing else must wait with it.
async fn print_all<T: Clone>(all: Receiver<T>, output: Output, print: impl Fn(&T) -> io::Result<()>) {
    let missed = |count| print_missed(count, output);
    for_each(all, |next| tokio::task::block_in_place(|| next.map_or_else(missed, |item| print(&item))).ok()).await;
}

fn print_missed(count: u64, output: Output) -> io::Result<()> {
    match output {
        Output::Text => print_timed(&format!("{:<11}  {count} steps came too fast to be printed", "missed")),
        Output::Json => print_json(&json!({"at": Utc::now(), "kind": "missed", "count": count})),
    }
}

fn print_timed(line: &str) -> io::Result<()> {
    print_line(coloured(&format!("{}  {line}", Local::now().format("%H:%M:%S%.3f")), PLAIN))
}

fn tone(event: &BrokerEvent) -> Style {
    let of_type = |ty: &str| match ty.rsplit('.').next() {
        Some("done") => GOOD,
        Some("failed") => BAD,
        _ => PLAIN,
    };
    match &event.kind {
        Passed::Received | Passed::Delivered { .. } => of_type(event.event.ty()),
        Passed::Reply { ty } => of_type(ty),
        Passed::Retry { .. } => WAIT,
        Passed::DeadLettered { .. } => BAD,
        Passed::Unmatched | Passed::DeadLetterSink { .. } => PLAIN,
    }
}

fn pod_json(change: &PodChange) -> Value {
    json!({"at": Utc::now(), "kind": format!("pod{:?}", change.kind), "pod": change.pod})
}

fn pod_line(PodChange { kind, pod }: &PodChange) -> Option<String> {
    let what = match kind {
        ChangeKind::Created if is_gated(pod) => "created, gated",
        ChangeKind::Created => "created",
        ChangeKind::Released => "released",
        ChangeKind::Deleted => "deleted",
        ChangeKind::Updated => return None,
    };
    let [namespace, name] = ["namespace", "name"].map(|field| text(&pod["metadata"][field]));
    let containers = ["initContainers", "containers"].into_iter().flat_map(|list| each(&pod["spec"][list]));
    let containers = containers.map(|container| text(&container["name"])).collect::<Vec<_>>().join(", ");
    Some(format!("{:<11}  {namespace}/{name}  {what}  [{containers}]", "pod"))
}

#[cfg(test)]
mod tests {
    use super::*;

    use cloudevents::{EventBuilder, EventBuilderV10};
    use provisioner::event::PENDING;

    const DONE: &str = "io.podgateway.client.scheduling.done";
    const FAILED: &str = "io.podgateway.client.scheduling.failed";

    #[test]
    fn a_line_says_what_became_of_which_pod() {
        let pod = json!({
            "metadata": {"namespace": "n", "name": "p"},
            "spec": {"containers": [{"name": "client"}], "schedulingGates": [{"name": "g"}]},
        });
        let line = |kind| pod_line(&PodChange { kind, pod: pod.clone() });
        assert_eq!(line(ChangeKind::Created).unwrap(), "pod          n/p  created, gated  [client]");
        assert_eq!(line(ChangeKind::Deleted).unwrap(), "pod          n/p  deleted  [client]");
        assert_eq!(line(ChangeKind::Updated), None);
    }

    #[test]
    fn an_object_says_what_became_of_which_pod() {
        let pod = json!({"metadata": {"name": "p"}});
        let object = pod_json(&PodChange { kind: ChangeKind::Released, pod: pod.clone() });
        assert_eq!((&object["kind"], &object["pod"]), (&json!("podReleased"), &pod));
        assert!(object["at"].as_str().unwrap().ends_with('Z'));
    }

    #[track_caller]
    fn check_tone(kind: Passed, ty: &str, expected: Style) {
        let event = EventBuilderV10::new().id("1").source("/s").ty(ty).build().unwrap();
        assert_eq!(tone(&BrokerEvent { number: 1, at: Utc::now(), kind, subscriber: None, event }), expected);
    }

    #[test]
    fn what_ends_well_and_what_does_not_differ_in_tone() {
        let reply = |ty: &str| Passed::Reply { ty: ty.to_owned() };
        check_tone(reply(DONE), PENDING, GOOD);
        check_tone(reply(FAILED), PENDING, BAD);
        check_tone(Passed::Received, PENDING, PLAIN);
        check_tone(Passed::Received, DONE, GOOD);
        check_tone(Passed::DeadLettered { reason: String::new() }, PENDING, BAD);
        check_tone(Passed::Retry { attempt: 1, status: None, delay_seconds: 0.0 }, PENDING, WAIT);
    }
}
