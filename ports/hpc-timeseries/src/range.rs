//! Half-open time ranges, fixed or ending now.

use std::time::Duration;

use jiff::Timestamp;

use crate::point::{TS_NS_MAX, TS_NS_MIN};

/// From a start (included) to an end (excluded), nanoseconds UTC; either fixed, or a length that ends when the query runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Fixed { start_ns: i64, end_ns: i64 },
    EndingNow { back_ns: i64 },
}

impl TimeRange {
    /// The hour that ends when the query runs; the store takes "now" from its own clock.
    pub fn last_hour() -> Self {
        Self::last(Duration::from_secs(3600))
    }

    /// The day of 24 hours that ends when the query runs.
    pub fn last_day() -> Self {
        Self::last(Duration::from_secs(86_400))
    }

    /// The last `length` before the query runs; longer than 100 years is cut to 100 years.
    pub fn last(length: Duration) -> Self {
        let back_ns = i64::try_from(length.as_nanos()).unwrap_or(i64::MAX).min(TS_NS_MAX - TS_NS_MIN);
        Self(Kind::EndingNow { back_ns })
    }

    /// From `start` (included) to `end` (excluded). `end` before `start` makes the query unsupported.
    pub fn between(start: Timestamp, end: Timestamp) -> Self {
        Self::between_ns(clamp(start), clamp(end))
    }

    /// From `start_ns` (included) to `end_ns` (excluded), nanoseconds since 1970, UTC.
    pub fn between_ns(start_ns: i64, end_ns: i64) -> Self {
        Self(Kind::Fixed { start_ns, end_ns })
    }

    /// Everything a store can hold.
    pub fn all() -> Self {
        Self::between_ns(TS_NS_MIN, TS_NS_MAX)
    }

    /// Start (included) and end (excluded) in nanoseconds for a query that runs at `now_ns`.
    pub fn resolve(self, now_ns: i64) -> (i64, i64) {
        match self.0 {
            Kind::Fixed { start_ns, end_ns } => (start_ns, end_ns),
            Kind::EndingNow { back_ns } => (now_ns.saturating_sub(back_ns), now_ns),
        }
    }

    /// The length back from now in nanoseconds, if the range ends when the query runs.
    ///
    /// A backend with a clock of its own, as InfluxDB's `now()`, passes this on instead of resolving it.
    pub fn back_ns(self) -> Option<i64> {
        match self.0 {
            Kind::Fixed { .. } => None,
            Kind::EndingNow { back_ns } => Some(back_ns),
        }
    }

    /// Length in nanoseconds; negative if the end lies before the start.
    pub fn length_ns(self) -> i64 {
        let (start_ns, end_ns) = self.resolve(0);
        end_ns.saturating_sub(start_ns)
    }
}

fn clamp(at: Timestamp) -> i64 {
    i64::try_from(at.as_nanosecond().clamp(i128::from(TS_NS_MIN), i128::from(TS_NS_MAX))).unwrap_or(TS_NS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_ranges_end_at_now() {
        assert_eq!(TimeRange::last_hour().resolve(3_600_000_000_005), (5, 3_600_000_000_005));
        assert_eq!(TimeRange::last(Duration::MAX).resolve(0).1, 0);
    }

    #[test]
    fn fixed_ranges_ignore_now() {
        assert_eq!(TimeRange::between_ns(1, 2).resolve(99), (1, 2));
        assert_eq!(TimeRange::between_ns(1, 2).back_ns(), None);
        assert_eq!(TimeRange::between_ns(5, 2).length_ns(), -3);
    }

    #[test]
    fn times_outside_the_store_are_clamped() {
        assert_eq!(TimeRange::between(Timestamp::MIN, Timestamp::MAX), TimeRange::all());
    }
}
