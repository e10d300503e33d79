//! In-memory fake of the `timeseries` port.
//!
//! It keeps every sample in sorted maps, has the clock it is given, and fails when its seed says so.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hpc_timeseries::evaluate::{Fold, arrange, shown_tags};
use hpc_timeseries::{
    BATCH_POINTS_MAX, Clock, Description, Durability, Point, Query, Rejected, Rejection, SAMPLES_MAX,
    SERIES_MAX, Sample, Select, Series, SeriesKey, SeriesList, SeriesSet, TimeSeriesError, TimeSeriesStore,
    UnixNs, Value, ValueKind, WriteReport,
};

/// Most columns (one field of one series) the fake keeps unless told otherwise.
pub const COLUMNS_MAX: usize = 100_000;

/// A time-series store in memory: behaves like a real one, keeps nothing.
pub struct MemoryTimeSeries {
    clock: Clock,
    past_max: Option<Duration>,
    future_max: Option<Duration>,
    columns_max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    columns: BTreeMap<Column, BTreeMap<i64, Value>>,
    kinds: BTreeMap<(String, String), ValueKind>,
    retention_ns: Option<i64>,
    floor_ns: i64,
    faults: Option<Faults>,
}

/// Ordered as answers are: measurement, tags, field.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Column {
    key: SeriesKey,
    field: String,
}

/// The columns that make one series of the answer, by its tags and field.
type Groups<'a> = BTreeMap<(Vec<(String, String)>, &'a str), Vec<&'a BTreeMap<i64, Value>>>;

struct Faults {
    state: u64,
    per_mille: u32,
}

impl MemoryTimeSeries {
    /// An empty store with the given clock, a past of ten years and a future of ten minutes.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            past_max: Some(Duration::from_secs(10 * 365 * 86_400)),
            future_max: Some(Duration::from_secs(600)),
            columns_max: COLUMNS_MAX,
            state: Mutex::new(State::default()),
        }
    }

    /// Sets the window of accepted times around now; `None` is without a limit.
    #[must_use]
    pub fn with_window(mut self, past_max: Option<Duration>, future_max: Option<Duration>) -> Self {
        self.past_max = past_max;
        self.future_max = future_max;
        self
    }

    /// Sets the most columns it keeps.
    #[must_use]
    pub fn with_columns_max(mut self, columns_max: usize) -> Self {
        self.columns_max = columns_max;
        self
    }

    /// Makes `per_mille` of 1000 calls fail as unavailable, before they have any effect; which ones follows from the seed.
    #[must_use]
    pub fn with_faults(self, seed: u64, per_mille: u32) -> Self {
        self.lock().faults = Some(Faults { state: seed, per_mille });
        self
    }

    fn now_ns(&self) -> i64 {
        (self.clock)().unix_ns()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self) -> Result<MutexGuard<'_, State>, TimeSeriesError> {
        let mut state = self.lock();
        if state.faults.as_mut().is_some_and(Faults::strike) {
            return Err(TimeSeriesError::Unavailable {
                why: "injected fault of the in-memory store".to_owned(),
            });
        }
        Ok(state)
    }

    fn check(&self, state: &State, point: &Point, key: &SeriesKey, now_ns: i64) -> Result<(), Rejection> {
        point.validate()?;
        let back =
            |length: Option<Duration>| length.map_or(i64::MIN, |past| now_ns.saturating_sub(nanos(past)));
        let oldest_ns = back(self.past_max).max(state.start_ns(now_ns));
        let newest_ns = self.future_max.map_or(i64::MAX, |future| now_ns.saturating_add(nanos(future)));
        if !(oldest_ns..=newest_ns).contains(&point.ts_ns) {
            return Err(Rejection::OutOfWindow { ts_ns: point.ts_ns, oldest_ns, newest_ns });
        }
        let mut new_columns = 0;
        for (field, value) in &point.fields {
            if let Some(have) = state.kinds.get(&(key.measurement.clone(), field.to_string()))
                && *have != value.kind()
            {
                return Err(Rejection::KindConflict {
                    field: field.to_string(),
                    have: *have,
                    got: value.kind(),
                });
            }
            let column = Column { key: key.clone(), field: field.to_string() };
            new_columns += usize::from(!state.columns.contains_key(&column));
        }
        if state.columns.len() + new_columns > self.columns_max {
            return Err(Rejection::CardinalityExceeded { limit: self.columns_max });
        }
        Ok(())
    }
}

