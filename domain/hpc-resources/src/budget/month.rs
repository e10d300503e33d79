//! Calendar months in UTC, half open, and costs cut at their ends.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::money::{Money, MoneyError, PerInstanceHour};

/// Most months one cost is cut into; what lies behind the last one is put into it.
pub const MONTHS_MAX: usize = 1_200; // a hundred years

/// A calendar month in UTC: from its first moment up to, and without, the first moment of the next.
///
/// # Example
/// ```
/// use hpc_resources::Month;
///
/// let month: Month = "2026-11".parse()?;
/// assert_eq!(month, Month::of("2026-11-30T23:59:59.999Z".parse()?));
/// assert_eq!(month.end().to_string(), "2026-12-01T00:00:00Z");
/// assert_eq!(Month::of(month.end()).to_string(), "2026-12");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    year: i16,
    month: i8,
}

/// A text is not a month.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a month; write year and month such as `2026-11`")]
pub struct MonthError(String);

impl Month {
    /// The month that a moment lies in.
    #[must_use]
    pub fn of(at: Timestamp) -> Self {
        let date = at.to_zoned(TimeZone::UTC).date();
        Self { year: date.year(), month: date.month() }
    }

    /// Its first moment.
    #[must_use]
    pub fn start(self) -> Timestamp {
        let first = Date::new(self.year, self.month, 1).and_then(|date| date.to_zoned(TimeZone::UTC));
        first.map_or(Timestamp::MIN, |first| first.timestamp())
    }

    /// The first moment that is no longer in it.
    #[must_use]
    pub fn end(self) -> Timestamp {
        self.next().map_or(Timestamp::MAX, Self::start)
    }

    /// The month after it; `None` at the end of the calendar.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        let Self { year, month } = self;
        let next = if month < 12 { (year, month + 1) } else { (year.checked_add(1)?, 1) };
        Date::new(next.0, next.1, 1).ok().map(|date| Self { year: date.year(), month: date.month() })
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl fmt::Debug for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Month {
    type Err = MonthError;

    fn from_str(text: &str) -> Result<Self, MonthError> {
        let bad = || MonthError(text.chars().take(16).collect());
        let digits = |part: &str, length| part.len() == length && part.bytes().all(|b| b.is_ascii_digit());
        let (year, month) = text.split_once('-').ok_or_else(bad)?;
        if !digits(year, 4) || !digits(month, 2) {
            return Err(bad());
        }
        let date = Date::new(year.parse().map_err(|_| bad())?, month.parse().map_err(|_| bad())?, 1);
        date.map(|date| Self { year: date.year(), month: date.month() }).map_err(|_| bad())
    }
}

impl Serialize for Month {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Month {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl PerInstanceHour {
    /// What one instance costs in each month between two moments, by whole seconds from `from`.
    ///
    /// The parts add up to [`PerInstanceHour::cost_half_even`] of the whole, to the nano-unit: each is the cost up to its
    /// end less the cost up to its start. No month, if `to` is not after `from`.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] when the whole does not fit.
    ///
    /// # Example
    /// ```
    /// use hpc_resources::PerInstanceHour;
    ///
    /// let price = PerInstanceHour("3.60 USD".parse()?);
    /// let parts = price.cost_by_month("2026-11-30T23:59:50Z".parse()?, "2026-12-01T00:00:30Z".parse()?)?;
    /// let shown: Vec<String> = parts.iter().map(|(month, cost)| format!("{month} {cost}")).collect();
    /// assert_eq!(shown, ["2026-11 0.01 USD", "2026-12 0.03 USD"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cost_by_month(self, from: Timestamp, to: Timestamp) -> Result<Vec<(Month, Money)>, MoneyError> {
        let elapsed =
            |at: Timestamp| u64::try_from(at.as_second().saturating_sub(from.as_second())).unwrap_or(0);
        let mut parts = Vec::new();
        let mut before = Money::from_nanos(0, self.0.currency());
        let mut month = Month::of(from);
        while elapsed(to) > 0 {
            let last = month.end() >= to || parts.len() + 1 >= MONTHS_MAX;
            let upto = self.cost_half_even(1, elapsed(if last { to } else { month.end() }))?;
            parts.push((month, upto.checked_sub(before)?));
            before = upto;
            match month.next() {
                Some(next) if !last => month = next,
                _ => break,
            }
        }
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn months_are_half_open() {
        let november: Month = "2026-11".parse().unwrap();
        assert_eq!(
            (november.start(), november.end()),
            (at("2026-11-01T00:00:00Z"), at("2026-12-01T00:00:00Z"))
        );
        assert_eq!(Month::of(at("2026-10-31T23:59:59.999999999Z")).to_string(), "2026-10");
        assert_eq!(Month::of(at("2026-11-01T00:00:00Z")), november);
        let leap: Month = "2028-02".parse().unwrap();
        assert_eq!(leap.end().duration_since(leap.start()).as_hours(), 29 * 24);
        assert_eq!("2026-12".parse::<Month>().unwrap().next().unwrap().to_string(), "2027-01");
    }

    #[test]
    fn other_texts_are_refused_and_the_calendar_ends() {
        for text in ["", "2026", "2026-13", "2026-00", "26-11", "2026-1", "2026-11-01", "+026-11", "2026-1１"]
        {
            assert!(text.parse::<Month>().is_err(), "{text}");
        }
        let last = Month::of(Timestamp::MAX);
        assert_eq!((last.to_string().as_str(), last.next()), ("9999-12", None));
        assert_eq!(last.end(), Timestamp::MAX);
        assert!(Month::of(Timestamp::MIN).start() <= Timestamp::MIN);
    }

    #[test]
    fn a_cost_of_ages_has_bounded_parts() {
        let price = PerInstanceHour(Money::from_nanos(1, crate::Currency::USD));
        let (from, to) = (at("2026-01-01T00:00:00Z"), at("9999-01-01T00:00:00Z"));
        let parts = price.cost_by_month(from, to).unwrap();
        assert_eq!(parts.len(), MONTHS_MAX);
        let sum: i64 = parts.iter().map(|(_, cost)| cost.nanos()).sum();
        let seconds = u64::try_from(to.as_second() - from.as_second()).unwrap();
        assert_eq!(sum, price.cost_half_even(1, seconds).unwrap().nanos());
        assert!(price.cost_by_month(to, from).unwrap().is_empty());
    }
}
