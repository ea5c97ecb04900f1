//! The extensions that a Knative broker writes on an event.
//!
//! `knativebrokerttl` counts how often a chain of replies may still pass; it
//! is taken off before a delivery and put back on the reply.
//! `knativearrivaltime` is when the ingress took the event in, and
//! `knativeerror…` why it is a dead letter.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use cloudevents::Event;
use cloudevents::event::ExtensionValue;

const TTL: &str = "knativebrokerttl";
const ARRIVAL_TIME: &str = "knativearrivaltime";
const DEFAULT_TTL: i64 = 255;
const ERROR_DATA_LIMIT: usize = 1024;

/// Marks an event that comes in, and says whether it may pass: a chain of
/// replies that has used up its TTL may not.
pub fn arrive(event: &mut Event, now: DateTime<Utc>) -> bool {
    let time = now.to_rfc3339_opts(SecondsFormat::Nanos, true);
    event.set_extension(ARRIVAL_TIME, time);
    let ttl = read(event).map_or(DEFAULT_TTL, |ttl| (ttl - 1).max(0));
    set(event, ttl);
    ttl > 0
}

/// Takes the TTL off an event that goes to the subscriber.
pub fn take(event: &mut Event) -> i64 {
    let ttl = read(event).unwrap_or_default();
    event.remove_extension(TTL);
    ttl
}

/// Puts it back on the reply.
pub fn set(event: &mut Event, ttl: i64) {
    event.set_extension(TTL, ttl);
}

fn read(event: &Event) -> Option<i64> {
    match event.extension(TTL)? {
        ExtensionValue::Integer(ttl) => Some(*ttl),
        ExtensionValue::String(ttl) => ttl.parse().ok(),
        ExtensionValue::Boolean(_) => None,
    }
}

/// Writes on a dead letter where it could not be delivered to, and why.
pub fn mark_dead(event: &mut Event, destination: &str, code: u16, body: &[u8]) {
    let mut data = BASE64_STANDARD.encode(body);
    data.truncate(ERROR_DATA_LIMIT);
    event.set_extension("knativeerrordest", destination);
    event.set_extension("knativeerrorcode", i64::from(code));
    event.set_extension("knativeerrordata", data);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_event_has_255_passes_and_a_reply_one_less() {
        let mut event = Event::default();
        assert!(arrive(&mut event, Utc::now()));
        assert_eq!(take(&mut event), 255);
        assert_eq!(event.extension(TTL), None);
        set(&mut event, 255);
        assert!(arrive(&mut event, Utc::now()));
        assert_eq!(take(&mut event), 254);
    }

    #[test]
    fn ttl_is_read_as_number_and_as_text_and_stops_at_zero() {
        let mut event = Event::default();
        event.set_extension(TTL, "2");
        assert!(arrive(&mut event, Utc::now()));
        assert!(!arrive(&mut event, Utc::now()));
        assert!(!arrive(&mut event, Utc::now()));
    }

    #[test]
    fn error_data_is_base64_of_at_most_1024_characters() {
        let mut event = Event::default();
        mark_dead(&mut event, "http://x/", 500, &[b'a'; 4096]);
        let data = event.extension("knativeerrordata").unwrap().to_string();
        assert_eq!(data.len(), 1024);
        assert!(data.starts_with("YWFh"));
    }
}