impl State {
    /// The first time that retention leaves visible.
    fn start_ns(&self, now_ns: i64) -> i64 {
        self.floor_ns.max(self.retention_ns.map_or(i64::MIN, |keep| now_ns.saturating_sub(keep)))
    }

    fn store(&mut self, point: &Point, key: &SeriesKey) {
        for (field, value) in &point.fields {
            self.kinds.entry((key.measurement.clone(), field.to_string())).or_insert(value.kind());
            let column = Column { key: key.clone(), field: field.to_string() };
            self.columns.entry(column).or_default().insert(point.ts_ns, *value);
        }
    }

    fn matching<'a>(
        &'a self,
        select: &'a Select,
    ) -> impl Iterator<Item = (&'a Column, &'a BTreeMap<i64, Value>)> {
        self.columns.iter().filter(move |(column, _)| {
            column.key.measurement == select.measurement()
                && select.matches(|tag| {
                    column.key.tags.iter().find(|(name, _)| name == tag).map(|(_, value)| value.as_str())
                })
        })
    }

    fn answer(&self, select: &Select, now_ns: i64) -> SeriesSet {
        let (start_ns, end_ns) = select.range().resolve(now_ns);
        let start_ns = start_ns.max(self.start_ns(now_ns));
        let mut groups: Groups<'_> = BTreeMap::new();
        for (column, samples) in self.matching(select).filter(|(column, _)| select.wants_field(&column.field))
        {
            let tags = shown_tags(select.grouping(), &column.key.tags);
            groups.entry((tags, &column.field)).or_default().push(samples);
        }
        let mut set = SeriesSet::default();
        let mut left = SAMPLES_MAX;
        for ((tags, field), members) in groups {
            let inside = || {
                members
                    .iter()
                    .filter(|_| start_ns < end_ns)
                    .flat_map(|samples| samples.range(start_ns..end_ns))
            };
            let (mut samples, cut) = match select.aggregate() {
                None => arrange(
                    select,
                    inside().map(|(ts_ns, value)| Sample { ts_ns: *ts_ns, value: Some(*value) }).collect(),
                ),
                Some((aggregation, window_ns)) => {
                    let mut fold = Fold::new(aggregation, window_ns, start_ns, end_ns);
                    inside().for_each(|(ts_ns, value)| fold.push(*ts_ns, *value));
                    fold.finish(select.fill(), select.order(), select.limit())
                }
            };
            set.truncated |= cut;
            if samples.is_empty() {
                continue;
            }
            if set.series.len() == SERIES_MAX || left == 0 {
                set.truncated = true;
                break;
            }
            set.truncated |= samples.len() > left;
            samples.truncate(left);
            left -= samples.len();
            let (measurement, field) = (select.measurement().to_owned(), field.to_owned());
            set.series.push(Series { measurement, tags, field, samples });
        }
        set
    }
}

impl Faults {
    /// SplitMix64: enough to scatter faults, and the same for the same seed everywhere.
    fn strike(&mut self) -> bool {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % 1000 < u64::from(self.per_mille)
    }
}

#[async_trait]
impl TimeSeriesStore for MemoryTimeSeries {
    async fn write(&self, batch: Vec<Point>, _: Durability) -> Result<WriteReport, TimeSeriesError> {
        if batch.len() > BATCH_POINTS_MAX {
            return Err(TimeSeriesError::BatchTooLarge { points: batch.len(), limit: BATCH_POINTS_MAX });
        }
        let now_ns = self.now_ns();
        let mut state = self.enter()?;
        let mut report = WriteReport::default();
        for (index, point) in batch.iter().enumerate() {
            let key = series_key(point);
            match self.check(&state, point, &key, now_ns) {
                Ok(()) => {
                    state.store(point, &key);
                    report.accepted += 1;
                }
                Err(why) => report.rejected.push(Rejected { index, why }),
            }
        }
        Ok(report)
    }

