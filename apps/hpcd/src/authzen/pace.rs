//! How much of the audit log one caller may fill by asking.
//!
//! Every decision is an entry for ever, and none may go unrecorded: what cannot be recorded is not decided.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::time::{Duration, Instant};

use super::limits::{CALLERS_MAX, RECORDED_AT_ONCE, RECORDED_PER_S};

/// A bucket of requests for each caller.
#[derive(Debug, Default)]
pub(super) struct Pace {
    callers: Mutex<BTreeMap<String, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    left: u32,
    /// Up to when the bucket was filled.
    until: Instant,
}

impl Pace {
    /// Takes one request of this caller; `Err` says after how many seconds the next one may be taken.
    pub(super) fn admit(&self, caller: &str, now: Instant) -> Result<(), u64> {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if !callers.contains_key(caller) {
            if callers.len() >= CALLERS_MAX {
                let quiet = callers.iter().min_by_key(|(_, bucket)| bucket.until);
                if let Some(name) = quiet.map(|(name, _)| name.clone()) {
                    callers.remove(&name);
                }
            }
            callers.insert(caller.to_owned(), Bucket { left: RECORDED_AT_ONCE, until: now });
        }
        let Some(bucket) = callers.get_mut(caller) else { return Ok(()) };
        bucket.refill(now);
        match bucket.left.checked_sub(1) {
            Some(left) => {
                bucket.left = left;
                Ok(())
            }
            None => Err(1),
        }
    }
}

impl Bucket {
    fn refill(&mut self, now: Instant) {
        let each = Duration::from_secs(1) / RECORDED_PER_S;
        let passed = now.saturating_duration_since(self.until);
        let fresh = u32::try_from(passed.as_nanos() / each.as_nanos().max(1)).unwrap_or(u32::MAX);
        if fresh >= RECORDED_AT_ONCE.saturating_sub(self.left) {
            (self.left, self.until) = (RECORDED_AT_ONCE, self.until.max(now));
        } else {
            self.left = self.left.saturating_add(fresh);
            self.until += each * fresh;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_so_many_a_second_for_each_caller() {
        let pace = Pace::default();
        let begin = Instant::now();
        for _ in 0..RECORDED_AT_ONCE {
            assert_eq!(pace.admit("a", begin), Ok(()));
        }
        assert_eq!(pace.admit("a", begin), Err(1));
        assert_eq!(pace.admit("b", begin), Ok(()), "everybody has their own");
        let second = begin + Duration::from_secs(1);
        for _ in 0..RECORDED_PER_S {
            assert_eq!(pace.admit("a", second), Ok(()));
        }
        assert_eq!(pace.admit("a", second), Err(1));
        assert_eq!(pace.admit("a", begin), Err(1), "a clock that goes back gives nothing");
        let later = second + Duration::from_secs(3_600);
        for _ in 0..RECORDED_AT_ONCE {
            assert_eq!(pace.admit("a", later), Ok(()), "never more than a burst");
        }
        assert_eq!(pace.admit("a", later), Err(1));
    }

    #[test]
    fn callers_are_bounded_and_the_quietest_is_forgotten() {
        let pace = Pace::default();
        let begin = Instant::now();
        for number in 0..=CALLERS_MAX {
            let now = begin + Duration::from_millis(u64::try_from(number).unwrap());
            assert_eq!(pace.admit(&format!("caller-{number}"), now), Ok(()));
        }
        let callers = pace.callers.lock().unwrap();
        assert_eq!(callers.len(), CALLERS_MAX);
        assert!(!callers.contains_key("caller-0") && callers.contains_key("caller-1"));
    }
}
