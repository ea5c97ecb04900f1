//! The API server ends and comes back, at its old address, while events are delivered.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tests::{Provisioner, Reply, pending};
use tokio::sync::watch;

use crate::cluster::Cluster;
use crate::exactly_once::{assert_exactly_once, gateway_of, gateways};
use crate::gateway::FOO;
use crate::harness::Test;
use crate::namespace::{ROUTED, with_namespace};
use crate::outcome::deliver;
use crate::senders::{AUDIENCE, assert_refused, by, token_for};

const EVENTS: usize = 40;
const AT_ONCE: usize = 8;
const BACKOFF: Duration = Duration::from_millis(50);

/// The tests.
pub fn tests() -> Vec<Test> {
    vec![Test::new("an API server that is killed and comes back costs retries and nothing else", |cluster| async {
        in_a_create(cluster.clone()).await;
        anywhere(cluster).await;
    })]
}

/// At a known point: the API server is waiting for the gateway's webhook.
async fn in_a_create(cluster: Arc<Cluster>) {
    with_namespace(cluster, "outage", &[ROUTED], |namespace| async move {
        let webhook = FOO.serve(&namespace).await;
        let provisioner = namespace.provisioner(&[]);
        let asked = namespace.provisioner(&[("sender_audience", AUDIENCE)]);
        let token = token_for(&namespace, "default", AUDIENCE).await;
        webhook.set_slow(true);
        let (answer, ()) = tokio::join!(deliver(&provisioner, "held"), async {
            webhook.holds().await;
            namespace.cluster.kill_api_server();
        });
        assert_eq!(answer, "503");
        assert_eq!(deliver(&provisioner, "held").await, "503");
        // Nobody can say whose a sender's token is.
        assert_refused(&asked.deliver(by(&token, "held")).await, 503, "can't be reviewed");
        webhook.set_slow(false);
        namespace.cluster.start_api_server().await.expect("the API server comes back");
        assert_eq!(deliver(&provisioner, "held").await, "`done`");
    })
    .await;
}

/// At any point, with as much under way as comes together.
async fn anywhere(cluster: Arc<Cluster>) {
    with_namespace(cluster, "outage", &[ROUTED], |namespace| async move {
        let _gateways = gateways(&namespace).await;
        let provisioner = Arc::new(namespace.provisioner(&[]));
        let (answered, mut so_far) = watch::channel(0);
        let deliveries = (0..EVENTS).map(|event| {
            let (provisioner, answered) = (provisioner.clone(), answered.clone());
            async move {
                let reply = until_answered(&provisioner, event).await;
                answered.send_modify(|answered| *answered += 1);
                (event, reply)
            }
        });
        let all = futures::stream::iter(deliveries).buffer_unordered(AT_ONCE).collect::<Vec<_>>();
        let (replies, ()) = tokio::join!(all, async {
            so_far.wait_for(|answered| *answered >= EVENTS / 4).await.expect("the sender is above");
            namespace.cluster.kill_api_server();
            namespace.cluster.start_api_server().await.expect("the API server comes back");
        });
        assert_exactly_once(&namespace, &replies).await;
    })
    .await;
}

/// Delivers again and again, with the pause that a broker makes.
///
/// An API server that is starting listens before it knows its roles, and refuses those who have rights with the same
/// 403 as those who have none. The provisioner asks whether it is ready before it believes that. One moment is left, in
/// which the roles arrive between a refused create and the look for its Pod: that is final, and leaves no Pod.
async fn until_answered(provisioner: &Provisioner, event: usize) -> Reply {
    loop {
        let reply = provisioner.deliver(pending(&event.to_string(), gateway_of(event))).await;
        match reply.status.as_u16() {
            200 if reply.json()["reason"] == "Forbidden" => {
                println!("event {event}: refused in the moment in which the roles arrived");
            }
            200 => return reply,
            429 | 503 => tokio::time::sleep(BACKOFF).await,
            other => panic!("{other}: {reply:?}"),
        }
    }
}
