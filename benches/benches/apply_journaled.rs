//! How long does an apply take, by how many run at a time?

use criterion::{BenchmarkId, Criterion, SamplingMode};
use hpc_benches::harness::Bench;
use hpc_benches::world::World;
use hpc_provider_sim::Script;

fn main() -> hpc_benches::Result<()> {
    let bench = Bench::new(false)?;
    let runtime = bench.runtime()?;
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("apply_journaled");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    for at_once in [1_usize, 16, 128] {
        let script = Script { no_quotas: true, ..Script::default() };
        let world = runtime.block_on(World::open(&bench.folder()?, script))?;
        group.bench_function(BenchmarkId::new("at_once", at_once), |bencher| {
            bencher.iter_custom(|rounds| {
                // The plans before and the releases after are not timed.
                let all = async {
                    let plans = world.plans(usize::try_from(rounds).unwrap_or(1), 64).await?;
                    let (leases, _, time) = world.apply(plans, at_once).await?;
                    world.release(leases, 64).await?;
                    hpc_benches::Result::Ok(time)
                };
                let time = runtime.block_on(all);
                assert!(time.is_ok(), "{time:?}");
                time.unwrap_or_default()
            });
        });
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}
