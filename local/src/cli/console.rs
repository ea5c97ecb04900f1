//! What happens, one line each, on stdout; the component's own log goes to stderr.

use chrono::Local;
use serde_json::Value;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::broker::BrokerEvent;
use crate::kubernetes::{ChangeKind, PodChange};

/// Prints what passes the broker, until it stops.
pub async fn print_events(mut events: Receiver<BrokerEvent>) {
    while let Some(event) = next(&mut events).await {
        println!("{event}");
    }
}

/// Prints what becomes of the Pods, until the API stops.
pub async fn print_pods(mut changes: Receiver<PodChange>) {
    while let Some(change) = next(&mut changes).await {
        if let Some(line) = pod_line(&change) {
            println!("{}  {line}", Local::now().format("%H:%M:%S%.3f"));
        }
    }
}

/// The next one, past those that came too fast to be printed.
async fn next<T: Clone>(receiver: &mut Receiver<T>) -> Option<T> {
    loop {
        match receiver.recv().await {
            Ok(item) => return Some(item),
            Err(RecvError::Lagged(_)) => (),
            Err(RecvError::Closed) => return None,
        }
    }
}

fn pod_line(change: &PodChange) -> Option<String> {
    let what = match change.kind {
        ChangeKind::Created if is_gated(&change.pod) => "created, gated",
        ChangeKind::Created => "created",
        ChangeKind::Released => "released",
        ChangeKind::Deleted => "deleted",
        ChangeKind::Updated => return None,
    };
    let metadata = &change.pod["metadata"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let name = format!("{}/{}", text(&metadata["namespace"]), text(&metadata["name"]));
    Some(format!("{:<11}  {name}  {what}{}", "pod", containers(&change.pod)))
}

fn is_gated(pod: &Value) -> bool {
    pod["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty())
}

fn containers(pod: &Value) -> String {
    let lists = ["initContainers", "containers"].map(|list| pod["spec"][list].as_array().cloned().unwrap_or_default());
    let names: Vec<String> = lists.iter().flatten().filter_map(|c| c["name"].as_str().map(str::to_owned)).collect();
    format!("  [{}]", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
}
