//! What comes back: series, samples, and the report of a write.

use jiff::Timestamp;

use crate::error::{Rejection, TimeSeriesError};
use crate::point::Value;

/// One time and its value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Nanoseconds since 1970, UTC. For an aggregate: the start of its window.
    pub ts_ns: i64,
    /// The value; `None` only for an empty window under [`crate::Fill::Null`].
    pub value: Option<Value>,
}

impl Sample {
    /// The time as a timestamp, if it is within the years jiff knows.
    pub fn timestamp(&self) -> Option<Timestamp> {
        Timestamp::from_nanosecond(i128::from(self.ts_ns)).ok()
    }

    /// The value as a float, if there is one.
    pub fn as_f64(&self) -> Option<f64> {
        self.value.map(Value::as_f64)
    }
}

/// The samples of one field of one series, or of one group of series.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// What is measured.
    pub measurement: String,
    /// Tags in order of their names; for a group only those grouped by.
    pub tags: Vec<(String, String)>,
    /// The field.
    pub field: String,
    /// The samples in the order asked for; at most one per time.
    pub samples: Vec<Sample>,
}

impl Series {
    /// The value of a tag.
    pub fn tag(&self, name: &str) -> Option<&str> {
        self.tags.iter().find(|(tag, _)| tag == name).map(|(_, value)| value.as_str())
    }
}

/// The answer to a query.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SeriesSet {
    /// Ordered by tags, then field. A series without a sample in the range is absent.
    pub series: Vec<Series>,
    /// Whether the store held more than a limit let it give.
    pub truncated: bool,
}

/// A series without its samples.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesKey {
    /// What is measured.
    pub measurement: String,
    /// Tags in order of their names.
    pub tags: Vec<(String, String)>,
}

/// The series that match, without their samples.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SeriesList {
    /// Ordered by tags.
    pub series: Vec<SeriesKey>,
    /// Whether there are more than a limit let it give.
    pub truncated: bool,
}

/// A point that was not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Its position in the batch.
    pub index: usize,
    /// Why.
    pub why: Rejection,
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WriteReport {
    /// How many points were stored.
    pub accepted: usize,
    /// The points that were not, in order of their position.
    pub rejected: Vec<Rejected>,
}

impl WriteReport {
    /// The count of accepted points, for callers to whom one rejected point is a failure.
    ///
    /// # Errors
    /// Only [`TimeSeriesError::InvalidPoint`] for the first rejected point; the accepted ones stay stored.
    pub fn all_accepted(self) -> Result<usize, TimeSeriesError> {
        match self.rejected.into_iter().next() {
            None => Ok(self.accepted),
            Some(Rejected { index, why }) => Err(TimeSeriesError::InvalidPoint { index, why }),
        }
    }
}
