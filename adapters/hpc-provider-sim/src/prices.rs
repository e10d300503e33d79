//! Recorded prices, played back: what an instance cost for an hour, tick by tick.

use hpc_resources::{Currency, Money, PerInstanceHour};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::SimError;
use crate::trace::{TRACE_BYTES_MAX, TRACE_TICKS_MAX};

/// A series of prices: `{"metadata": {"gap_seconds": 300}, "data": ["12.3456 USD", null, ...]}`, each the price of one
/// **instance** for an hour as decimal text, in US dollars as the bill is; `null` where it is not known. After its last
/// tick it begins again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Recorded", into = "Recorded")]
pub struct PriceSeries {
    gap_s: u32,
    /// US dollars, above zero.
    ticks: Vec<Option<Money>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recorded {
    metadata: Metadata,
    data: Vec<Option<Money>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    gap_seconds: u32,
}

impl PriceSeries {
    /// Reads a series.
    ///
    /// # Errors
    /// [`SimError::Script`] when it is too large, is not such JSON, has no ticks or a gap of zero, or has a price that is
    /// no decimal above zero; the message names the tick.
    pub fn parse(text: &str) -> Result<Self, SimError> {
        if text.len() > TRACE_BYTES_MAX {
            let what =
                format!("a price series has at most {TRACE_BYTES_MAX} bytes, this one has {}", text.len());
            return Err(SimError::Script { what });
        }
        serde_json::from_str(text).map_err(|error| SimError::Script {
            what: format!(
                "not a price series ({error}); expected `{{\"metadata\": {{\"gap_seconds\": n}}, \"data\": [\"1.25\", null, ..]}}`"
            ),
        })
    }

    /// Seconds between two ticks.
    #[must_use]
    pub fn gap_s(&self) -> u32 {
        self.gap_s
    }

    /// How many ticks there are before it begins again.
    #[must_use]
    pub fn ticks(&self) -> usize {
        self.ticks.len()
    }

    /// The price at `at`, when the series began at `start`; `None` where it is not known.
    #[must_use]
    pub fn price_at(&self, start: Timestamp, at: Timestamp) -> Option<PerInstanceHour> {
        let length = i64::try_from(self.ticks.len()).unwrap_or(1).max(1);
        let index = usize::try_from(self.tick_of(start, at).rem_euclid(length)).ok()?;
        self.ticks.get(index).copied().flatten().map(PerInstanceHour)
    }

    /// When the tick began that `at` falls in; the start for any time before it.
    #[must_use]
    pub fn since(&self, start: Timestamp, at: Timestamp) -> Timestamp {
        let after = self.tick_of(start, at).saturating_mul(i64::from(self.gap_s));
        start.saturating_add(SignedDuration::from_secs(after)).unwrap_or(at)
    }

    fn tick_of(&self, start: Timestamp, at: Timestamp) -> i64 {
        (at.as_second() - start.as_second()).max(0) / i64::from(self.gap_s.max(1))
    }
}

impl TryFrom<Recorded> for PriceSeries {
    type Error = String;

    fn try_from(recorded: Recorded) -> Result<Self, String> {
        let (gap_s, ticks) = (recorded.metadata.gap_seconds, recorded.data.len());
        if gap_s == 0 || ticks == 0 || ticks > TRACE_TICKS_MAX {
            return Err(format!(
                "a price series has a gap above zero and 1 to {TRACE_TICKS_MAX} ticks, this one has a gap of {gap_s} and {ticks} ticks"
            ));
        }
        for (tick, price) in recorded.data.iter().enumerate() {
            match price {
                // Nothing is free: a zero in a price list stands for what nobody knows.
                Some(price) if price.nanos() <= 0 => {
                    return Err(format!("tick {tick} is not above zero; write `null` for what is not known"));
                }
                Some(price) if price.currency() != Currency::USD => {
                    return Err(format!(
                        "tick {tick} is in {}; the simulated clouds bill in USD",
                        price.currency()
                    ));
                }
                _ => {}
            }
        }
        Ok(Self { gap_s, ticks: recorded.data })
    }
}

impl From<PriceSeries> for Recorded {
    fn from(series: PriceSeries) -> Self {
        Self { metadata: Metadata { gap_seconds: series.gap_s }, data: series.ticks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_hold_for_as_long_as_the_series_says() {
        let series =
            PriceSeries::parse(r#"{"metadata":{"gap_seconds":100},"data":["1.25",null,"0.000000001 USD"]}"#);
        let series = series.unwrap();
        let start = Timestamp::from_second(1_000).unwrap();
        let at = |second| Timestamp::from_second(second).unwrap();
        let nanos = |second| series.price_at(start, at(second)).map(|price| price.0.nanos());
        assert_eq!(
            [0, 1_000, 1_099, 1_100, 1_200, 1_299, 1_300].map(nanos),
            [
                Some(1_250_000_000),
                Some(1_250_000_000),
                Some(1_250_000_000),
                None,
                Some(1),
                Some(1),
                Some(1_250_000_000)
            ]
        );
        assert_eq!(
            [0, 1_050, 1_350].map(|second| series.since(start, at(second))),
            [start, start, at(1_300)]
        );
        let again = PriceSeries::parse(&serde_json::to_string(&series).unwrap()).unwrap();
        assert_eq!(again, series);
    }

    #[test]
    fn what_is_not_a_series_is_refused() {
        for (data, why) in [
            (r#"{"metadata":{"gap_seconds":0},"data":["1"]}"#, "gap"),
            (r#"{"metadata":{"gap_seconds":5},"data":[]}"#, "0 ticks"),
            (r#"{"metadata":{"gap_seconds":5},"data":["1","0.0 USD"]}"#, "tick 1"),
            (r#"{"metadata":{"gap_seconds":5},"data":["-1"]}"#, "tick 0"),
            (r#"{"metadata":{"gap_seconds":5},"data":["1 EUR"]}"#, "EUR"),
            (r#"{"metadata":{"gap_seconds":5},"data":["1e3"]}"#, "1e3"),
            (r#"{"metadata":{"gap_seconds":5},"data":[1.5]}"#, "string"),
            (r#"{"metadata":{"gap_seconds":5},"data":["1"],"unit":"gpu"}"#, "unit"),
            ("", "price series"),
        ] {
            let error = PriceSeries::parse(data).unwrap_err().to_string();
            assert!(error.contains(why), "{data}: {error}");
        }
        assert!(PriceSeries::parse(&" ".repeat(TRACE_BYTES_MAX + 1)).is_err());
        let most = format!(
            "{{\"metadata\":{{\"gap_seconds\":1}},\"data\":[{}\"1\"]}}",
            "\"1\",".repeat(TRACE_TICKS_MAX)
        );
        assert!(PriceSeries::parse(&most).is_err());
    }
}
