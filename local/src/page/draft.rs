//! A pending event before it is sent: the fields of the form.

use cloudevents::{Event, EventBuilder};
use provisioner::event::PENDING;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::broker::new_event;

/// The `source` of events that somebody sends from the page and hasn't given another.
const SOURCE: &str = "/page";

/// What the form holds. A field that is missing is empty.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Draft {
    /// The event's `source`.
    pub source: String,
    /// The event's `id`.
    pub id: String,
    /// The gateway asked for: any text, for one that is none is worth a try.
    pub gateway: String,
    /// Free text that goes along.
    pub message: String,
}

impl Draft {
    /// The next event to send after this one: the same request, with an id of its own.
    pub fn next(&self) -> Self {
        let or = |text: &str, other: &str| if text.is_empty() { other.to_owned() } else { text.to_owned() };
        Self {
            source: or(&self.source, SOURCE),
            id: Uuid::new_v4().to_string(),
            gateway: or(&self.gateway, "foo"),
            message: self.message.clone(),
        }
    }

    /// The query of the page that tells what became of it.
    pub fn query(&self) -> String {
        let fields =
            [("source", &self.source), ("id", &self.id), ("gateway", &self.gateway), ("message", &self.message)];
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
    }

    /// The event.
    ///
    /// # Errors
    /// What is wrong with a field, and what to do about it.
    pub fn event(&self) -> Result<Event, String> {
        for (name, value) in [("id", &self.id), ("source", &self.source)] {
            if value.is_empty() {
                return Err(format!("An event needs its {name}: type one, or reload the page for a new one."));
            }
        }
        let mut data = json!({ "gateway_name": self.gateway });
        if !self.message.is_empty() {
            data["message"] = json!(self.message);
        }
        let event = new_event(&self.source, PENDING, data).id(&self.id).build();
        event.map_err(|error| format!("This can't be an event: {error}. A source is a URI such as /page."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudevents::AttributesReader;

    #[test]
    fn a_draft_becomes_a_pending_event() {
        let draft = Draft { message: "hello".into(), ..Draft::default().next() };
        let event = draft.event().unwrap();
        assert_eq!((event.ty(), event.id(), event.source().as_str()), (PENDING, draft.id.as_str(), "/page"));
        assert_eq!(crate::broker::json_data(&event).unwrap(), json!({"gateway_name": "foo", "message": "hello"}));
    }

    #[test]
    fn the_next_draft_has_another_id_and_the_same_wish() {
        let draft = Draft { source: "/me".into(), gateway: "bar".into(), ..Draft::default() };
        let (one, two) = (draft.next(), draft.next());
        assert_eq!((one.source.as_str(), one.gateway.as_str()), ("/me", "bar"));
        assert_ne!(one.id, two.id);
    }

    #[test]
    fn a_field_that_is_missing_is_named() {
        let draft = Draft { source: String::new(), ..Draft::default().next() };
        assert!(draft.event().unwrap_err().contains("source"));
        let draft = Draft { id: String::new(), ..Draft::default().next() };
        assert!(draft.event().unwrap_err().contains("id"));
    }

    #[test]
    fn any_text_may_be_asked_for() {
        for gateway in ["", "<b>", "nope", "ä"] {
            let draft = Draft { gateway: gateway.into(), id: "1".into(), source: "/s".into(), ..Draft::default() };
            assert!(draft.event().is_ok());
        }
    }
}
