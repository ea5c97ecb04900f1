//! A Trigger: which events go to which subscriber, and how: what is retried, and after how long.
//!
//! The rules of delivery are Knative's `SelectiveRetry` and its backoff; `Retry-After` is not honoured, as in Knative without
//! `retryAfterMax`.
//!
//! As text, for the command line: `SUBSCRIBER[,ATTRIBUTE=VALUE]…`, for example
//! `http://127.0.0.1:9000/,type=io.podgateway.client.scheduling.done`.

use anyhow::{Context, ensure};
use cloudevents::Event;
use http::Uri;
use provisioner::cloudevents::is_attribute_name;
use provisioner::url::http_url;
use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

/// A Trigger of a Broker.
#[derive(Debug, Clone, PartialEq)]
pub struct Trigger {
    /// Which events go to the subscriber.
    pub filter: Filter,
    /// Where they go.
    pub subscriber: Uri,
    /// How they are delivered.
    pub delivery: Delivery,
    /// Where those go that cannot be delivered.
    pub dead_letter_sink: Option<Uri>,
}

impl Trigger {
    /// A Trigger with Knative's own delivery and no dead letter sink.
    pub fn new(subscriber: Uri, filter: Filter) -> Self {
        Self { filter, subscriber, delivery: Delivery::default(), dead_letter_sink: None }
    }
}

/// A Trigger's `spec.filter.attributes`: what each of these attributes has to be, exactly and in the same case. An empty
/// value stands for any, as long as the attribute is there. Without attributes every event matches, the subscriber's own
/// replies too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter(BTreeMap<String, String>);

impl Filter {
    /// A filter on `type` alone.
    pub fn of_type(ty: &str) -> Self {
        Self(BTreeMap::from([("type".to_owned(), ty.to_owned())]))
    }

    /// Whether an event matches every attribute.
    pub fn matches(&self, event: &Event) -> bool {
        self.0.iter().all(|(name, expected)| {
            let is_expected = |value: String| expected.is_empty() || *expected == value;
            event.iter().any(|(attribute, value)| attribute == name && is_expected(value.to_string()))
        })
    }
}

impl FromStr for Trigger {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (to, attributes) = text.split_once(',').map_or((text, None), |(to, rest)| (to, Some(rest)));
        let subscriber = to.parse().ok().filter(can_be_delivered_to).with_context(|| {
            format!(
                "{to:?} cannot be delivered to: write SUBSCRIBER[,ATTRIBUTE=VALUE]... with http://host:port/path first"
            )
        })?;
        let mut filter = Filter::default();
        for part in attributes.into_iter().flat_map(|attributes| attributes.split(',')) {
            let pair = part.split_once('=');
            let (name, value) =
                pair.with_context(|| format!("{part:?} is no ATTRIBUTE=VALUE; a value can hold no comma"))?;
            const RULE: &str = "those are of lower-case letters and digits, without \"ce-\"";
            ensure!(is_attribute_name(name), "{name:?} is no attribute's name: {RULE}");
            let before = filter.0.insert(name.to_owned(), value.to_owned());
            ensure!(before.is_none(), "{name} stands there twice: an event has one, so write two triggers");
        }
        Ok(Self::new(subscriber, filter))
    }
}

/// A Trigger's `spec.delivery`, with an exponential `backoffPolicy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// How many attempts follow the first.
    pub retry: u32,
    /// The delay before the first retry; each further delay is twice as long.
    pub backoff_delay: Duration,
    /// How long one attempt may take; without one, for ever.
    pub timeout: Option<Duration>,
}

impl Default for Delivery {
    /// What a Broker has that says nothing: ten retries, exponential from
    /// PT0.2S, about 205 seconds in all.
    fn default() -> Self {
        Self { retry: 10, backoff_delay: Duration::from_millis(200), timeout: None }
    }
}

