//! The port.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::error::TimeSeriesError;
use crate::point::Point;
use crate::query::Query;
use crate::series::{SeriesList, SeriesSet, WriteReport};

/// Most points in one call to [`TimeSeriesStore::write`].
pub const BATCH_POINTS_MAX: usize = 10_000;
/// Most series in one answer.
pub const SERIES_MAX: usize = 10_000;
/// Most samples in one answer.
pub const SAMPLES_MAX: usize = 1_000_000;

/// Where a store gets "now" from; given by the application.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Nanoseconds since 1970 of a timestamp, as points hold them.
pub trait UnixNs {
    /// Nanoseconds since 1970, UTC; times no `i64` can hold saturate.
    fn unix_ns(&self) -> i64;
}

impl UnixNs for Timestamp {
    fn unix_ns(&self) -> i64 {
        let ns = self.as_nanosecond();
        i64::try_from(ns).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX })
    }
}

/// How safe a write must be before it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Visible to queries; a crash may lose it.
    None,
    /// Survives a crash; the store may wait a moment to save several writes at once.
    #[default]
    Group,
    /// Survives a crash; the store saves without waiting for other writes.
    Sync,
}

/// What a store can do and where its limits are.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Description {
    /// Short name of the backend, such as `embedded`.
    pub backend: &'static str,
    /// Where it keeps its data: a file, an address, or memory.
    pub place: String,
    /// Whether acknowledged points survive a crash of the process.
    pub durable: bool,
    /// How far in the past a point may lie; `None` without a limit.
    pub past_max: Option<Duration>,
    /// How far in the future a point may lie; `None` without a limit.
    pub future_max: Option<Duration>,
    /// Most columns (one field of one series); `None` if the backend does not tell.
    pub columns_max: Option<usize>,
    /// Whether retention can be read and set through the port.
    pub retention: bool,
    /// Whether rejections (time window, cardinality, kind of number) are reported point by point.
    pub rejects_by_point: bool,
}

impl Description {
    /// A description of a durable store without windows, limits or retention; fields are public to say more.
    pub fn new(backend: &'static str, place: impl Into<String>) -> Self {
        Self {
            backend,
            place: place.into(),
            durable: true,
            past_max: None,
            future_max: None,
            columns_max: None,
            retention: false,
            rejects_by_point: false,
        }
    }
}

/// A place that keeps points and answers queries over them.
///
/// The sentences below are the contract; `hpc-conformance` has one case for each.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait TimeSeriesStore: Send + Sync {
    /// Stores the valid points of a batch.
    ///
    /// An invalid point is reported with its position and the others are stored.
    /// An empty batch succeeds.
    /// A batch of more than [`BATCH_POINTS_MAX`] points is refused whole.
    /// An accepted point is visible to the next query.
    /// Points may come out of order.
    /// Of two values of one field of one series at one time, the one written last remains; other fields at that time stay.
    /// The order of tags does not matter.
    /// A field of a measurement keeps the kind of number of its first value.
    /// A time outside the window in [`Description`] is rejected, a point that makes too many columns as well.
    ///
    /// # Errors
    /// [`TimeSeriesError::BatchTooLarge`], [`TimeSeriesError::BatchRefused`], [`TimeSeriesError::Backpressure`],
    /// [`TimeSeriesError::Unavailable`], [`TimeSeriesError::Denied`] or [`TimeSeriesError::Corrupt`].
    async fn write(&self, batch: Vec<Point>, durability: Durability) -> Result<WriteReport, TimeSeriesError>;

    /// Answers a query.
    ///
    /// The range includes its start and excludes its end; a range that ends now is resolved when the query runs.
    /// Series are ordered by tags, then field, and one without a sample in the range is absent.
    /// A measurement nobody wrote gives an empty answer.
    /// Filters compare whole tag values: equal, not equal (which a series without the tag passes), or one of several.
    /// Windows are aligned to 1970 and named by their start; only samples inside the range count.
    /// `Mean` is a float, `Count` an integer, the others keep the kind of the field.
    /// Of several series in one group with samples at the same time, `First` and `Last` take the greatest.
    /// Empty windows are left out, or given as `None` from the first to the last window of the range; their `Count` is 0.
    /// A limit counts samples per series from the start of the order, and what was cut sets `truncated`.
    ///
    /// # Errors
    /// [`TimeSeriesError::UnsupportedQuery`] for a query built from invalid parts,
    /// [`TimeSeriesError::Unavailable`], [`TimeSeriesError::Denied`] or [`TimeSeriesError::Corrupt`].
    async fn query(&self, query: Query) -> Result<SeriesSet, TimeSeriesError>;

    /// The newest sample in the range of each field of each series that matches.
    ///
    /// Order and limit do not count; a query with an aggregation or a grouping is unsupported here.
    ///
    /// # Errors
    /// As [`TimeSeriesStore::query`].
    async fn latest(&self, query: Query) -> Result<SeriesSet, TimeSeriesError>;

    /// The series that match, ordered by tags; the range, fields and aggregation of the query do not count.
    ///
    /// The limit of the query counts series here.
    ///
    /// # Errors
    /// As [`TimeSeriesStore::query`].
    async fn series(&self, query: Query) -> Result<SeriesList, TimeSeriesError>;

    /// How long points are kept; `None` means for ever.
    ///
    /// # Errors
    /// [`TimeSeriesError::UnsupportedQuery`] unless [`Description::retention`], and as [`TimeSeriesStore::query`].
    async fn retention(&self) -> Result<Option<Duration>, TimeSeriesError> {
        Err(TimeSeriesError::unsupported("this backend does not tell its retention through the port"))
    }

    /// Sets how long points are kept; older points are in no answer from then on.
    ///
    /// # Errors
    /// [`TimeSeriesError::UnsupportedQuery`] unless [`Description::retention`], and as [`TimeSeriesStore::write`].
    async fn set_retention(&self, keep: Option<Duration>) -> Result<(), TimeSeriesError> {
        let _ = keep;
        Err(TimeSeriesError::unsupported("this backend does not take its retention through the port"))
    }

    /// What this store can do. Costs nothing and reaches nowhere.
    fn describe(&self) -> Description;
}
