//! What is retried, and after how long.
//!
//! In: the status that a subscriber answered with, the number of the attempt.
//! Out: a verdict, a delay. The rules are Knative's `SelectiveRetry` and its
//! backoff; `Retry-After` is not honoured, as in Knative without
//! `retryAfterMax`.

use std::time::Duration;

/// What an answer means for the delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The event has arrived.
    Delivered,
    /// Another attempt may succeed.
    Retry,
    /// None will: the event is a dead letter at once.
    GiveUp,
}

/// Judges a status; `None` is no answer at all.
pub fn verdict(status: Option<u16>) -> Verdict {
    match status {
        Some(200..=299) => Verdict::Delivered,
        // 404: a subscriber that is becoming ready answers so.
        None | Some(404 | 408 | 409 | 429 | 500..) => Verdict::Retry,
        Some(_) => Verdict::GiveUp,
    }
}

/// How delays grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackoffPolicy {
    /// Delay, twice the delay, four times the delay.
    Exponential,
    /// Nothing, the delay, twice the delay.
    Linear,
}

/// A Trigger's `spec.delivery`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// How many attempts follow the first.
    pub retry: u32,
    /// How delays grow.
    pub backoff_policy: BackoffPolicy,
    /// Where they start.
    pub backoff_delay: Duration,
    /// How long one attempt may take; without one, for ever.
    pub timeout: Option<Duration>,
}

impl Default for Delivery {
    /// What a Broker has that says nothing: ten retries, exponential from
    /// PT0.2S, about 205 seconds in all.
    fn default() -> Self {
        Self {
            retry: 10,
            backoff_policy: BackoffPolicy::Exponential,
            backoff_delay: Duration::from_millis(200),
            timeout: None,
        }
    }
}

impl Delivery {
    /// The delay before the retry that follows `retries` others.
    pub fn delay(&self, retries: u32) -> Duration {
        let factor = match self.backoff_policy {
            BackoffPolicy::Exponential => 2u32.saturating_pow(retries),
            BackoffPolicy::Linear => retries,
        };
        self.backoff_delay.saturating_mul(factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_judged_as_knative_judges_it() {
        let retried = |status| matches!(status, 404 | 408 | 409 | 429 | 500..);
        for status in 100..=599 {
            let expect = match status {
                200..=299 => Verdict::Delivered,
                _ if retried(status) => Verdict::Retry,
                _ => Verdict::GiveUp,
            };
            assert_eq!(verdict(Some(status)), expect, "{status}");
        }
        assert_eq!(verdict(None), Verdict::Retry);
    }

    #[test]
    fn default_delays_double_and_add_up_to_205_seconds() {
        let delivery = Delivery::default();
        let delays: Vec<_> = (0..delivery.retry).map(|n| delivery.delay(n)).collect();
        assert_eq!(delays[0], Duration::from_millis(200));
        assert_eq!(delays[3], Duration::from_millis(1600));
        assert_eq!(delays.iter().sum::<Duration>(), Duration::from_millis(204_600));
    }

    #[test]
    fn linear_delays_start_at_once() {
        let backoff_policy = BackoffPolicy::Linear;
        let delivery = Delivery { backoff_policy, ..Delivery::default() };
        assert_eq!(delivery.delay(0), Duration::ZERO);
        assert_eq!(delivery.delay(3), Duration::from_millis(600));
    }
}
