//! A fixed clock, points, and answers in a short form.

use std::sync::Arc;

use hpc_timeseries::{Clock, Point, QueryBuilder, TimeSeriesStore};
use hpc_tsdb_embedded::{EmbeddedConfig, EmbeddedTsdb};
use jiff::Timestamp;

pub(crate) const NOW: Timestamp = Timestamp::constant(1_760_000_000, 0);
pub(crate) const NOW_NS: i64 = 1_760_000_000_000_000_000;
pub(crate) const SECOND: i64 = 1_000_000_000;

pub(crate) fn clock() -> Clock {
    Arc::new(|| NOW)
}

pub(crate) fn open(path: &std::path::Path) -> EmbeddedTsdb {
    EmbeddedTsdb::open(path, EmbeddedConfig::default(), clock()).unwrap()
}

pub(crate) fn gpu(ts_ns: i64, host: &str, power: f64) -> Point {
    Point::new("gpu", ts_ns).tag("host", host).field("power_watts", power)
}

/// All samples of the first series of `gpu`.
pub(crate) async fn samples(store: &EmbeddedTsdb) -> Vec<(i64, f64)> {
    let set = store.query(QueryBuilder::new("gpu").build()).await.unwrap();
    let series = set.series.into_iter().next();
    series.map_or_else(Vec::new, |s| s.samples.iter().map(|s| (s.ts_ns, s.as_f64().unwrap())).collect())
}
