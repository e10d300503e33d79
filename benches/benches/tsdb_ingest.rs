//! How long does a batch of points take, by durability?

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use hpc_benches::fixtures::{self, START_S};
use hpc_benches::harness::Bench;
use hpc_timeseries::{Durability, TimeSeriesStore};
use hpc_tsdb_embedded::{EmbeddedConfig, EmbeddedTsdb};
use jiff::Timestamp;

fn main() -> hpc_benches::Result<()> {
    let bench = Bench::new(false)?;
    let runtime = bench.runtime()?;
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("tsdb_ingest");
    for (name, durability) in [("unsaved", Durability::None), ("group", Durability::Group)] {
        for points in [100_usize, 5_000] {
            // A day on, so that any number of rounds of one second lies in the store's window.
            let now = Timestamp::from_second(START_S + 86_400)?;
            let path = bench.folder()?.join("telemetry.redb");
            let store = EmbeddedTsdb::open(path, EmbeddedConfig::default(), Arc::new(move || now))?;
            let mut second = 0;
            group.throughput(Throughput::Elements(points as u64));
            group.bench_function(BenchmarkId::new(name, points), |bencher| {
                bencher.iter_custom(|rounds| {
                    let mut spent = Duration::ZERO;
                    for _ in 0..rounds {
                        second = (second + 1) % 86_000;
                        let batch = fixtures::gpu_points(0..points, second);
                        let begun = Instant::now();
                        let report = runtime.block_on(store.write(batch, durability));
                        spent += begun.elapsed();
                        assert!(report.is_ok_and(|report| report.accepted == points));
                    }
                    spent
                });
            });
        }
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}
