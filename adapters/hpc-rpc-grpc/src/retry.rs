//! When a failed call is tried again: idempotent methods, UNAVAILABLE, and only while most calls succeed.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::chance;

/// Most attempts of one call, the first included.
pub(crate) const ATTEMPTS_MAX: u32 = 3;
/// Tokens of a full bucket, in thousandths. A failure takes 1,000; retries stop at half.
const TOKENS_MAX: u32 = 10_000;
const TOKENS_PER_FAILURE: u32 = 1_000;
const TOKENS_PER_SUCCESS: u32 = 100;
const BACKOFF_FIRST: Duration = Duration::from_millis(20);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// The retry throttle of gRPC A6, one for a channel: ten tokens, one a failure, a tenth back a success.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    tokens: AtomicU32,
}

impl RetryBudget {
    pub(crate) fn new() -> Self {
        Self { tokens: AtomicU32::new(TOKENS_MAX) }
    }

    pub(crate) fn succeeded(&self) {
        let _ = self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tokens| {
            (tokens < TOKENS_MAX).then(|| (tokens + TOKENS_PER_SUCCESS).min(TOKENS_MAX))
        });
    }

    /// Counts a failure and says whether a retry is still within the budget.
    pub(crate) fn failed(&self) -> bool {
        let before = self
            .tokens
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tokens| {
                Some(tokens.saturating_sub(TOKENS_PER_FAILURE))
            })
            .unwrap_or_default();
        before.saturating_sub(TOKENS_PER_FAILURE) > TOKENS_MAX / 2
    }
}

/// Which methods may be sent twice.
#[derive(Debug, Default)]
pub(crate) struct Idempotent(pub(crate) HashSet<String>);

impl Idempotent {
    pub(crate) fn contains(&self, path: &str) -> bool {
        self.0.contains(path)
    }
}

/// The wait before attempt number `attempt` (the second is 2): doubling, with a fifth of jitter either way.
pub(crate) fn backoff(attempt: u32, asked: Option<Duration>) -> Duration {
    let doubled = BACKOFF_FIRST.saturating_mul(1 << attempt.saturating_sub(2).min(10)).min(BACKOFF_MAX);
    let jittered = doubled.mul_f64(0.8 + 0.4 * chance::unit());
    asked.map_or(jittered, |asked| asked.min(BACKOFF_MAX).max(jittered))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_stop_when_half_the_budget_is_gone() {
        let budget = RetryBudget::new();
        let granted = (0..10).take_while(|_| budget.failed()).count();
        assert_eq!(granted, 4);
        assert!(!budget.failed());
    }

    #[test]
    fn successes_fill_the_budget_again() {
        let budget = RetryBudget::new();
        for _ in 0..20 {
            budget.failed();
        }
        for _ in 0..1000 {
            budget.succeeded();
        }
        assert_eq!(budget.tokens.load(Ordering::Relaxed), TOKENS_MAX);
        assert!(budget.failed());
    }

    #[test]
    fn the_wait_grows_and_is_bounded() {
        for attempt in 2..40 {
            assert!(backoff(attempt, None) <= BACKOFF_MAX.mul_f64(1.2));
        }
        assert!(backoff(2, None) < backoff(5, None));
        assert!(backoff(2, Some(Duration::from_millis(500))) >= Duration::from_millis(500));
    }
}
