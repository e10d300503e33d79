//! When the money of a hold may be spent.

use jiff::{SignedDuration, Timestamp};

use crate::budget::month::{MONTHS_MAX, Month};
use crate::money::Money;

/// A run of `seconds` seconds, somewhere from `from` up to and without `to`.
///
/// Until a lease has begun nobody knows when exactly it will: then the span is longer than the run, and each month is held
/// the most that can fall into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The earliest start.
    pub from: Timestamp,
    /// The latest end (half open).
    pub to: Timestamp,
    /// How long it runs, in seconds.
    pub seconds: u64,
}

impl Span {
    /// A run of `seconds` that begins at most `slack_s` seconds after `from`.
    #[must_use]
    pub fn starting(from: Timestamp, seconds: u64, slack_s: u64) -> Self {
        let lasts = i64::try_from(seconds.saturating_add(slack_s)).unwrap_or(i64::MAX);
        let to = from.saturating_add(SignedDuration::from_secs(lasts)).unwrap_or(Timestamp::MAX);
        Self { from, to, seconds }
    }

    /// The months it may touch, the first one always among them; at most [`MONTHS_MAX`].
    pub fn months(&self) -> impl Iterator<Item = Month> + use<> {
        let (first, to) = (Month::of(self.from), self.to);
        let mut next = Some(first);
        std::iter::from_fn(move || {
            let month = next?;
            next = month.next().filter(|after| after.start() < to);
            Some(month)
        })
        .take(MONTHS_MAX)
    }

    /// The most seconds of the run that can fall into a month.
    #[must_use]
    pub fn seconds_in(&self, month: Month) -> u64 {
        let from = self.from.max(month.start()).as_second();
        let to = self.to.min(month.end());
        let whole = to.as_second().saturating_add(i64::from(to.subsec_nanosecond() > 0));
        u64::try_from(whole.saturating_sub(from)).unwrap_or(0).min(self.seconds)
    }

    /// The most of `amount` that can fall into a month: all of it when all of the run can, otherwise its share by seconds,
    /// rounded up, and a nano-unit more, because the meter rounds at both ends of a month.
    ///
    /// What a run costs in a month is never more than this, as long as the whole run costs no more than `amount` and its
    /// price does not change on the way.
    #[must_use]
    pub fn part(&self, amount: Money, month: Month) -> Money {
        let (inside, all) = (self.seconds_in(month), self.seconds);
        if inside >= all || amount.nanos() <= 0 {
            return amount;
        }
        let product = i128::from(amount.nanos()) * i128::from(inside);
        let all = i128::from(all);
        let nanos =
            product.div_euclid(all) + i128::from(product.rem_euclid(all) > 0) + i128::from(inside > 0);
        let nanos = i64::try_from(nanos).unwrap_or(amount.nanos()).min(amount.nanos());
        Money::from_nanos(nanos, amount.currency())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_month_holds_the_most_that_can_fall_into_it() {
        let usd = |text: &str| text.parse::<Money>().unwrap();
        // Ten seconds, begun within five: at most six before midnight, and all ten after it minus what must be before.
        let span = Span::starting(at("2026-11-30T23:59:54Z"), 10, 5);
        let months: Vec<Month> = span.months().collect();
        assert_eq!(months.iter().map(ToString::to_string).collect::<Vec<_>>(), ["2026-11", "2026-12"]);
        assert_eq!(months.iter().map(|month| span.seconds_in(*month)).collect::<Vec<_>>(), [6, 9]);
        assert_eq!(span.part(usd("1.00"), months[0]), usd("0.600000001"));
        assert_eq!(span.part(usd("0.000000001"), months[0]), usd("0.000000001"), "rounded up");
        assert_eq!(span.part(usd("1.00"), "2027-01".parse().unwrap()), usd("0"));
        let begun = Span::starting(at("2026-11-30T23:59:54Z"), 10, 0);
        assert_eq!(months.iter().map(|month| begun.seconds_in(*month)).collect::<Vec<_>>(), [6, 4]);
    }

    #[test]
    fn a_span_up_to_midnight_touches_one_month() {
        let span = Span::starting(at("2026-11-30T23:00:00Z"), 3_600, 0);
        assert_eq!(span.months().count(), 1);
        assert_eq!(Span::starting(at("2026-11-30T23:00:00Z"), 3_601, 0).months().count(), 2);
        assert_eq!(Span::starting(at("2026-11-30T23:00:00Z"), 0, 0).months().count(), 1);
    }
}
