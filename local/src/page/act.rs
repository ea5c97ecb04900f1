//! What whoever looks at the page can do to a client that runs.

use cloudevents::EventBuilder;
use provisioner::event::TERMINATION;
use provisioner::pod::{EVENT_ID, EVENT_SOURCE};
use serde::Deserialize;
use serde_json::json;

use super::Watched;
use super::clients::Client;
use crate::broker::new_event;
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
    /// Does it to the client; false where that is not possible any more.
    pub fn on(self, client: &Client, watched: &Watched) -> bool {
        let meet = |fate| watched.api.as_ref().is_some_and(|api| api.meet(&client.pod.metadata.uid, fate));
        match self {
            Self::Complete => meet(Fate::Exit(0)),
            Self::Fail => meet(Fate::Exit(1)),
            Self::LoseNode => meet(Fate::NodeLost),
            Self::Terminate => {
                let pending = json!({"source": client.annotation(EVENT_SOURCE), "id": client.annotation(EVENT_ID)});
                let data = json!({ "pending_event": pending });
                watched.broker.publish(new_event("/page", TERMINATION, data).build().expect("it has every attribute"))
            }
        }
    }
}
