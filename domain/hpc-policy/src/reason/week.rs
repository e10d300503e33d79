//! Time windows and instants: minutes of a UTC week, and nanoseconds.

use jiff::Timestamp;

use super::ranges::Ranges;
use crate::time_window::TimeWindow;

const DAY: i128 = 24 * 60;
const WEEK: i128 = 7 * DAY;
const NANOS_PER_MINUTE: i128 = 60_000_000_000;
/// The epoch was a Thursday; a week begins on Monday.
const EPOCH_IN_WEEK: i128 = 3 * DAY;

pub(super) fn whole() -> Ranges {
    Ranges::between(0, WEEK - 1)
}

/// Every instant there is.
pub(super) fn all_time() -> Ranges {
    Ranges::between(Timestamp::MIN.as_nanosecond(), Timestamp::MAX.as_nanosecond())
}

/// The minutes of a week, in UTC, that a window covers. A window covers a minute whole or not at all, because its ends and
/// its offset are whole minutes.
pub(super) fn minutes(window: &TimeWindow) -> Ranges {
    let offset = i128::from(window.offset.seconds()).div_euclid(60);
    let (from, to) = (i128::from(window.from_minute), i128::from(window.to_minute));
    let mut covered = Vec::new();
    for day in (0..7_i128).filter(|day| window.days & (1 << day) != 0) {
        // Past midnight the window ends on the next day.
        let length = if from < to { to - from } else { DAY - from + to };
        let begin = (day * DAY + from - offset).rem_euclid(WEEK);
        let end = begin + length - 1;
        covered.push((begin, end.min(WEEK - 1)));
        if end >= WEEK {
            covered.push((0, end - WEEK));
        }
    }
    Ranges::union(covered)
}

fn minute_of(nanos: i128) -> i128 {
    nanos.div_euclid(NANOS_PER_MINUTE)
}

fn in_week(minute: i128) -> i128 {
    (minute + EPOCH_IN_WEEK).rem_euclid(WEEK)
}

/// An instant in `times` whose minute of the week is in `minutes`, if there is one.
pub(super) fn sample(times: &Ranges, minutes: &Ranges) -> Option<i128> {
    for (first, last) in times.iter() {
        let (begin, end) = (minute_of(first), minute_of(last));
        // Beginning near the epoch where that is possible gives dates that people can read.
        let start = if begin <= 0 && 0 <= end && end - begin > WEEK { 0.min(end - WEEK) } else { begin };
        let mut minute = start;
        while minute <= end && minute < start + WEEK {
            if minutes.contains(in_week(minute)) {
                return Some((minute * NANOS_PER_MINUTE).max(first));
            }
            minute += 1;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::Offset;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn minutes_are_what_the_window_contains(
            days in 1..128_u8, from in 0..1440_u16, to in 0..=1440_u16, offset in -899..=899_i32,
            seconds in -2_000_000_000..4_000_000_000_i64,
        ) {
            prop_assume!(from != to);
            let window = TimeWindow {
                days, from_minute: from, to_minute: to, offset: Offset::from_seconds(offset * 60).unwrap(),
            };
            let at = Timestamp::new(seconds, 999_999_999).unwrap();
            let covered = minutes(&window);
            prop_assert_eq!(covered.contains(in_week(minute_of(at.as_nanosecond()))), window.contains(at));
            let found = sample(&all_time(), &covered).unwrap();
            prop_assert!(window.contains(Timestamp::from_nanosecond(found).unwrap()));
        }
    }
}
