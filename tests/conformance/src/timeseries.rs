//! The contract of the `timeseries` port, one case per sentence.
//!
//! ```text
//! hpc_conformance::time_series_store!(async { Some(Subject::new(store, now)) });
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use hpc_timeseries::{
    Aggregation, BATCH_POINTS_MAX, Durability, Fill, Order, Point, Query, QueryBuilder, Rejection, Sample,
    SeriesSet, TimeRange, TimeSeriesError, TimeSeriesStore, UnixNs, Value,
};
use jiff::Timestamp;

/// An empty store to judge, and the time its clock shows.
pub struct Subject {
    store: Arc<dyn TimeSeriesStore>,
    now_ns: i64,
    guard: Option<Box<dyn Any + Send + Sync>>,
}

impl Subject {
    /// A subject whose clock shows `now` and stays within a few seconds of it.
    pub fn new(store: Arc<dyn TimeSeriesStore>, now: Timestamp) -> Self {
        Self { store, now_ns: now.unix_ns(), guard: None }
    }

    /// Keeps something, as a temporary folder, until the case has ended.
    #[must_use]
    pub fn keeping(mut self, guard: impl Any + Send + Sync) -> Self {
        self.guard = Some(Box::new(guard));
        self
    }

    /// The start of the minute ten minutes ago: a base whose next minutes lie in the past.
    fn base(&self) -> i64 {
        self.now_ns.div_euclid(MINUTE) * MINUTE - 10 * MINUTE
    }

    async fn write(&self, points: Vec<Point>) {
        let count = points.len();
        let report = self.store.write(points, Durability::Group).await.expect("write");
        assert_eq!((report.accepted, report.rejected.len()), (count, 0), "{:?}", report.rejected);
    }

    async fn ask(&self, builder: QueryBuilder) -> SeriesSet {
        self.store.query(builder.build()).await.expect("query")
    }
}

const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;

fn gpu(ts_ns: i64, host: &str, power: f64) -> Point {
    Point::new("gpu", ts_ns).tag("host", host).field("power_watts", power)
}

fn gpus() -> QueryBuilder {
    QueryBuilder::new("gpu")
}

fn at(ts_ns: i64, value: impl Into<Value>) -> Sample {
    Sample { ts_ns, value: Some(value.into()) }
}

fn samples(set: &SeriesSet, index: usize) -> &[Sample] {
    &set.series.get(index).unwrap_or_else(|| panic!("series {index} is missing in {set:?}")).samples
}

/// An invalid point is reported with its position and the others are stored.
pub async fn invalid_points_are_reported_and_the_others_stored(subject: Subject) {
    let base = subject.base();
    let batch = vec![
        gpu(base, "a", 1.0),
        gpu(base, "a\nforged,host=x", 2.0),
        gpu(base, "a", f64::NAN),
        gpu(base + SECOND, "a", 4.0),
        Point::new("gpu", 17).field("power_watts", 1.0),
    ];
    let report = subject.store.write(batch, Durability::Group).await.unwrap();
    assert_eq!(report.accepted, 2);
    assert_eq!(report.rejected.iter().map(|r| r.index).collect::<Vec<_>>(), [1, 2, 4]);
    assert!(matches!(report.rejected[0].why, Rejection::TagValue { .. }));
    assert!(matches!(report.rejected[1].why, Rejection::NotFinite { .. }));
    assert!(matches!(report.rejected[2].why, Rejection::Time { .. }));
    let set = subject.ask(gpus()).await;
    assert_eq!(set.series.len(), 1);
    assert_eq!(samples(&set, 0), [at(base, 1.0), at(base + SECOND, 4.0)]);
}

/// An empty batch succeeds.
pub async fn an_empty_batch_succeeds(subject: Subject) {
    subject.write(Vec::new()).await;
}

/// A batch of more than the limit is refused whole.
pub async fn a_batch_over_the_limit_is_refused_whole(subject: Subject) {
    let base = subject.base();
    let mut batch = vec![gpu(base, "a", 1.0); BATCH_POINTS_MAX + 1];
    let refused = subject.store.write(batch.clone(), Durability::Group).await;
    assert_eq!(
        refused,
        Err(TimeSeriesError::BatchTooLarge { points: BATCH_POINTS_MAX + 1, limit: BATCH_POINTS_MAX })
    );
    assert_eq!(subject.ask(gpus()).await, SeriesSet::default());
    batch.pop();
    subject.write(batch).await;
}