impl Delivery {
    /// The delay before the retry that follows `retries` others.
    pub fn delay(&self, retries: u32) -> Duration {
        self.backoff_delay.saturating_mul(2u32.saturating_pow(retries))
    }
}

/// Whether another attempt may succeed, by the status of what was no success; `None` is no answer at all.
pub fn can_heal(status: Option<u16>) -> bool {
    // 404: a subscriber that is becoming ready answers so.
    matches!(status, None | Some(404 | 408 | 409 | 429 | 500..))
}

/// Whether a URI can be reached by plain HTTP.
pub fn can_be_delivered_to(uri: &Uri) -> bool {
    uri.scheme_str() == Some("http") && http_url(&uri.to_string()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudevents::{EventBuilder, EventBuilderV10};

    fn done() -> Event {
        let builder = EventBuilderV10::new().id("a").source("/provisioner").ty("x.done").subject("n/p");
        builder.extension("causationid", "1").extension("knativebrokerttl", 254).build().unwrap()
    }

    fn filter(text: &str) -> Filter {
        format!("http://h/{text}").parse::<Trigger>().unwrap().filter
    }

    #[test]
    fn every_attribute_has_to_match_exactly() {
        for matching in [
            "",
            ",type=x.done",
            ",causationid=1,type=x.done,source=/provisioner,id=a,subject=n/p,specversion=1.0",
            ",knativebrokerttl=254",
            ",causationid=",
        ] {
            assert!(filter(matching).matches(&done()), "{matching}");
        }
        for other in
            [",type=x", ",type=x.*", ",type=X.done", ",causationid=10", ",causationid=1,type=x", ",time=", ",nobody="]
        {
            assert!(!filter(other).matches(&done()), "{other}");
        }
    }

    #[test]
    fn text_is_the_subscriber_and_then_its_filter() {
        let trigger: Trigger = "http://127.0.0.1:9000/a?b=c,type=t,source=/s=1".parse().unwrap();
        assert_eq!(trigger.subscriber, "http://127.0.0.1:9000/a?b=c");
        let attributes = [("source", "/s=1"), ("type", "t")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(trigger.filter, Filter(BTreeMap::from(attributes)));
        assert_eq!("http://h".parse::<Trigger>().unwrap().filter, Filter::default());
        assert_eq!(filter(",type=t"), Filter::of_type("t"));
    }

    #[test]
    fn what_is_wrong_with_a_text_is_said_with_the_part_that_is() {
        for (text, expected) in [
            ("", "\"\" cannot be delivered to"),
            ("type=t", "\"type=t\" cannot be delivered to"),
            ("https://h/,type=t", "\"https://h/\" cannot be delivered to"),
            ("http://h:99999/", "\"http://h:99999/\" cannot be delivered to"),
            ("/path", "http://host:port/path"),
            ("http://h/,type", "\"type\" is no ATTRIBUTE=VALUE"),
            ("http://h/,subject=a,b", "\"b\" is no ATTRIBUTE=VALUE; a value can hold no comma"),
            ("http://h/,ce-type=t", "\"ce-type\" is no attribute's name"),
            ("http://h/,=t", "\"\" is no attribute's name"),
            ("http://h/,type=a,type=b", "type stands there twice"),
        ] {
            let error = text.parse::<Trigger>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn every_status_is_judged_as_knative_judges_it() {
        let retried = [404, 408, 409, 429].into_iter().chain(500..=599);
        assert!((300..=599).filter(|status| can_heal(Some(*status))).eq(retried));
        assert!(can_heal(None));
    }

    #[test]
    fn default_delays_double_and_add_up_to_205_seconds() {
        let delivery = Delivery::default();
        let delays: Vec<_> = (0..delivery.retry).map(|n| delivery.delay(n)).collect();
        assert_eq!(delays[0], Duration::from_millis(200));
        assert_eq!(delays[3], Duration::from_millis(1600));
        assert_eq!(delays.iter().sum::<Duration>(), Duration::from_millis(204_600));
    }
}
