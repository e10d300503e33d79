//! Recorded availability, played back: how many instances a place could hold, tick by tick.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::SimError;

/// Largest trace file, in bytes: 4 MiB.
pub const TRACE_BYTES_MAX: usize = 4 << 20;
/// Most ticks in a trace.
pub const TRACE_TICKS_MAX: usize = 200_000;

/// A spot trace: `{"metadata": {"gap_seconds": 195}, "data": [0, 1, ...]}`. After its last tick it begins again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpotTrace {
    metadata: TraceMetadata,
    data: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct TraceMetadata {
    gap_seconds: u32,
}

impl SpotTrace {
    /// Reads a trace.
    ///
    /// # Errors
    /// [`SimError::Script`] when it is too large, is not such JSON, has no ticks or a gap of zero.
    pub fn parse(text: &str) -> Result<Self, SimError> {
        let bad = |what: String| SimError::Script { what };
        if text.len() > TRACE_BYTES_MAX {
            return Err(bad(format!(
                "a spot trace has at most {TRACE_BYTES_MAX} bytes, this one has {}",
                text.len()
            )));
        }
        let trace: Self = serde_json::from_str(text).map_err(|error| {
            bad(format!("not a spot trace ({error}); expected `{{\"metadata\": {{\"gap_seconds\": n}}, \"data\": [..]}}`"))
        })?;
        trace.check()?;
        Ok(trace)
    }

    pub(crate) fn check(&self) -> Result<(), SimError> {
        if self.metadata.gap_seconds == 0 || self.data.is_empty() || self.data.len() > TRACE_TICKS_MAX {
            let what = format!(
                "a spot trace has a gap above zero and 1 to {TRACE_TICKS_MAX} ticks, this one has a gap of {} and {} ticks",
                self.metadata.gap_seconds,
                self.data.len()
            );
            return Err(SimError::Script { what });
        }
        Ok(())
    }

    /// Seconds between two ticks.
    #[must_use]
    pub fn gap_s(&self) -> u32 {
        self.metadata.gap_seconds
    }

    /// How many ticks there are before it begins again.
    #[must_use]
    pub fn ticks(&self) -> usize {
        self.data.len()
    }

    /// How many instances there is room for at `at`, when the trace began at `start`.
    #[must_use]
    pub fn room_at(&self, start: Timestamp, at: Timestamp) -> u32 {
        self.room(self.tick_of(start, at))
    }

    fn tick_of(&self, start: Timestamp, at: Timestamp) -> i64 {
        let gap = i64::from(self.metadata.gap_seconds.max(1));
        (at.as_second() - start.as_second()).max(0) / gap
    }

    fn room(&self, tick: i64) -> u32 {
        let length = i64::try_from(self.data.len()).unwrap_or(1).max(1);
        let index = usize::try_from(tick.rem_euclid(length)).unwrap_or(0);
        self.data.get(index).copied().unwrap_or(0)
    }

    /// The first tick after `from`, up to `to`, with room for fewer than `used`: when, and how much room is left.
    pub(crate) fn first_squeeze(
        &self,
        start: Timestamp,
        from: Timestamp,
        to: Timestamp,
        used: u64,
    ) -> Option<(Timestamp, u32)> {
        let (first, last) = (self.tick_of(start, from) + 1, self.tick_of(start, to));
        let length = i64::try_from(self.data.len()).unwrap_or(1);
        // After one whole round every tick has been seen.
        (first..=last.min(first.saturating_add(length))).find_map(|tick| {
            let room = self.room(tick);
            if u64::from(room) >= used {
                return None;
            }
            let after = SignedDuration::from_secs(tick.checked_mul(i64::from(self.metadata.gap_seconds))?);
            Some((start.checked_add(after).ok()?, room))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_have_the_length_that_the_file_says() {
        let trace = SpotTrace::parse(r#"{"metadata":{"gap_seconds":100},"data":[2,0,1]}"#).unwrap();
        let start = Timestamp::UNIX_EPOCH;
        let at = |second| Timestamp::from_second(second).unwrap();
        let rooms: Vec<u32> =
            [0, 99, 100, 200, 299, 300].iter().map(|s| trace.room_at(start, at(*s))).collect();
        assert_eq!(rooms, [2, 2, 0, 1, 1, 2]);
        assert_eq!(trace.first_squeeze(start, at(0), at(99), 1), None);
        assert_eq!(trace.first_squeeze(start, at(0), at(1_000), 1), Some((at(100), 0)));
        assert_eq!(trace.first_squeeze(start, at(100), at(1_000), 2), Some((at(200), 1)));
        assert_eq!(trace.first_squeeze(start, at(0), at(i64::from(u32::MAX)), 0), None);
    }

    #[test]
    fn what_is_not_a_trace_is_refused() {
        for text in [
            "",
            "{}",
            r#"{"metadata":{"gap_seconds":0},"data":[1]}"#,
            r#"{"metadata":{"gap_seconds":5},"data":[]}"#,
            r#"{"metadata":{"gap_seconds":5},"data":[-1]}"#,
            r#"{"metadata":{"gap_seconds":5},"data":[0.5]}"#,
        ] {
            assert!(matches!(SpotTrace::parse(text), Err(SimError::Script { .. })), "{text}");
        }
        assert!(SpotTrace::parse(&" ".repeat(TRACE_BYTES_MAX + 1)).is_err());
    }
}
