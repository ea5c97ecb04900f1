//! What is retried, and after how long.
//!
//! In: the status that a subscriber answered with, the number of the attempt. Out: whether to try again, a delay. The rules
//! are Knative's `SelectiveRetry` and its backoff; `Retry-After` is not honoured, as in Knative without `retryAfterMax`.

use std::time::Duration;

/// Whether another attempt may succeed, by the status of what was no success; `None` is no answer at all.
pub fn can_heal(status: Option<u16>) -> bool {
    // 404: a subscriber that is becoming ready answers so.
    matches!(status, None | Some(404 | 408 | 409 | 429 | 500..))
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

    #[test]
    fn linear_delays_start_at_once() {
        let backoff_policy = BackoffPolicy::Linear;
        let delivery = Delivery { backoff_policy, ..Delivery::default() };
        assert_eq!(delivery.delay(0), Duration::ZERO);
        assert_eq!(delivery.delay(3), Duration::from_millis(600));
    }
}
