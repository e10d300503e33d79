//! How many refusals of one caller are recorded: a burst in full, after that one a second, the others as a number.
//!
//! Whoever may ask may be refused, and each refusal is an entry for ever: without a bound one caller could fill the disk.
//! Only refusals are counted here; what was allowed is always recorded.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

/// Most refusals of one caller that are recorded in a burst.
pub const REFUSALS_AT_ONCE: u32 = 64;
/// After how many milliseconds another one of the same caller is recorded.
pub const REFUSAL_EVERY_MS: i64 = 1_000;
/// Most callers that are told apart; then those who have been quiet longest are forgotten.
const CALLERS_MAX: usize = 4_096;

/// A bucket of tokens for each caller.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    callers: BTreeMap<String, Bucket>,
    suppressed: u64,
}

#[derive(Debug)]
struct Bucket {
    /// Refusals that may still be recorded.
    left: u32,
    /// Up to when tokens were given.
    until: Timestamp,
    /// Refusals since the last one that was recorded.
    suppressed: u64,
}

impl Refusals {
    /// Whether a refusal of this caller is recorded: then with how many before it that were not.
    pub(crate) fn admit(&self, caller: &str, now: Timestamp) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.callers.contains_key(caller) {
            state.make_room();
            let full = Bucket { left: REFUSALS_AT_ONCE, until: now, suppressed: 0 };
            state.callers.insert(caller.to_owned(), full);
        }
        let bucket = state.callers.get_mut(caller)?;
        bucket.refill(now);
        if bucket.left > 0 {
            bucket.left = bucket.left.saturating_sub(1);
            return Some(std::mem::take(&mut bucket.suppressed));
        }
        bucket.suppressed = bucket.suppressed.saturating_add(1);
        state.suppressed = state.suppressed.saturating_add(1);
        None
    }

    /// How many were not recorded since the start.
    pub(crate) fn suppressed(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).suppressed
    }
}

impl State {
    fn make_room(&mut self) {
        if self.callers.len() < CALLERS_MAX {
            return;
        }
        let quiet = self.callers.iter().min_by_key(|(_, bucket)| bucket.until).map(|(name, _)| name.clone());
        if let Some(name) = quiet {
            self.callers.remove(&name);
        }
    }
}

impl Bucket {
    /// A clock that goes back gives nothing and takes nothing.
    fn refill(&mut self, now: Timestamp) {
        let passed = now.as_millisecond().saturating_sub(self.until.as_millisecond());
        let Ok(tokens) = u32::try_from(passed.max(0) / REFUSAL_EVERY_MS) else {
            (self.left, self.until) = (REFUSALS_AT_ONCE, now);
            return;
        };
        if tokens > 0 {
            self.left = self.left.saturating_add(tokens).min(REFUSALS_AT_ONCE);
            self.until = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(1_700_000_000_000 + milliseconds).unwrap()
    }

    #[test]
    fn a_burst_is_recorded_then_one_a_second_with_the_number_of_the_others() {
        let refusals = Refusals::default();
        for _ in 0..REFUSALS_AT_ONCE {
            assert_eq!(refusals.admit("eve", at(0)), Some(0));
        }
        for _ in 0..5 {
            assert_eq!(refusals.admit("eve", at(999)), None);
        }
        assert_eq!(refusals.admit("bob", at(999)), Some(0), "everybody has their own");
        assert_eq!(refusals.admit("eve", at(1_000)), Some(5));
        assert_eq!(refusals.admit("eve", at(1_000)), None);
        assert_eq!(refusals.admit("eve", at(-5_000)), None, "a clock that goes back gives nothing");
        assert_eq!((refusals.admit("eve", at(3_600_000)), refusals.suppressed()), (Some(2), 7));
        for _ in 1..REFUSALS_AT_ONCE {
            assert_eq!(refusals.admit("eve", at(3_600_000)), Some(0), "never more than a burst");
        }
        assert_eq!(refusals.admit("eve", at(3_600_000)), None);
    }

    #[test]
    fn callers_are_bounded_and_the_quietest_is_forgotten() {
        let refusals = Refusals::default();
        for number in 0..=CALLERS_MAX {
            let now = at(i64::try_from(number).unwrap());
            assert_eq!(refusals.admit(&format!("caller-{number}"), now), Some(0));
        }
        let state = refusals.state.lock().unwrap();
        assert_eq!(state.callers.len(), CALLERS_MAX);
        assert!(!state.callers.contains_key("caller-0") && state.callers.contains_key("caller-1"));
    }
}