/// An accepted point is visible to the next query, whatever the durability.
pub async fn accepted_points_are_visible(subject: Subject) {
    let base = subject.base();
    for (index, durability) in [Durability::None, Durability::Group, Durability::Sync].into_iter().enumerate()
    {
        let ts_ns = base + i64::try_from(index).unwrap() * SECOND;
        let report = subject.store.write(vec![gpu(ts_ns, "a", 1.0)], durability).await.unwrap();
        assert_eq!(report.all_accepted(), Ok(1));
        assert_eq!(samples(&subject.ask(gpus()).await, 0).len(), index + 1, "{durability:?}");
    }
}

/// Points may come out of order.
pub async fn points_may_come_out_of_order(subject: Subject) {
    let base = subject.base();
    for offset in [5, 1, 3, 2, 4] {
        subject.write(vec![gpu(base + offset * SECOND, "a", offset as f64)]).await;
    }
    let want: Vec<Sample> = (1..=5).map(|offset| at(base + offset * SECOND, offset as f64)).collect();
    assert_eq!(samples(&subject.ask(gpus()).await, 0), want);
}

/// Of two values at one time the one written last remains; other fields at that time stay.
pub async fn the_value_written_last_remains(subject: Subject) {
    let base = subject.base();
    subject.write(vec![gpu(base, "a", 1.0).field("fan_ratio", 0.5)]).await;
    subject.write(vec![gpu(base, "a", 2.0)]).await;
    let set = subject.ask(gpus()).await;
    assert_eq!(set.series.iter().map(|s| s.field.as_str()).collect::<Vec<_>>(), ["fan_ratio", "power_watts"]);
    assert_eq!(samples(&set, 0), [at(base, 0.5)]);
    assert_eq!(samples(&set, 1), [at(base, 2.0)]);
}

/// The order of tags does not matter.
pub async fn the_order_of_tags_does_not_matter(subject: Subject) {
    let base = subject.base();
    subject
        .write(vec![Point::new("gpu", base).tag("host", "a").tag("gpu", "0").field("power_watts", 1.0)])
        .await;
    let swapped = Point::new("gpu", base + 1).tag("gpu", "0").tag("host", "a").field("power_watts", 2.0);
    subject.write(vec![swapped]).await;
    let set = subject.ask(gpus()).await;
    assert_eq!(set.series.len(), 1);
    let tags = vec![("gpu".to_owned(), "0".to_owned()), ("host".to_owned(), "a".to_owned())];
    assert_eq!(set.series[0].tags, tags);
    assert_eq!(samples(&set, 0).len(), 2);
}

/// Tag values keep every character the port allows.
pub async fn tag_values_come_back_as_written(subject: Subject) {
    let base = subject.base();
    let values =
        ["a b", "a,b=c", "\"quoted\"", "it's", "back\\slash", "\\\\", "ü€😀", "a\\,b", "x; DROP SERIES", "'"];
    let values: Vec<&str> = values.into_iter().filter(|value| !value.ends_with('\\')).collect();
    for value in &values {
        subject.write(vec![gpu(base, value, 1.0)]).await;
    }
    for value in &values {
        let set = subject.ask(gpus().filter("host", value)).await;
        assert_eq!(set.series.len(), 1, "`{value}`");
        assert_eq!(set.series[0].tag("host"), Some(*value));
    }
    let listed = subject.store.series(gpus().build()).await.unwrap();
    let mut want: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
    want.sort();
    assert_eq!(listed.series.into_iter().map(|key| key.tags[0].1.clone()).collect::<Vec<_>>(), want);
}

/// Integers come back as integers and floats as floats.
pub async fn numbers_keep_their_kind(subject: Subject) {
    let base = subject.base();
    let point = Point::new("gpu", base).field("memory_bytes", 80_000_000_000_i64).field("power_watts", 350.0);
    subject.write(vec![point]).await;
    let extremes = Point::new("gpu", base + 1).field("memory_bytes", i64::MAX).field("power_watts", 1e-300);
    subject.write(vec![extremes]).await;
    let set = subject.ask(gpus()).await;
    assert_eq!(samples(&set, 0), [at(base, 80_000_000_000_i64), at(base + 1, i64::MAX)]);
    assert_eq!(samples(&set, 1), [at(base, 350.0), at(base + 1, 1e-300)]);
}