    async fn query(&self, query: Query) -> Result<SeriesSet, TimeSeriesError> {
        let select = query.into_select()?;
        Ok(self.enter()?.answer(&select, self.now_ns()))
    }

    async fn latest(&self, query: Query) -> Result<SeriesSet, TimeSeriesError> {
        let select = query.into_select()?;
        select.require_plain()?;
        let now_ns = self.now_ns();
        let state = self.enter()?;
        let (start_ns, end_ns) = select.range().resolve(now_ns);
        let start_ns = start_ns.max(state.start_ns(now_ns));
        let mut set = SeriesSet::default();
        if start_ns >= end_ns {
            return Ok(set);
        }
        for (column, samples) in
            state.matching(&select).filter(|(column, _)| select.wants_field(&column.field))
        {
            if let Some((ts_ns, value)) = samples.range(start_ns..end_ns).next_back() {
                if set.series.len() == SERIES_MAX {
                    set.truncated = true;
                    break;
                }
                let SeriesKey { measurement, tags } = column.key.clone();
                let samples = vec![Sample { ts_ns: *ts_ns, value: Some(*value) }];
                set.series.push(Series { measurement, tags, field: column.field.clone(), samples });
            }
        }
        Ok(set)
    }

    async fn series(&self, query: Query) -> Result<SeriesList, TimeSeriesError> {
        let select = query.into_select()?;
        let state = self.enter()?;
        let mut keys: Vec<SeriesKey> =
            state.matching(&select).map(|(column, _)| column.key.clone()).collect();
        keys.dedup();
        let most = select.limit().min(SERIES_MAX);
        let truncated = keys.len() > most;
        keys.truncate(most);
        Ok(SeriesList { series: keys, truncated })
    }

    async fn retention(&self) -> Result<Option<Duration>, TimeSeriesError> {
        Ok(self.enter()?.retention_ns.map(|keep| Duration::from_nanos(keep.unsigned_abs())))
    }

    async fn set_retention(&self, keep: Option<Duration>) -> Result<(), TimeSeriesError> {
        let now_ns = self.now_ns();
        let mut state = self.enter()?;
        state.floor_ns = state.start_ns(now_ns);
        state.retention_ns = keep.map(nanos);
        Ok(())
    }

    fn describe(&self) -> Description {
        let mut description = Description::new("memory", "memory");
        description.durable = false;
        description.past_max = self.past_max;
        description.future_max = self.future_max;
        description.columns_max = Some(self.columns_max);
        description.retention = true;
        description.rejects_by_point = true;
        description
    }
}

fn series_key(point: &Point) -> SeriesKey {
    let mut tags: Vec<(String, String)> =
        point.tags.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
    tags.sort();
    SeriesKey { measurement: point.measurement.to_string(), tags }
}

fn nanos(length: Duration) -> i64 {
    i64::try_from(length.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hpc_conformance::timeseries::Subject;
    use hpc_timeseries::QueryBuilder;
    use jiff::Timestamp;

    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_760_000_000, 123);

    fn store() -> MemoryTimeSeries {
        MemoryTimeSeries::new(Arc::new(|| NOW))
    }

    hpc_conformance::time_series_store!(async { Some(Subject::new(Arc::new(store()), NOW)) });

    #[tokio::test]
    async fn columns_have_a_limit() {
        let store = store().with_columns_max(2);
        let point = |host: &str| Point::at("gpu", NOW).tag("host", host).field("power_watts", 1.0);
        let report = store
            .write(vec![point("a"), point("b"), point("c"), point("a")], Durability::Sync)
            .await
            .unwrap();
        assert_eq!(report.accepted, 3);
        assert_eq!(
            report.rejected,
            [Rejected { index: 2, why: Rejection::CardinalityExceeded { limit: 2 } }]
        );
    }

    #[tokio::test]
    async fn faults_follow_the_seed() {
        let pattern = async |seed| {
            let store = store().with_faults(seed, 300);
            let mut failed = Vec::new();
            for _ in 0..50 {
                failed.push(store.query(QueryBuilder::new("gpu").build()).await.is_err());
            }
            failed
        };
        let first = pattern(7).await;
        assert_eq!(first, pattern(7).await);
        assert_ne!(first, pattern(8).await);
        assert!(first.contains(&true) && first.contains(&false));
    }
}
