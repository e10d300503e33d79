//! Queries as data: built without failing, checked once, turned into text by nobody but a backend.

use crate::error::TimeSeriesError;
use crate::point::{FIELDS_MAX, TAGS_MAX, check_name, check_tag_value, shown};
use crate::range::TimeRange;
use crate::store::SAMPLES_MAX;

/// Most filters of one query.
pub const FILTERS_MAX: usize = 16;
/// Most values of one filter.
pub const FILTER_VALUES_MAX: usize = 256;
/// Shortest window: 1 millisecond.
pub const WINDOW_NS_MIN: i64 = 1_000_000;
/// Longest window: 366 days.
pub const WINDOW_NS_MAX: i64 = 366 * 86_400 * 1_000_000_000;
/// Most windows of one series in one answer.
pub const WINDOWS_MAX: i64 = 100_000;

/// How the samples of one window become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Aggregation {
    /// Arithmetic mean over all samples, as a float.
    Mean,
    /// Sum; integers saturate.
    Sum,
    /// Smallest.
    Min,
    /// Greatest.
    Max,
    /// Number of samples, as an integer.
    Count,
    /// The earliest; of several at one time the greatest.
    First,
    /// The newest; of several at one time the greatest.
    Last,
}

/// What stands for a window without samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fill {
    /// Nothing: the window is left out.
    #[default]
    None,
    /// A sample without a value; 0 for [`Aggregation::Count`].
    Null,
}

/// Order of samples by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Oldest first.
    #[default]
    OldestFirst,
    /// Newest first.
    NewestFirst,
}

/// Which series are folded into one answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Grouping {
    /// None: each series answers for itself.
    #[default]
    EachSeries,
    /// Those with equal values of these tags; no tag means all of them.
    ByTags(Vec<String>),
}

/// A condition on one tag. There are no patterns: a value is equal or it is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// The tag has this value.
    Is {
        /// Tag name.
        tag: String,
        /// Its value.
        value: String,
    },
    /// The tag has another value, or the series has no such tag.
    IsNot {
        /// Tag name.
        tag: String,
        /// The value it must not have.
        value: String,
    },
    /// The tag has one of these values; never empty.
    In {
        /// Tag name.
        tag: String,
        /// The values.
        values: Vec<String>,
    },
}

impl Filter {
    /// The tag this filter looks at.
    pub fn tag(&self) -> &str {
        match self {
            Self::Is { tag, .. } | Self::IsNot { tag, .. } | Self::In { tag, .. } => tag,
        }
    }

    /// Whether a series passes whose tag has this value, or no such tag.
    pub fn passes(&self, have: Option<&str>) -> bool {
        match self {
            Self::Is { value, .. } => have == Some(value.as_str()),
            Self::IsNot { value, .. } => have != Some(value.as_str()),
            Self::In { values, .. } => values.iter().any(|value| have == Some(value.as_str())),
        }
    }
}

/// A finished query: valid, or the memory of what was wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query(Result<Select, TimeSeriesError>);

impl Query {
    /// The checked parts.
    ///
    /// # Errors
    /// Only [`TimeSeriesError::UnsupportedQuery`], with the first thing that was wrong.
    pub fn select(&self) -> Result<&Select, TimeSeriesError> {
        self.0.as_ref().map_err(Clone::clone)
    }

    /// The checked parts, taken out.
    ///
    /// # Errors
    /// As [`Query::select`].
    pub fn into_select(self) -> Result<Select, TimeSeriesError> {
        self.0
    }
}

/// The parts of a valid query.
///
/// Names and values have passed [`check_name`] and [`check_tag_value`]; the range does not end before it starts;
/// window and range make at most [`WINDOWS_MAX`] windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Select {
    measurement: String,
    fields: Vec<String>,
    filters: Vec<Filter>,
    range: TimeRange,
    aggregate: Option<(Aggregation, i64)>,
    grouping: Grouping,
    fill: Fill,
    order: Order,
    limit: usize,
}

impl Select {
    /// What is measured.
    pub fn measurement(&self) -> &str {
        &self.measurement
    }

    /// Fields asked for; empty means all.
    pub fn fields(&self) -> &[String] {
        &self.fields
    }

    /// Whether this field was asked for.
    pub fn wants_field(&self, field: &str) -> bool {
        self.fields.is_empty() || self.fields.iter().any(|wanted| wanted == field)
    }

    /// Conditions, all of which must hold.
    pub fn filters(&self) -> &[Filter] {
        &self.filters
    }

