//! Applies through the whole broker, with ledger and audit log on disk.

use hpc_provider_sim::Script;

use super::Promise;
use crate::Result;
use crate::harness::{Bench, Report, Samples, count, rate, show};
use crate::world::World;

pub(super) const PROMISE: Promise = Promise {
    name: "apply_journaled",
    about: "at least 2,000 applies a second on the simulator, intent durable before each cloud call",
    run,
};

/// Applies in flight.
const AT_ONCE: usize = 256;

fn run(bench: &Bench) -> Result<Report> {
    bench.runtime()?.block_on(measure(bench))
}

async fn measure(bench: &Bench) -> Result<Report> {
    let script = Script { no_quotas: true, ..Script::default() };
    let world = World::open(&bench.folder()?, script).await?;
    let (rounds, each) = (bench.size(5, 1), bench.size(1_000, 8));
    let mut all = Samples::default();
    let mut rates = Vec::new();
    for _ in 0..rounds {
        let plans = world.plans(each, AT_ONCE).await?;
        let (leases, samples, time) = world.apply(plans, AT_ONCE).await?;
        if world.sim.live_instances().len() != leases.len() {
            return Err("instances and leases differ".into());
        }
        rates.push(rate(each, time));
        all.extend(samples);
        world.release(leases, AT_ONCE).await?;
    }
    rates.sort_by(f64::total_cmp);
    let median = rates.get(rates.len() / 2).copied().unwrap_or_default();
    let alone = world.apply(world.plans(bench.size(200, 2), 16).await?, 1).await?.1;
    Ok(Report::new()
        .measured("per_s", count(median))
        .measured("p50", show(all.p50()))
        .measured("p99", show(all.p99()))
        .goal("per_s>=2000", median >= 2_000.0)
        .note(format!(
            "{AT_ONCE} at a time, median of {rounds} rounds of {each}, from {} to {}; clouds in memory; one at a time: p50 {}",
            count(rates.first().copied().unwrap_or_default()),
            count(rates.last().copied().unwrap_or_default()),
            show(alone.p50())
        )))
}
