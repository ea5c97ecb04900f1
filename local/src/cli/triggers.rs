//! The Triggers of `deploy/`, for the command's broker.

use std::net::SocketAddr;

use http::Uri;
use provisioner::event::{ADDED, DELETED, PENDING, PING, TERMINATION, UPDATED};

use crate::broker::{Delivery, Filter, Trigger};

/// A path at an address.
fn uri(address: SocketAddr, path: &str) -> Uri {
    format!("http://{address}{path}").parse().expect("an address makes a URI")
}

/// What asks is answered by the provisioner's replies; the rest goes to `settling`, the same component with a sink, and so
/// does what a Trigger gives up on.
pub fn triggers(provisioner: SocketAddr, settling: SocketAddr) -> impl Iterator<Item = Trigger> {
    let dead_letter_sink = Some(uri(settling, "/dead-letter"));
    let trigger = move |address, ty| {
        let trigger = Trigger::new(uri(address, "/"), Filter::of_type(ty));
        Trigger { dead_letter_sink: dead_letter_sink.clone(), ..trigger }
    };
    let sweep = Trigger::new(uri(settling, "/"), Filter::of_type(PING));
    // Once: the next ping does what this one left.
    let sweep = Trigger { delivery: Delivery { retry: 0, ..Delivery::default() }, ..sweep };
    let asked = [PENDING, TERMINATION].map(|ty| trigger(provisioner, ty));
    let changes = [ADDED, UPDATED, DELETED].map(|ty| trigger(settling, ty));
    asked.into_iter().chain(changes).chain([sweep])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_trigger_gives_up_on_is_settled_but_for_a_ping() {
        let [provisioner, settling] = [1, 2].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let triggers: Vec<_> = triggers(provisioner, settling).collect();
        assert_eq!(triggers.len(), 6);
        for (ty, port) in [(PENDING, 1), (TERMINATION, 1), (ADDED, 2), (UPDATED, 2), (DELETED, 2), (PING, 2)] {
            let trigger = triggers.iter().find(|trigger| trigger.filter == Filter::of_type(ty)).unwrap();
            assert_eq!(trigger.subscriber.to_string(), format!("http://127.0.0.1:{port}/"), "{ty}");
            let dead_letters = trigger.dead_letter_sink.as_ref().map(ToString::to_string);
            let expected = if ty == PING { (0, None) } else { (10, Some("http://127.0.0.1:2/dead-letter".to_owned())) };
            assert_eq!((trigger.delivery.retry, dead_letters), expected, "{ty}");
        }
    }
}
