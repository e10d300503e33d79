//! What can go wrong, for one point and for one call.

use crate::point::{FIELDS_MAX, NAME_BYTES_MAX, TAG_VALUE_BYTES_MAX, TAGS_MAX, ValueKind};

/// Why one point was not stored; the rest of its batch was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// A measurement, tag or field name that is not `[a-z][a-z0-9_]*`, is too long, or is the reserved word `time`.
    #[error(
        "name `{name}` is not allowed: use [a-z][a-z0-9_]*, at most {NAME_BYTES_MAX} bytes, and not `time`"
    )]
    Name {
        /// The name as given, cut to 80 bytes.
        name: String,
    },
    /// A tag value that is empty, too long, holds a control character or ends in a backslash.
    #[error(
        "value of tag `{tag}` is not allowed: 1 to {TAG_VALUE_BYTES_MAX} bytes, no control character, no backslash at the end"
    )]
    TagValue {
        /// The tag whose value was refused.
        tag: String,
    },
    /// More than [`TAGS_MAX`] tags.
    #[error("{count} tags are too many: at most {TAGS_MAX}")]
    TooManyTags {
        /// How many the point had.
        count: usize,
    },
    /// No field, or more than [`FIELDS_MAX`].
    #[error("{count} fields: a point has 1 to {FIELDS_MAX}")]
    FieldCount {
        /// How many the point had.
        count: usize,
    },
    /// The same name twice in one point, as tag or as field.
    #[error("name `{name}` occurs twice in the point: tags and fields share one set of names")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// A field that is NaN or infinite. Leave an unknown value out instead.
    #[error("field `{field}` is not a finite number: leave an unknown value out")]
    NotFinite {
        /// The field.
        field: String,
    },
    /// A time outside 2000-01-01 to 2100-01-01, which is nearly always a wrong unit.
    #[error("time {ts_ns} is outside the years 2000 to 2099: times are nanoseconds since 1970, UTC")]
    Time {
        /// The time as given, nanoseconds.
        ts_ns: i64,
    },
    /// A time older or further in the future than the store accepts now.
    #[error(
        "time {ts_ns} is outside the accepted window from {oldest_ns} to {newest_ns}: check the clock of the sender"
    )]
    OutOfWindow {
        /// The time as given, nanoseconds.
        ts_ns: i64,
        /// Oldest accepted time, nanoseconds.
        oldest_ns: i64,
        /// Newest accepted time, nanoseconds.
        newest_ns: i64,
    },
    /// A new series or field would pass the limit of the store.
    #[error("the store holds {limit} columns, its limit: use fewer tag values, or raise the limit")]
    CardinalityExceeded {
        /// The limit, in columns (one field of one series).
        limit: usize,
    },
    /// A field of this measurement already holds the other kind of number.
    #[error("field `{field}` holds {have} values and cannot take {got} values")]
    KindConflict {
        /// The field.
        field: String,
        /// What it holds.
        have: ValueKind,
        /// What came.
        got: ValueKind,
    },
}

/// Why a call to a store failed as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimeSeriesError {
    /// A point was rejected; made by [`crate::WriteReport::all_accepted`].
    #[error("point {index} was rejected: {why}")]
    InvalidPoint {
        /// Position of the first rejected point in its batch.
        index: usize,
        /// Why.
        why: Rejection,
    },
    /// The backend refused points without saying which.
    #[error("the store refused part or all of the batch: {why}")]
    BatchRefused {
        /// The backend's words, cut to a bounded length.
        why: String,
    },
    /// More points than one call takes.
    #[error("a batch of {points} points is too large: at most {limit}, send it in parts")]
    BatchTooLarge {
        /// How many came.
        points: usize,
        /// The limit.
        limit: usize,
    },
    /// The query cannot be answered as asked, or was built from invalid parts.
    #[error("query is not supported: {why}")]
    UnsupportedQuery {
        /// What is wrong and what to do.
        why: String,
    },
    /// Too much is being written; nothing of this batch was stored. Try again later.
    #[error("the write queue is full: send again later, or send less")]
    Backpressure,
    /// The store cannot be reached or cannot write; whether this call took effect may be unknown.
    #[error("the store is unavailable: {why}")]
    Unavailable {
        /// What happened.
        why: String,
    },
    /// The store refused our credentials.
    #[error("the store refused the credentials: {why}")]
    Denied {
        /// The backend's words, cut to a bounded length.
        why: String,
    },
    /// Stored data does not read back.
    #[error("stored data in `{place}` is damaged: {why}")]
    Corrupt {
        /// File, table or segment.
        place: String,
        /// What was found and what to do.
        why: String,
    },
    /// A setting of the adapter is wrong.
    #[error("setting `{setting}` is wrong: {why}")]
    Config {
        /// The setting.
        setting: &'static str,
        /// What is wrong and what to do.
        why: String,
    },
}

impl TimeSeriesError {
    /// Whether the same call may succeed later without being changed. Writes are idempotent, so repeating one is safe.
    pub fn is_retriable(&self) -> bool {
        matches!(self, Self::Backpressure | Self::Unavailable { .. })
    }

    pub(crate) fn unsupported(why: impl Into<String>) -> Self {
        Self::UnsupportedQuery { why: why.into() }
    }
}
