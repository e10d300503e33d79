//! Timestamps and durations between the wire and the program, total both ways.
//!
//! The wire allows the years 0001 to 9999, a [`jiff::Timestamp`] the years -9999 to 9999.
//! What lies outside the wire's range is an error on the way out, what breaks the wire's rules one on the way in.

use jiff::Timestamp;

/// Seconds of 0001-01-01T00:00:00Z, the first moment `google.protobuf.Timestamp` allows.
pub const TIMESTAMP_SECONDS_MIN: i64 = -62_135_596_800;
/// Seconds of 9999-12-31T23:59:59Z, the last second it allows.
pub const TIMESTAMP_SECONDS_MAX: i64 = 253_402_300_799;
/// Largest `google.protobuf.Duration`: about 10,000 years.
pub const DURATION_SECONDS_MAX: i64 = 315_576_000_000;

/// Why a time cannot be converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimeError {
    /// Before the year 1 or after the year 9999.
    #[error("time lies outside the years 0001 to 9999")]
    OutOfRange,
    /// The nanoseconds are negative or a whole second and more, or their sign differs from the seconds'.
    #[error("nanoseconds of a time must lie between 0 and 999999999")]
    Nanos,
    /// A duration is negative where only a positive one makes sense.
    #[error("duration must not be negative")]
    Negative,
    /// The field is absent.
    #[error("time is missing")]
    Missing,
}

/// A moment as it travels.
///
/// # Errors
/// [`TimeError::OutOfRange`] before the year 1.
pub fn to_proto(time: Timestamp) -> Result<prost_types::Timestamp, TimeError> {
    // jiff gives both parts the same sign; the wire wants nanoseconds that count forward.
    let (mut seconds, mut nanos) = (time.as_second(), time.subsec_nanosecond());
    if nanos < 0 {
        seconds -= 1;
        nanos += 1_000_000_000;
    }
    if !(TIMESTAMP_SECONDS_MIN..=TIMESTAMP_SECONDS_MAX).contains(&seconds) {
        return Err(TimeError::OutOfRange);
    }
    Ok(prost_types::Timestamp { seconds, nanos })
}

/// A moment from the wire.
///
/// # Errors
/// [`TimeError::OutOfRange`] and [`TimeError::Nanos`].
pub fn from_proto(time: &prost_types::Timestamp) -> Result<Timestamp, TimeError> {
    if !(TIMESTAMP_SECONDS_MIN..=TIMESTAMP_SECONDS_MAX).contains(&time.seconds) {
        return Err(TimeError::OutOfRange);
    }
    if !(0..1_000_000_000).contains(&time.nanos) {
        return Err(TimeError::Nanos);
    }
    // jiff ends a little before 9999-12-31T23:59:59Z, to leave room for offsets.
    Timestamp::new(time.seconds, time.nanos).map_err(|_| TimeError::OutOfRange)
}

/// A moment from a field that must be there.
///
/// # Errors
/// [`TimeError::Missing`] and those of [`from_proto`].
pub fn required(time: Option<&prost_types::Timestamp>) -> Result<Timestamp, TimeError> {
    from_proto(time.ok_or(TimeError::Missing)?)
}

/// A length of time as it travels.
///
/// # Errors
/// [`TimeError::OutOfRange`] above [`DURATION_SECONDS_MAX`].
pub fn duration_to_proto(duration: std::time::Duration) -> Result<prost_types::Duration, TimeError> {
    let seconds = i64::try_from(duration.as_secs()).map_err(|_| TimeError::OutOfRange)?;
    if seconds > DURATION_SECONDS_MAX {
        return Err(TimeError::OutOfRange);
    }
    let nanos = i32::try_from(duration.subsec_nanos()).map_err(|_| TimeError::Nanos)?;
    Ok(prost_types::Duration { seconds, nanos })
}

/// A length of time from the wire.
///
/// # Errors
/// [`TimeError::Negative`], [`TimeError::OutOfRange`] and [`TimeError::Nanos`].
pub fn duration_from_proto(duration: &prost_types::Duration) -> Result<std::time::Duration, TimeError> {
    if duration.seconds < 0 || (duration.seconds == 0 && duration.nanos < 0) {
        return Err(TimeError::Negative);
    }
    if duration.seconds > DURATION_SECONDS_MAX {
        return Err(TimeError::OutOfRange);
    }
    if !(0..1_000_000_000).contains(&duration.nanos) {
        return Err(TimeError::Nanos);
    }
    Ok(std::time::Duration::new(duration.seconds.unsigned_abs(), duration.nanos.unsigned_abs()))
}