    /// Whether a series with these tags passes every filter.
    pub fn matches<'a>(&self, tag_value: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.filters.iter().all(|filter| filter.passes(tag_value(filter.tag())))
    }

    /// The time range.
    pub fn range(&self) -> TimeRange {
        self.range
    }

    /// Aggregation and window in nanoseconds, if any.
    pub fn aggregate(&self) -> Option<(Aggregation, i64)> {
        self.aggregate
    }

    /// Which series are folded together.
    pub fn grouping(&self) -> &Grouping {
        &self.grouping
    }

    /// What stands for empty windows.
    pub fn fill(&self) -> Fill {
        self.fill
    }

    /// Order of the samples.
    pub fn order(&self) -> Order {
        self.order
    }

    /// Most samples per series, at most [`SAMPLES_MAX`].
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Whether the query asks for stored samples, as [`crate::TimeSeriesStore::latest`] needs it.
    ///
    /// # Errors
    /// Only [`TimeSeriesError::UnsupportedQuery`].
    pub fn require_plain(&self) -> Result<(), TimeSeriesError> {
        if self.aggregate.is_none() && self.grouping == Grouping::EachSeries {
            Ok(())
        } else {
            Err(TimeSeriesError::unsupported(
                "the newest samples are given as stored: leave out aggregation and grouping",
            ))
        }
    }
}

/// Builds a [`Query`]. No step fails; what is wrong is remembered and told when the query runs.
#[derive(Debug, Clone)]
pub struct QueryBuilder {
    select: Select,
    fault: Option<TimeSeriesError>,
}

impl QueryBuilder {
    /// A query for all fields of all series of a measurement, over all time.
    pub fn new(measurement: impl AsRef<str>) -> Self {
        let select = Select {
            measurement: measurement.as_ref().to_owned(),
            fields: Vec::new(),
            filters: Vec::new(),
            range: TimeRange::all(),
            aggregate: None,
            grouping: Grouping::EachSeries,
            fill: Fill::None,
            order: Order::OldestFirst,
            limit: SAMPLES_MAX,
        };
        Self { select, fault: None }.name(measurement.as_ref())
    }

    /// Only series whose tag has this value.
    #[must_use]
    pub fn filter(self, tag: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        let (tag, value) = (tag.as_ref().to_owned(), value.as_ref().to_owned());
        self.name(&tag).tag_value(&tag, &value).push_filter(Filter::Is { tag, value })
    }

    /// Only series whose tag has another value or which have no such tag.
    #[must_use]
    pub fn filter_not(self, tag: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        let (tag, value) = (tag.as_ref().to_owned(), value.as_ref().to_owned());
        self.name(&tag).tag_value(&tag, &value).push_filter(Filter::IsNot { tag, value })
    }

    /// Only series whose tag has one of these values; at least one, at most [`FILTER_VALUES_MAX`].
    #[must_use]
    pub fn filter_in<V: AsRef<str>>(self, tag: impl AsRef<str>, values: impl IntoIterator<Item = V>) -> Self {
        let tag = tag.as_ref().to_owned();
        // One more than allowed is enough to know that there are too many.
        let values: Vec<String> =
            values.into_iter().take(FILTER_VALUES_MAX + 1).map(|value| value.as_ref().to_owned()).collect();
        let count = values.len();
        let mut builder = self.name(&tag).require((1..=FILTER_VALUES_MAX).contains(&count), || {
            format!("the filter on `{}` needs 1 to {FILTER_VALUES_MAX} values", shown(&tag))
        });
        for value in &values {
            builder = builder.tag_value(&tag, value);
        }
        builder.push_filter(Filter::In { tag, values })
    }

    /// Asks for this field; may be called again for more. Without it all fields answer.
    #[must_use]
    pub fn field(self, field: impl AsRef<str>) -> Self {
        let field = field.as_ref().to_owned();
        let mut builder = self.name(&field);
        if !builder.select.fields.contains(&field) {
            builder.select.fields.push(field);
        }
        let count = builder.select.fields.len();
        builder.require(count <= FIELDS_MAX, || format!("more than {FIELDS_MAX} fields: ask in parts"))
    }

    /// Sets the time range.
    #[must_use]
    pub fn range(mut self, range: TimeRange) -> Self {
        self.select.range = range;
        self.require(range.length_ns() >= 0, || "the range ends before it starts".to_owned())
    }

    /// Folds the samples of each window into one. `window` is a whole number and a unit: `ms`, `s`, `m`, `h` or `d`.
    #[must_use]
    pub fn aggregate(mut self, aggregation: Aggregation, window: impl AsRef<str>) -> Self {
        let once = self.select.aggregate.is_none();
        self = self.require(once, || "one aggregation per query: ask twice".to_owned());
        match parse_window(window.as_ref()) {
            Ok(window_ns) => {
                self.select.aggregate = Some((aggregation, window_ns));
                self
            }
            Err(fault) => self.fail(fault),
        }
    }

    /// Folds series with equal values of these tags into one; needs an aggregation. No tag folds all series into one.
    #[must_use]
    pub fn group_by<T: AsRef<str>>(self, tags: impl IntoIterator<Item = T>) -> Self {
        let tags: Vec<String> =
            tags.into_iter().take(TAGS_MAX + 1).map(|tag| tag.as_ref().to_owned()).collect();
        let count = tags.len();
        let mut builder =
            self.require(count <= TAGS_MAX, || format!("more than {TAGS_MAX} tags to group by"));
        for tag in &tags {
            builder = builder.name(tag);
        }
        builder.select.grouping = Grouping::ByTags(tags);
        builder
    }

