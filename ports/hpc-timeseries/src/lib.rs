//! The time-series port: points, typed queries, and the trait [`TimeSeriesStore`] which every backend implements.
//!
//! Never reads the clock and never builds query text: a backend is given its clock, and turns a typed [`Query`] into its own language.
//!
//! A point has a measurement, tags (who), fields (what, numbers only) and a time in nanoseconds UTC.
//! One *series* is a measurement with one set of tags; one field of it is a *column*, which is what limits count.
//!
//! ```
//! use hpc_timeseries::{Aggregation, Point, QueryBuilder, TimeRange};
//!
//! let point = Point::new("gpu", 1_700_000_000_000_000_000)
//!     .tag("host", "server-01")
//!     .field("power_watts", 351.5);
//! assert!(point.validate().is_ok());
//!
//! let query = QueryBuilder::new("gpu")
//!     .filter("host", "server-01")
//!     .range(TimeRange::last_hour())
//!     .aggregate(Aggregation::Mean, "1m")
//!     .build();
//! assert!(query.select().is_ok());
//! ```
//!
//! Features: `mock` (off by default) adds `MockTimeSeriesStore`.

mod error;
pub mod evaluate;
mod point;
mod query;
mod range;
mod series;
mod store;

pub use error::{Rejection, TimeSeriesError};
pub use point::{
    FIELDS_MAX, NAME_BYTES_MAX, Point, TAG_VALUE_BYTES_MAX, TAGS_MAX, TS_NS_MAX, TS_NS_MIN, Value, ValueKind,
    check_name, check_tag_value,
};
pub use query::{
    Aggregation, FILTER_VALUES_MAX, FILTERS_MAX, Fill, Filter, Grouping, Order, Query, QueryBuilder, Select,
    WINDOW_NS_MAX, WINDOW_NS_MIN, WINDOWS_MAX, parse_window,
};
pub use range::TimeRange;
pub use series::{Rejected, Sample, Series, SeriesKey, SeriesList, SeriesSet, WriteReport};
#[cfg(feature = "mock")]
pub use store::MockTimeSeriesStore;
pub use store::{
    BATCH_POINTS_MAX, Clock, Description, Durability, SAMPLES_MAX, SERIES_MAX, TimeSeriesStore, UnixNs,
};
