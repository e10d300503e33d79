//! How long does a durable append of how many entries take?

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use hpc_audit::AuditLog;
use hpc_audit_file::{Config, FileAuditLog};
use hpc_benches::fixtures;
use hpc_benches::harness::Bench;
use hpc_crypto::signing::KeyPair;

fn main() -> hpc_benches::Result<()> {
    let bench = Bench::new(false)?;
    let runtime = bench.runtime()?;
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("audit_append");
    for entries in [1_usize, 16, 256] {
        let keys = KeyPair::from_seed([1; 32]);
        let log = FileAuditLog::open(&bench.folder()?, keys, Config::new("bench.audit"))?;
        let mut number = 0;
        group.throughput(Throughput::Elements(entries as u64));
        group.bench_function(BenchmarkId::from_parameter(entries), |bencher| {
            bencher.iter_custom(|rounds| {
                let mut spent = Duration::ZERO;
                for _ in 0..rounds {
                    let batch = (number..number + entries).filter_map(|n| fixtures::entry(n).ok()).collect();
                    number += entries;
                    let begun = Instant::now();
                    let receipts = runtime.block_on(log.append(batch));
                    spent += begun.elapsed();
                    assert!(receipts.is_ok_and(|receipts| receipts.len() == entries));
                }
                spent
            });
        });
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}