/// A field of a measurement keeps the kind of number of its first value.
pub async fn a_field_keeps_its_kind(subject: Subject) {
    let base = subject.base();
    subject.write(vec![gpu(base, "a", 1.0)]).await;
    let other = Point::new("gpu", base + 1).tag("host", "b").field("power_watts", 2);
    let answer = subject.store.write(vec![other], Durability::Group).await;
    if subject.store.describe().rejects_by_point {
        assert!(matches!(answer.unwrap().rejected[0].why, Rejection::KindConflict { .. }));
    } else {
        assert!(matches!(answer, Err(TimeSeriesError::BatchRefused { .. })), "{answer:?}");
    }
    assert_eq!(subject.ask(gpus()).await.series.len(), 1);
}

/// A time outside the described window is rejected.
pub async fn times_outside_the_window_are_rejected(subject: Subject) {
    let described = subject.store.describe();
    let mut points = Vec::new();
    if let Some(past) = described.past_max.and_then(|past| i64::try_from(past.as_nanos()).ok()) {
        points.push(gpu(subject.now_ns - past - MINUTE, "a", 1.0));
    }
    if let Some(future) = described.future_max.and_then(|future| i64::try_from(future.as_nanos()).ok()) {
        points.push(gpu(subject.now_ns + future + MINUTE, "a", 1.0));
    }
    let count = points.len();
    let report = subject.store.write(points, Durability::Group).await.unwrap();
    assert_eq!((report.accepted, report.rejected.len()), (0, count));
    assert!(
        report
            .rejected
            .iter()
            .all(|r| matches!(r.why, Rejection::OutOfWindow { .. } | Rejection::Time { .. }))
    );
}

/// The range includes its start and excludes its end.
pub async fn ranges_are_half_open(subject: Subject) {
    let base = subject.base();
    subject.write((0..4).map(|i| gpu(base + i, "a", i as f64)).collect()).await;
    let set = subject.ask(gpus().range(TimeRange::between_ns(base + 1, base + 3))).await;
    assert_eq!(samples(&set, 0), [at(base + 1, 1.0), at(base + 2, 2.0)]);
    let empty = subject.ask(gpus().range(TimeRange::between_ns(base + 1, base + 1))).await;
    assert_eq!(empty, SeriesSet::default());
}

/// A range that ends now is resolved when the query runs.
pub async fn the_last_hour_ends_now(subject: Subject) {
    let half_hour_ago = subject.now_ns - 30 * MINUTE;
    subject.write(vec![gpu(half_hour_ago, "a", 1.0), gpu(subject.now_ns - 61 * MINUTE, "a", 2.0)]).await;
    let set = subject.ask(gpus().range(TimeRange::last_hour())).await;
    assert_eq!(samples(&set, 0), [at(half_hour_ago, 1.0)]);
    let mean = gpus().range(TimeRange::last_hour()).aggregate(Aggregation::Mean, "1m");
    assert_eq!(samples(&subject.ask(mean).await, 0), [at(half_hour_ago.div_euclid(MINUTE) * MINUTE, 1.0)]);
}

/// Series are ordered by tags, then field, and one without a sample in the range is absent.
pub async fn series_are_ordered(subject: Subject) {
    let base = subject.base();
    for host in ["b", "c", "a"] {
        let ts_ns = if host == "c" { base - MINUTE } else { base };
        subject.write(vec![gpu(ts_ns, host, 1.0).field("fan_ratio", 0.1)]).await;
    }
    let set = subject.ask(gpus().range(TimeRange::between_ns(base, base + 1))).await;
    let order: Vec<_> = set.series.iter().map(|s| (s.tag("host").unwrap(), s.field.as_str())).collect();
    assert_eq!(order, [("a", "fan_ratio"), ("a", "power_watts"), ("b", "fan_ratio"), ("b", "power_watts")]);
    let one_field = subject.ask(gpus().field("fan_ratio")).await;
    assert!(one_field.series.iter().all(|s| s.field == "fan_ratio") && one_field.series.len() == 3);
}

