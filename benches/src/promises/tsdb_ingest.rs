//! Durable ingest into the embedded time-series store.

use std::sync::Arc;
use std::time::Duration;

use hpc_timeseries::{Durability, Point, TimeSeriesStore};
use hpc_tsdb_embedded::{EmbeddedConfig, EmbeddedTsdb};
use jiff::Timestamp;

use super::Promise;
use crate::harness::{Bench, Report, count, cpu_time, rate, show};
use crate::world::each;
use crate::{Result, fixtures};

pub(super) const PROMISE: Promise = Promise {
    name: "tsdb_ingest",
    about: "at least 800,000 points a second and core, durable and compressed",
    run,
};

/// Points of one batch.
const BATCH: usize = 2_000;
/// Batches in flight.
const AT_ONCE: usize = 16;

fn run(bench: &Bench) -> Result<Report> {
    bench.runtime()?.block_on(measure(bench))
}

async fn measure(bench: &Bench) -> Result<Report> {
    let rounds = bench.size(500, 2);
    let store = Arc::new(store(bench)?);
    // 10,000 series, a value every ten seconds.
    let batches: Vec<Vec<Point>> = (0..rounds)
        .flat_map(|round| {
            (0..5).map(move |part| fixtures::gpu_points(part * BATCH..(part + 1) * BATCH, round * 10))
        })
        .collect();
    let points = batches.len() * BATCH;
    let (cpu, shared) = (cpu_time()?, Arc::clone(&store));
    let (accepted, samples, mut time) = each(batches, AT_ONCE, move |batch| {
        let store = Arc::clone(&shared);
        async move { Ok(store.write(batch, Durability::Group).await?.accepted) }
    })
    .await?;
    let (sealed, rest) = {
        let begun = std::time::Instant::now();
        (store.seal().await, begun.elapsed())
    };
    sealed?;
    time += rest;
    let cpu = cpu_time()?.saturating_sub(cpu).max(Duration::from_millis(1));
    if accepted.iter().sum::<usize>() != points {
        return Err("a point was not accepted".into());
    }
    let (per_core, wall) = (rate(points, cpu), rate(points, time));
    Ok(Report::new()
        .measured("per_s_core", count(per_core))
        .measured("per_s", count(wall))
        .measured("write_p99", show(samples.p99()))
        .goal("per_s_core>=800k", per_core >= 800_000.0)
        .note(format!(
            "{points} points of 10,000 series in batches of {BATCH}, one value each, {AT_ONCE} in flight, group \
             durability, sealing included; a core's second is a second of processor time"
        ))
        .note("no rival in the same run: InfluxDB and VictoriaMetrics are servers, which this program does not start"))
}

/// A store on disk that takes points around [`fixtures::START_S`].
pub(super) fn store(bench: &Bench) -> Result<EmbeddedTsdb> {
    let now = Timestamp::from_second(fixtures::START_S + 6 * 3_600)?;
    let config = EmbeddedConfig::default();
    Ok(EmbeddedTsdb::open(bench.folder()?.join("telemetry.redb"), config, Arc::new(move || now))?)
}
