//! What whoever looks at the page can do to a client that runs.

use cloudevents::{EventBuilder, EventBuilderV10};
use provisioner::event::TERMINATION;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::Watched;
use super::clients::Client;
use crate::kubernetes::Fate;

/// How a client is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// An event asks for its end.
    Terminate,
    /// Its command ends well.
    Complete,
    /// Its command ends with an error.
    Fail,
    /// Its node goes.
    LoseNode,
}

impl Act {
    /// Every act, with its name on the wire and for a person.
    pub const ALL: [(Self, &'static str, &'static str); 4] = [
        (Self::Terminate, "terminate", "Terminate"),
        (Self::Complete, "complete", "Let it complete"),
        (Self::Fail, "fail", "Let it fail"),
        (Self::LoseNode, "lose-node", "Lose its node"),
    ];

    /// Does it to the client; false where that is not possible any more.
    pub fn on(self, client: &Client, watched: &Watched) -> bool {
        let meet = |fate| watched.api.as_ref().is_some_and(|api| api.meet(&client.uid, fate));
        match self {
            Self::Complete => meet(Fate::Exit(0)),
            Self::Fail => meet(Fate::Exit(1)),
            Self::LoseNode => meet(Fate::NodeLost),
            Self::Terminate => {
                let pending = json!({"source": client.event_source, "id": client.event_id});
                let event = EventBuilderV10::new().id(Uuid::new_v4().to_string()).source("/page").ty(TERMINATION);
                let event =
                    event.time(chrono::Utc::now()).data("application/json", json!({ "pending_event": pending }));
                event.build().is_ok_and(|event| watched.broker.publish(event))
            }
        }
    }
}