/// A measurement nobody wrote gives an empty answer.
pub async fn an_unknown_measurement_is_empty(subject: Subject) {
    subject.write(vec![gpu(subject.base(), "a", 1.0)]).await;
    let nothing = || QueryBuilder::new("nothing");
    assert_eq!(subject.ask(nothing()).await, SeriesSet::default());
    assert_eq!(subject.ask(gpus().field("nothing")).await, SeriesSet::default());
    assert_eq!(subject.store.latest(nothing().build()).await, Ok(SeriesSet::default()));
    assert!(subject.store.series(nothing().build()).await.unwrap().series.is_empty());
}

/// Filters compare whole tag values; a series without the tag passes "not equal".
pub async fn filters_compare_whole_values(subject: Subject) {
    let base = subject.base();
    subject.write(vec![gpu(base, "a", 1.0), gpu(base, "ab", 2.0), gpu(base, "b", 3.0)]).await;
    subject.write(vec![Point::new("gpu", base).tag("zone", "z").field("power_watts", 4.0)]).await;
    let hosts = async |builder: QueryBuilder| -> Vec<String> {
        let set = subject.ask(builder).await;
        set.series.iter().map(|s| s.tag("host").unwrap_or("-").to_owned()).collect()
    };
    assert_eq!(hosts(gpus().filter("host", "a")).await, ["a"]);
    assert_eq!(hosts(gpus().filter_in("host", ["b", "a", "zz"])).await, ["a", "b"]);
    assert_eq!(hosts(gpus().filter_not("host", "a")).await, ["ab", "b", "-"]);
    assert_eq!(hosts(gpus().filter("host", "a").filter("zone", "z")).await, Vec::<String>::new());
    assert_eq!(hosts(gpus().filter("host", ".*")).await, Vec::<String>::new());
}

/// Windows are aligned to 1970 and named by their start; only samples inside the range count.
pub async fn windows_are_aligned_to_1970(subject: Subject) {
    let base = subject.base();
    subject.write((0..6).map(|i| gpu(base + i * 30 * SECOND, "a", i as f64)).collect()).await;
    let range = TimeRange::between_ns(base + 30 * SECOND, base + 150 * SECOND);
    let set = subject.ask(gpus().range(range).aggregate(Aggregation::Sum, "1m")).await;
    assert_eq!(samples(&set, 0), [at(base, 1.0), at(base + MINUTE, 5.0), at(base + 2 * MINUTE, 4.0)]);
}

/// Each aggregation gives its value, in the right kind.
pub async fn aggregations_keep_their_kind(subject: Subject) {
    let base = subject.base();
    let point = |i: i64, bytes: i64, watts: f64| {
        Point::new("gpu", base + i).field("memory_bytes", bytes).field("power_watts", watts)
    };
    subject.write(vec![point(0, 4, 4.0), point(1, 9, 9.0), point(2, 2, 2.5)]).await;
    let cases: [(Aggregation, Value, Value); 7] = [
        (Aggregation::Mean, 5.0.into(), (15.5 / 3.0).into()),
        (Aggregation::Sum, 15.into(), 15.5.into()),
        (Aggregation::Min, 2.into(), 2.5.into()),
        (Aggregation::Max, 9.into(), 9.0.into()),
        (Aggregation::Count, 3.into(), 3.into()),
        (Aggregation::First, 4.into(), 4.0.into()),
        (Aggregation::Last, 2.into(), 2.5.into()),
    ];
    for (aggregation, integer, float) in cases {
        let range = TimeRange::between_ns(base, base + MINUTE);
        let set = subject.ask(gpus().range(range).aggregate(aggregation, "1m")).await;
        assert_eq!(samples(&set, 0), [at(base, integer)], "{aggregation:?} of integers");
        assert_eq!(samples(&set, 1), [at(base, float)], "{aggregation:?} of floats");
    }
}

/// Grouping folds the series with equal values of the tags; ties take the greatest.
pub async fn grouping_folds_series(subject: Subject) {
    let base = subject.base();
    let point = |gpu: &str, host: &str, power: f64| {
        Point::new("gpu", base).tag("gpu", gpu).tag("host", host).field("power_watts", power)
    };
    subject.write(vec![point("0", "a", 1.0), point("1", "a", 3.0), point("0", "b", 10.0)]).await;
    let ask =
        |aggregation| gpus().range(TimeRange::between_ns(base, base + MINUTE)).aggregate(aggregation, "1m");
    let by_host = subject.ask(ask(Aggregation::Mean).group_by(["host"])).await;
    assert_eq!(by_host.series.len(), 2);
    assert_eq!(by_host.series[0].tags, [("host".to_owned(), "a".to_owned())]);
    assert_eq!(samples(&by_host, 0), [at(base, 2.0)]);
    assert_eq!(samples(&by_host, 1), [at(base, 10.0)]);
    let all = subject.ask(ask(Aggregation::Last).group_by::<&str>([])).await;
    assert_eq!(all.series.len(), 1);
    assert_eq!(all.series[0].tags, []);
    assert_eq!(samples(&all, 0), [at(base, 10.0)]);
    let first = subject.ask(ask(Aggregation::First).group_by::<&str>([])).await;
    assert_eq!(samples(&first, 0), [at(base, 10.0)]);
}

