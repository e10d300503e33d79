use std::time::{Duration, Instant};

/// Longest budget a deadline may be given; more is cut to this.
pub const BUDGET_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The instant after which nobody waits for the answer any more.
///
/// On the wire a deadline travels as the time left, and is turned back into an instant once, at arrival:
/// the clocks of two machines never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline {
    at: Instant,
}

impl Deadline {
    /// The deadline `budget` after `now`; a budget over [`BUDGET_MAX`] is cut to it.
    #[must_use]
    pub fn after(now: Instant, budget: Duration) -> Self {
        let budget = budget.min(BUDGET_MAX);
        // An instant that cannot be added to is one at the end of the platform's clock: no time is left.
        Self { at: now.checked_add(budget).unwrap_or(now) }
    }

    /// The instant itself.
    #[must_use]
    pub fn at(self) -> Instant {
        self.at
    }

    /// Time left at `now`; zero once it has passed.
    #[must_use]
    pub fn remaining(self, now: Instant) -> Duration {
        self.at.saturating_duration_since(now)
    }

    /// Whether no time is left at `now`.
    #[must_use]
    pub fn has_passed(self, now: Instant) -> bool {
        self.remaining(now).is_zero()
    }

    /// The sooner of the two: a call made on behalf of another never outlives it.
    #[must_use]
    pub fn sooner(self, other: Self) -> Self {
        self.min(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_shrinks_as_time_passes() {
        let now = Instant::now();
        let deadline = Deadline::after(now, Duration::from_millis(100));
        assert_eq!(deadline.remaining(now + Duration::from_millis(40)), Duration::from_millis(60));
        assert!(!deadline.has_passed(now + Duration::from_millis(99)));
        assert!(deadline.has_passed(now + Duration::from_millis(100)));
    }

    #[test]
    fn an_endless_budget_is_cut() {
        let now = Instant::now();
        assert_eq!(Deadline::after(now, Duration::MAX).remaining(now), BUDGET_MAX);
    }

    #[test]
    fn the_sooner_of_two_wins() {
        let now = Instant::now();
        let (near, far) =
            (Deadline::after(now, Duration::from_secs(1)), Deadline::after(now, Duration::from_secs(9)));
        assert_eq!(far.sooner(near), near);
        assert_eq!(near.sooner(far), near);
    }
}