    /// Says what stands for empty windows.
    #[must_use]
    pub fn fill(mut self, fill: Fill) -> Self {
        self.select.fill = fill;
        self
    }

    /// Sets the order of the samples, and so the end at which [`QueryBuilder::limit`] cuts.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.select.order = order;
        self
    }

    /// At most this many samples per series, 1 to [`SAMPLES_MAX`].
    #[must_use]
    pub fn limit(mut self, samples: usize) -> Self {
        self.select.limit = samples;
        self.require((1..=SAMPLES_MAX).contains(&samples), || format!("a limit is 1 to {SAMPLES_MAX}"))
    }

    /// Finishes. A fault met on the way is told by whoever runs the query.
    pub fn build(self) -> Query {
        let Self { select, fault } = self.check_whole();
        Query(match fault {
            None => Ok(select),
            Some(fault) => Err(fault),
        })
    }

    fn check_whole(self) -> Self {
        let grouped = self.select.grouping != Grouping::EachSeries;
        let Some((_, window_ns)) = self.select.aggregate else {
            return self.require(!grouped, || "grouping needs an aggregation".to_owned());
        };
        // A range that starts inside a window touches one window more.
        let windows = self.select.range.length_ns() / window_ns + 2;
        self.require(windows <= WINDOWS_MAX, || {
            format!(
                "about {windows} windows are more than {WINDOWS_MAX}: set a shorter range or a longer window"
            )
        })
    }

    fn push_filter(mut self, filter: Filter) -> Self {
        if self.select.filters.len() < FILTERS_MAX {
            self.select.filters.push(filter);
            self
        } else {
            self.fail(TimeSeriesError::unsupported(format!("more than {FILTERS_MAX} filters")))
        }
    }

    fn name(self, name: &str) -> Self {
        match check_name(name) {
            Ok(()) => self,
            Err(why) => self.fail(TimeSeriesError::unsupported(why.to_string())),
        }
    }

    fn tag_value(self, tag: &str, value: &str) -> Self {
        match check_tag_value(tag, value) {
            Ok(()) => self,
            Err(why) => self.fail(TimeSeriesError::unsupported(why.to_string())),
        }
    }

    fn require(self, holds: bool, why: impl FnOnce() -> String) -> Self {
        if holds { self } else { self.fail(TimeSeriesError::unsupported(why())) }
    }

    /// The first fault is the one told: later ones often follow from it.
    fn fail(mut self, fault: TimeSeriesError) -> Self {
        self.fault.get_or_insert(fault);
        self
    }
}

/// Nanoseconds of a window such as `500ms`, `10s`, `1m`, `2h` or `1d` (24 hours).
///
/// # Errors
/// Only [`TimeSeriesError::UnsupportedQuery`]: not of this form, or outside [`WINDOW_NS_MIN`] to [`WINDOW_NS_MAX`].
pub fn parse_window(text: &str) -> Result<i64, TimeSeriesError> {
    let refuse = || {
        TimeSeriesError::unsupported(format!(
            "window `{}` is not a whole number and a unit (ms, s, m, h, d) from 1ms to 366d",
            shown(text)
        ))
    };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit_ns: i64 = match unit {
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        _ => return Err(refuse()),
    };
    let number: i64 = number.parse().map_err(|_| refuse())?;
    number
        .checked_mul(unit_ns)
        .filter(|window_ns| (WINDOW_NS_MIN..=WINDOW_NS_MAX).contains(window_ns))
        .ok_or_else(refuse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_parse() {
        assert_eq!(parse_window("1m"), Ok(60_000_000_000));
        assert_eq!(parse_window("250ms"), Ok(250_000_000));
        assert_eq!(parse_window("366d"), Ok(WINDOW_NS_MAX));
        for bad in
            ["", "m", "1", "0s", "-1s", "1.5m", "1 m", "1w", "367d", "99999999999999999999s", "1m; drop", "é"]
        {
            assert!(parse_window(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_first_fault_is_told() {
        let query = QueryBuilder::new("Bad").filter("host\n", "x").build();
        assert!(
            matches!(query.select(), Err(TimeSeriesError::UnsupportedQuery { why }) if why.contains("`Bad`"))
        );
    }

    #[test]
    fn filters_see_missing_tags() {
        let not = Filter::IsNot { tag: "host".into(), value: "a".into() };
        assert!(not.passes(None) && not.passes(Some("b")) && !not.passes(Some("a")));
        let is = Filter::Is { tag: "host".into(), value: "a".into() };
        assert!(!is.passes(None) && is.passes(Some("a")));
    }
}