/// Empty windows are left out, or given without a value; their count is 0.
pub async fn empty_windows_follow_the_fill(subject: Subject) {
    let base = subject.base();
    subject.write(vec![gpu(base + MINUTE, "a", 1.0)]).await;
    let ask = |aggregation| {
        gpus().range(TimeRange::between_ns(base, base + 3 * MINUTE)).aggregate(aggregation, "1m")
    };
    assert_eq!(samples(&subject.ask(ask(Aggregation::Mean)).await, 0), [at(base + MINUTE, 1.0)]);
    let nothing = |ts_ns| Sample { ts_ns, value: None };
    let nulls = subject.ask(ask(Aggregation::Mean).fill(Fill::Null)).await;
    assert_eq!(samples(&nulls, 0), [nothing(base), at(base + MINUTE, 1.0), nothing(base + 2 * MINUTE)]);
    let counts = subject.ask(ask(Aggregation::Count).fill(Fill::Null)).await;
    assert_eq!(samples(&counts, 0), [at(base, 0), at(base + MINUTE, 1), at(base + 2 * MINUTE, 0)]);
}

/// A limit counts samples per series from the start of the order, and what was cut sets `truncated`.
pub async fn limits_cut_and_say_so(subject: Subject) {
    let base = subject.base();
    subject.write((0..5).map(|i| gpu(base + i, "a", i as f64)).collect()).await;
    subject.write(vec![gpu(base, "b", 9.0).field("fan_ratio", 1.0), gpu(base + 1, "b", 9.5)]).await;
    let oldest = subject.ask(gpus().limit(2)).await;
    assert_eq!(samples(&oldest, 0), [at(base, 0.0), at(base + 1, 1.0)]);
    assert_eq!((samples(&oldest, 1).len(), samples(&oldest, 2).len()), (1, 2));
    assert!(oldest.truncated);
    let newest = subject.ask(gpus().filter("host", "a").order(Order::NewestFirst).limit(2)).await;
    assert_eq!(samples(&newest, 0), [at(base + 4, 4.0), at(base + 3, 3.0)]);
    assert!(newest.truncated);
    let exact = subject.ask(gpus().limit(5)).await;
    assert!(!exact.truncated);
    let windows =
        gpus().range(TimeRange::between_ns(base, base + 3)).aggregate(Aggregation::Max, "1ms").limit(1);
    assert_eq!(samples(&subject.ask(windows).await, 0), [at(base, 2.0)]);
}

/// A query built from invalid parts is refused, whichever way it is asked.
pub async fn invalid_queries_are_refused(subject: Subject) {
    let bad = || -> Query { gpus().filter("host", "a\nb").build() };
    assert!(matches!(subject.store.query(bad()).await, Err(TimeSeriesError::UnsupportedQuery { .. })));
    assert!(matches!(subject.store.latest(bad()).await, Err(TimeSeriesError::UnsupportedQuery { .. })));
    assert!(matches!(subject.store.series(bad()).await, Err(TimeSeriesError::UnsupportedQuery { .. })));
}

/// The newest sample in the range of each field of each series that matches.
pub async fn latest_gives_the_newest_of_each(subject: Subject) {
    let base = subject.base();
    subject.write(vec![gpu(base, "a", 1.0).field("fan_ratio", 0.5), gpu(base + 5, "a", 2.0)]).await;
    subject.write(vec![gpu(base + 2, "b", 3.0)]).await;
    let set = subject.store.latest(gpus().build()).await.unwrap();
    assert_eq!(set.series.len(), 3);
    assert_eq!(samples(&set, 0), [at(base, 0.5)]);
    assert_eq!(samples(&set, 1), [at(base + 5, 2.0)]);
    assert_eq!(samples(&set, 2), [at(base + 2, 3.0)]);
    let before =
        gpus().filter("host", "a").field("power_watts").range(TimeRange::between_ns(base, base + 5)).build();
    assert_eq!(samples(&subject.store.latest(before).await.unwrap(), 0), [at(base, 1.0)]);
    let folded = gpus().range(TimeRange::last_hour()).aggregate(Aggregation::Mean, "1m").build();
    assert!(matches!(subject.store.latest(folded).await, Err(TimeSeriesError::UnsupportedQuery { .. })));
}

