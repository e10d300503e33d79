//! An hour of a thousand series, as means by minute.

use std::time::Duration;

use hpc_timeseries::{Aggregation, Durability, QueryBuilder, TimeRange, TimeSeriesStore};

use super::Promise;
use super::tsdb_ingest::store;
use crate::harness::{Bench, Report, Samples, show};
use crate::{Result, fixtures};

pub(super) const PROMISE: Promise = Promise {
    name: "tsdb_query_1h_1000_series",
    about: "one hour of 1,000 series as means by minute: p99 < 20 ms",
    run,
};

fn run(bench: &Bench) -> Result<Report> {
    bench.runtime()?.block_on(measure(bench))
}

async fn measure(bench: &Bench) -> Result<Report> {
    let store = store(bench)?;
    let series = bench.size(1_000, 20);
    for round in 0..360 {
        store.write(fixtures::gpu_points(0..series, round * 10), Durability::None).await?;
    }
    store.seal().await?;
    let (start_ns, hour_ns) = (fixtures::START_S * 1_000_000_000, 3_600_000_000_000);
    let mut samples = Samples::default();
    for call in 0..bench.size(220, 3) {
        let query = QueryBuilder::new("gpu")
            .field("utilization_ratio")
            .range(TimeRange::between_ns(start_ns, start_ns + hour_ns))
            .aggregate(Aggregation::Mean, "1m")
            .build();
        let begun = std::time::Instant::now();
        let answer = store.query(query).await?;
        if call >= bench.size(20, 0) {
            samples.push(begun.elapsed());
        }
        let windows: usize = answer.series.iter().map(|series| series.samples.len()).sum();
        if windows != series * 60 {
            return Err(format!("{windows} windows instead of {}", series * 60).into());
        }
    }
    Ok(Report::new()
        .measured("p50", show(samples.p50()))
        .measured("p99", show(samples.p99()))
        .goal("p99<20ms", samples.p99() < Duration::from_millis(20))
        .note(format!("{series} series, a value every 10 s, sealed, on disk and warm; one query at a time")))
}
