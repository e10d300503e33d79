//! A round of reconciliation over very many live leases, with ledger and audit log on disk.

use std::time::{Duration, Instant};

use hpc_provider_sim::Script;

use super::Promise;
use crate::Result;
use crate::harness::{Bench, Report, Samples, count, show};
use crate::world::World;

pub(super) const PROMISE: Promise = Promise {
    name: "reconcile_10k_leases",
    about: "10,000 live leases are compared with their clouds in less than a second",
    run,
};

/// Applies in flight while the leases are made.
const AT_ONCE: usize = 256;

fn run(bench: &Bench) -> Result<Report> {
    bench.runtime()?.block_on(measure(bench))
}

async fn measure(bench: &Bench) -> Result<Report> {
    let script = Script { no_quotas: true, ..Script::default() };
    let world = World::open(&bench.folder()?, script).await?;
    let leases = bench.size(10_000, 16);
    let plans = world.plans(leases, AT_ONCE).await?;
    let made = world.apply(plans, AT_ONCE).await?.0.len();
    // Past the clouds' lag and the start of the instances.
    world.sim.advance(Duration::from_secs(300))?;
    let mut rounds = Samples::default();
    let mut first = None;
    for _ in 0..bench.size(10, 2) {
        world.sim.advance(Duration::from_secs(15))?;
        let begun = Instant::now();
        let report = world.broker.reconcile().await?;
        rounds.push(begun.elapsed());
        first.get_or_insert(begun.elapsed());
        if !report.problems.is_empty() {
            return Err(format!("the clouds answer, and yet: {:?}", report.problems).into());
        }
    }
    if made != leases || world.sim.live_instances().len() != leases {
        return Err("instances and leases differ".into());
    }
    let worst = rounds.percentile(100.0);
    Ok(Report::new()
        .measured("leases", count(leases as f64))
        .measured("p50", show(rounds.p50()))
        .measured("max", show(worst))
        .goal("max<1s", worst < Duration::from_secs(1))
        .note(format!(
            "{} rounds, the first in {}, in which every price and start is taken over; the clouds are in memory and answer \
             at once, in pages of 100",
            rounds.len(),
            show(first.unwrap_or_default())
        )))
}