/// The series that match, ordered by tags; the limit counts series.
pub async fn series_are_listed(subject: Subject) {
    let base = subject.base();
    subject
        .write(vec![gpu(base, "b", 1.0), gpu(base, "a", 1.0).field("fan_ratio", 0.1), gpu(base, "c", 1.0)])
        .await;
    let hosts = async |builder: QueryBuilder| -> (Vec<String>, bool) {
        let list = subject.store.series(builder.build()).await.expect("series");
        (list.series.iter().map(|key| key.tags[0].1.clone()).collect(), list.truncated)
    };
    let (all, truncated) = hosts(gpus().range(TimeRange::between_ns(base - 10, base - 5))).await;
    assert_eq!(all, ["a", "b", "c"]);
    assert!(!truncated);
    let (two, truncated) = hosts(gpus().limit(2)).await;
    assert_eq!(two, ["a", "b"]);
    assert!(truncated);
    assert_eq!(hosts(gpus().filter_not("host", "a")).await.0, ["b", "c"]);
}

/// After retention is set, older points are in no answer, also once it is lengthened; at the edge a point stays.
pub async fn retention_hides_older_points(subject: Subject) {
    if !subject.store.describe().retention {
        assert!(matches!(subject.store.retention().await, Err(TimeSeriesError::UnsupportedQuery { .. })));
        return;
    }
    assert_eq!(subject.store.retention().await, Ok(None));
    let edge = subject.now_ns - 30 * MINUTE;
    subject.write(vec![gpu(edge - 1, "a", 1.0), gpu(edge, "a", 2.0), gpu(edge + 1, "a", 3.0)]).await;
    subject.store.set_retention(Some(Duration::from_secs(30 * 60))).await.unwrap();
    assert_eq!(subject.store.retention().await, Ok(Some(Duration::from_secs(30 * 60))));
    assert_eq!(samples(&subject.ask(gpus()).await, 0), [at(edge, 2.0), at(edge + 1, 3.0)]);
    let report = subject.store.write(vec![gpu(edge - 1, "a", 1.0)], Durability::Group).await.unwrap();
    assert!(matches!(report.rejected[0].why, Rejection::OutOfWindow { .. }));
    subject.store.set_retention(None).await.unwrap();
    assert_eq!(samples(&subject.ask(gpus()).await, 0), [at(edge, 2.0), at(edge + 1, 3.0)]);
}

/// Every case of the port, each as one test on a store made by the expression, a future of `Option<Subject>`.
///
/// `None` skips the case; say why on the standard error output before.
#[macro_export]
macro_rules! time_series_store {
    ($make:expr) => {
        $crate::time_series_store!(@cases $make;
            invalid_points_are_reported_and_the_others_stored
            an_empty_batch_succeeds
            a_batch_over_the_limit_is_refused_whole
            accepted_points_are_visible
            points_may_come_out_of_order
            the_value_written_last_remains
            the_order_of_tags_does_not_matter
            tag_values_come_back_as_written
            numbers_keep_their_kind
            a_field_keeps_its_kind
            times_outside_the_window_are_rejected
            ranges_are_half_open
            the_last_hour_ends_now
            series_are_ordered
            an_unknown_measurement_is_empty
            filters_compare_whole_values
            windows_are_aligned_to_1970
            aggregations_keep_their_kind
            grouping_folds_series
            empty_windows_follow_the_fill
            limits_cut_and_say_so
            invalid_queries_are_refused
            latest_gives_the_newest_of_each
            series_are_listed
            retention_hides_older_points
        );
    };
    (@cases $make:expr; $($case:ident)+) => {
        $(
            #[tokio::test]
            async fn $case() {
                let subject: Option<$crate::timeseries::Subject> = $make.await;
                if let Some(subject) = subject {
                    $crate::timeseries::$case(subject).await;
                }
            }
        )+
    };
}
