//! The API server ends and comes back, at its old address, while events are delivered.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tests::cluster::webhook::State;
use tests::cluster::{Cluster, FOO, Namespace, ROUTED};
use tests::{Provisioner, pending};

use crate::outcome::{assert_pods, deliver, outcome_of};

const EVENTS: usize = 100;
const BACKOFF: Duration = Duration::from_millis(50);

/// It ends while it waits for the gateway's webhook, and once more with as much under way as comes together.
pub async fn an_api_server_that_is_killed_and_comes_back_costs_retries_and_nothing_else(cluster: Arc<Cluster>) {
    let namespace = Namespace::create(cluster, "outage", &[ROUTED]).await;
    let webhook = FOO.serve(&namespace).await;
    let provisioner = namespace.provisioner(&[]);
    webhook.set(State::Slow);
    let (answer, ()) = tokio::join!(deliver(&provisioner, "0"), async {
        webhook.is_asked().await;
        namespace.cluster.kill_api_server();
    });
    assert_eq!([answer, deliver(&provisioner, "0").await], ["503", "503"]);
    webhook.set(State::Up);
    let events = join_all((0..EVENTS).map(|event| until_done(&provisioner, event.to_string())));
    tokio::join!(events, async {
        namespace.cluster.start_api_server().await;
        namespace.cluster.kill_api_server();
        namespace.cluster.start_api_server().await;
    });
    assert_pods(&namespace, EVENTS).await;
}

/// Delivers again and again, with the pause that a broker makes.
///
/// An API server that is starting listens before it knows its roles, and refuses those who have rights with the same
/// 403 as those who have none. The provisioner asks whether it is ready before it believes that. One moment is left, in
/// which the roles arrive between a refused create and the look for its Pod: that is final, and leaves no Pod.
async fn until_done(provisioner: &Provisioner, event: String) {
    loop {
        let reply = provisioner.deliver(pending(&event, "foo")).await;
        match reply.status.as_u16() {
            200 if reply.json()["reason"] == "Forbidden" => {
                println!("event {event}: refused in the moment in which the roles arrived");
            }
            200 => return assert_eq!(outcome_of(&reply), "`done`"),
            429 | 503 => tokio::time::sleep(BACKOFF).await,
            other => panic!("{other}: {reply:?}"),
        }
    }
}
